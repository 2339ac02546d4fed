"""The text domains that an installation carries: code, headers, licences and documentation of what is installed."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from zfscale.data.text_files import pieces
from zfscale.errors import DataError

EXCERPT = 1 << 11  # characters of a document, at most
PROSE = ("torch", "numpy", "sklearn", "transformers")  # the packages whose docstrings are read
SHORTEST = 200  # characters of a docstring that counts as prose
TESTS = {"test", "tests", "idle_test"}
NOT_CODE = {"encodings", "pydoc_data"}  # tables, prose
NOT_LIBRARY = TESTS | NOT_CODE | {"lib2to3", "site-packages", "dist-packages"}
LEGAL = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT")


def python_code() -> Iterator[str]:
    """The standard library's modules, without its tests and tables."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return _excerpts(f for f in root.rglob("*.py") if not NOT_LIBRARY.intersection(f.relative_to(root).parts))


def cpp_headers() -> Iterator[str]:
    """The C++ and CUDA headers that torch installs."""
    return _excerpts((_package("torch") / "include").rglob("*.h"))


def reference() -> Iterator[str]:
    """Python's language reference, as `help()` shows it: one topic, one document."""
    from pydoc_data.topics import topics

    return _once(topics[name] for name in sorted(topics))


def licenses() -> Iterator[str]:
    """Licence texts of the installed distributions."""
    files = {
        Path(str(f.locate()))
        for d in metadata.distributions()
        for f in d.files or ()
        if f.name.upper().startswith(LEGAL) and f.suffix.lower() in ("", ".txt", ".md", ".rst")
    }
    return _excerpts(files)


def docstrings() -> Iterator[str]:
    """What the installed scientific packages say of their public classes and functions: English with examples."""
    roots = [_package(name) for name in PROSE]
    files = [(f.relative_to(r.parent), f) for r in roots for f in r.rglob("*.py")]
    library = sorted((pair for pair in files if "tests" not in pair[0].parts and pair[1].is_file()), key=_mixed)
    return _once(text for _, f in library for text in _docstrings(f.read_text("utf-8", "replace")))


def _docstrings(code: str) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError):  # a template, a null byte, a generated monster
            return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            text = ast.get_docstring(node) or ""
            if len(text) > SHORTEST:
                yield text


def _excerpts(files: Iterable[Path]) -> Iterator[str]:
    """Their texts in pieces of `EXCERPT`, in an order that mixes them all: a small budget is a sample of the whole.

    Pieces that differ in white space only appear once.
    """
    texts = (f.read_text("utf-8", "replace") for f in sorted(files) if f.is_file())
    found = {_digest(piece): piece for text in texts for piece in pieces([text], EXCERPT)}
    return (found[digest] for digest in sorted(found))


def _mixed(pair: tuple[Path, Path]) -> bytes:
    return hashlib.sha256(pair[0].as_posix().encode("utf-8", "surrogateescape")).digest()


def _once(texts: Iterable[str]) -> Iterator[str]:
    seen = set()
    for text in texts:
        digest = _digest(text)
        if digest not in seen:
            seen.add(digest)
            yield text


def _digest(text: str) -> bytes:
    """The same for texts that differ in white space only."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace")).digest()


def _package(name: str) -> Path:
    """Directory of an installed package, found without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise DataError(f"package {name!r} is not installed, and the text domain is made of it")
    return Path(spec.origin).parent


def installed() -> list[str]:
    """Names and versions of the distributions, which tell the documents from those of another installation."""
    return sorted({f"{d.name}=={d.version}" for d in metadata.distributions()})


DOMAINS: dict[str, Callable[[], Iterator[str]]] = {
    "python-code": python_code,
    "cpp-headers": cpp_headers,
    "reference": reference,
    "licenses": licenses,
    "docstrings": docstrings,
}
