"""What the package's modules import of each other, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "zfscale"


def graph(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Map each module to those of the package that it imports, wherever the import stands.

    Imports inside functions count, since they are how circles are hidden; those under `if TYPE_CHECKING` do not.
    """
    modules = {_name(path, package): path for path in package.rglob("*.py")}
    return {name: set(_imports(name, path, modules)) - {name} for name, path in modules.items()}


def circles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Find the groups of modules that import each other; of each, one way round: first and last are the same."""
    found: list[list[str]] = []
    for name in sorted(graph):
        if not any(name in circle for circle in found) and (circle := _way(graph, name)):
            found.append(circle)
    return found


def _way(graph: Mapping[str, Collection[str]], start: str) -> list[str]:
    """The shortest way from a module back to itself; empty if there is none."""
    ways, seen = [[start]], set[str]()
    for way in ways:  # which grows
        for name in sorted(graph.get(way[-1], ())):
            if name == start:
                return [*way, start]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []


def _name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    for node in _nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, name, is_package=path.name == "__init__.py")
            for alias in node.names:
                inside = f"{base}.{alias.name}"
                yield from (one for one in (inside if inside in modules else base,) if one in modules)


def _base(node: ast.ImportFrom, importer: str, is_package: bool) -> str:
    """The module that a `from` names, the dots of a relative one resolved."""
    if not node.level:
        return node.module or ""
    parts = importer.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, but those that only a type checker sees."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            inside: list[ast.AST] = list(child.orelse)
        else:
            inside = [child]
        for node in inside:
            yield node
            yield from _nodes(node)
