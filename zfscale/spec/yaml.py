"""YAML text -> plain data, and the line of every path in it.

Scalars follow the core schema of YAML 1.2: `1e-3` is a number, `yes`, `on` and `2024-01-01` are text. Anchors
and merge keys work; a duplicate key is an error that names both lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from zfscale.errors import SpecError

Key = str | int
Place = tuple[Key, ...]  # ("space", "optimizer.lr", "grid", 0)
Cite = Callable[[int], str]  # line -> "file.yaml:12"

MAX_NODES = 120_000  # aliases of aliases can turn a few lines into billions of values
MAX_BYTES = 2_500_000  # of a file: so many values, of 20 characters each
LARGE = 50_000  # bytes from which on libyaml, ten times as fast, reads a file; what it refuses, PyYAML explains
MOST = 2**53  # of an integer: what every reader of JSON can tell apart
TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Composes nodes, with the implicit types of the 1.2 core schema in place of those of 1.1."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own protocol)


for _name, _pattern, _first in [
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
]:
    _Loader.add_implicit_resolver(TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)


if yaml.__with_libyaml__:

    class _Fast(yaml.CSafeLoader):
        """As `_Loader`, in C."""

        yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _int(text: str) -> int:
    value = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if abs(value) > MOST:
        raise OverflowError(f"is an integer of {len(text)} digits; allowed: at most {MOST}")
    return value


def _float(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


SCALARS: dict[str, Callable[[str], Any]] = {
    f"{TAG}null": lambda text: None,
    f"{TAG}bool": lambda text: text.lower() == "true",
    f"{TAG}int": _int,
    f"{TAG}float": lambda text: _float(text.lower()),
    f"{TAG}str": str,
}


def dotted(place: Place) -> str:
    """The path as a reader writes it.

    >>> dotted(("space", "optimizer.lr", "grid", 0))
    'space.optimizer.lr.grid[0]'
    """
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)
    return text.removeprefix(".")


def read(file: Path) -> str:
    """The text of a file, or a SpecError that says why there is none."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"{file}: no such file") from None
    except UnicodeDecodeError:
        raise SpecError(f"{file}: not a text file in UTF-8; expected YAML") from None
    except (OSError, ValueError) as error:
        raise SpecError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def parse(text: str, cite: Cite) -> tuple[Any, dict[Place, int]]:
    """The data of one YAML document and the line of every path; `cite` turns a line into an error's head."""
    if (size := len(text.encode(errors="surrogatepass"))) > MAX_BYTES:
        raise SpecError(f"{cite(1)}: {size} bytes; allowed: at most {MAX_BYTES} in a sweep file")
    try:
        node = _compose(text)
        builder = _Builder(cite)
        return (None if node is None else builder.build(node, ())), builder.lines
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(f"{cite(line)}: not YAML: unprintable character #x{error.character:04x}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        last = text.rstrip().count("\n") + 1  # a bracket left open is noticed below the last line
        line = min(mark.line + 1, last) if mark else 1
        raise SpecError(f"{cite(line)}: not YAML: {_explain(error)}") from None
    except RecursionError:
        raise SpecError(f"{cite(1)}: nested too deeply") from None


def _compose(text: str) -> yaml.Node | None:
    if yaml.__with_libyaml__ and len(text) > LARGE:
        with suppress(yaml.YAMLError):
            return _Fast(text).get_single_node()
    return _Loader(text).get_single_node()


class _Dumper(yaml.SafeDumper):
    """Writes what `parse` reads: a text that would be a number is quoted, an alias is written out."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        """Whether a value that stands twice is written twice: always."""
        return True


def dump(data: Any, *, flow: bool = False) -> str:
    """Plain data as YAML, innermost collections on one line; with `flow`, all on one line.

    >>> dump({"a": {"lr": 1e-05, "name": "1e-5"}})
    "a: {lr: 1.0e-05, name: '1e-5'}"
    """
    style = True if flow else None
    width = float("inf") if flow else 120
    text = yaml.dump(data, Dumper=_Dumper, default_flow_style=style, sort_keys=False, width=width, allow_unicode=True)
    return str(text).rstrip("\n")


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be parsed"
    if "'\\t'" in problem:
        return "a tab where YAML wants spaces; indent with spaces"
    context = f"{error.context} (line {error.context_mark.line + 1}): " if error.context_mark else ""
    return context + problem


class _Builder:
    """Walks the nodes of one document."""

    def __init__(self, cite: Cite) -> None:
        self.cite = cite
        self.lines: dict[Place, int] = {}
        self.nodes = 0

    def build(self, node: yaml.Node, place: Place) -> Any:
        """The plain data of a node; notes the line of every path on the way."""
        self._count(node, place)
        self.lines.setdefault(place, _line(node))
        if isinstance(node, yaml.MappingNode):
            pairs = self._pairs(node, place)
            self.lines |= {(*place, name): _line(key) for name, (key, _) in pairs.items()}
            return {name: self.build(value, (*place, name)) for name, (_, value) in pairs.items()}
        if isinstance(node, yaml.SequenceNode):
            self._expect(f"{TAG}seq", node, place)
            return [self.build(item, (*place, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _pairs(self, node: yaml.Node, place: Place) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Name -> (key node, value node); a merge key lends what the mapping does not say itself."""
        self._count(node, place)
        self._expect(f"{TAG}map", node, place)
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        lent: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if key.tag == f"{TAG}merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in sources:
                    lent = self._pairs(source, (*place, "<<")) | lent
                continue
            name = self._key(key, place)
            if name in own:
                message = f"duplicate key; first given on line {_line(own[name][0])}"
                raise self._error(key, (*place, name), message)
            own[name] = (key, value)
        return lent | own

    def _key(self, node: yaml.Node, place: Place) -> str:
        if node.tag != f"{TAG}str":
            given = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list or mapping"
            raise self._error(node, place, f"a key must be text, got {given}")
        return str(node.value)

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        convert = SCALARS.get(node.tag)
        if convert is None:
            raise self._error(node, place, f"unknown tag {_short(node.tag)}; write a plain value")
        try:
            return convert(node.value)
        except OverflowError as error:
            raise self._error(node, place, f"{node.value[:40]!r} {error}") from None
        except ValueError:
            raise self._error(node, place, f"{node.value[:40]!r} is not a valid {_short(node.tag)}") from None

    def _expect(self, tag: str, node: yaml.Node, place: Place) -> None:
        if node.tag != tag:
            raise self._error(node, place, f"expected {_short(tag)}, got {_short(node.tag)}")

    def _count(self, node: yaml.Node, place: Place) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._error(node, place, f"more than {MAX_NODES} values; does an alias repeat itself?")

    def _error(self, node: yaml.Node, place: Place, message: str) -> SpecError:
        path = f"{dotted(place)}: " if place else ""
        return SpecError(f"{self.cite(_line(node))}: {path}{message}")


def _short(tag: str) -> str:
    return tag.replace(TAG, "!!")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
