"""Where the documents of a text domain come from: text that an installation carries, a user's files, a hub dataset."""

from __future__ import annotations

import ast
import glob
import gzip
import hashlib
import os
import platform
import sysconfig
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zfscale.data.hub import not_loaded
from zfscale.errors import DataError

PIECE = 1 << 13  # characters; a longer text file is read as several documents, so that it never is whole in memory
EXCERPT = 1 << 11  # characters of an embedded domain's document, at most
PROSE = ("torch", "numpy", "sklearn", "transformers")  # the packages whose docstrings are read
ASKING = 10.0  # seconds for the hub to say which revision it has
SHORTEST = 200  # characters of a docstring that counts as prose
TESTS = {"test", "tests", "idle_test"}
NOT_CODE = {"encodings", "pydoc_data"}  # tables, prose
NOT_LIBRARY = TESTS | NOT_CODE | {"lib2to3", "site-packages", "dist-packages"}
LEGAL = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT")


@dataclass(frozen=True)
class Corpus:
    """Documents, read anew at every call, and what tells them from any others: plain data for a cache key."""

    identity: Any
    documents: Callable[[], Iterator[str]]


def find(source: str | Any, memory: Path | None = None) -> Corpus:
    """The corpus of a name of `DOMAINS`, of a hub id, or of `{path: GLOB, format: text}` (a dict or an object).

    Files are told from others by their contents, wherever they lie; a hub dataset by its revision, which is remembered
    in the directory `memory` for when the hub cannot be asked.
    Errors: DataError if no file matches or one is unreadable; of a hub dataset, only when its documents are read.
    """
    if not isinstance(source, str):
        files = matching(source["path"] if isinstance(source, dict) else source.path)
        return Corpus([(digest(file), is_packed(file)) for file in files], partial(text_files, files))
    if source in DOMAINS:
        return Corpus([source, platform.python_version(), *_installed()], DOMAINS[source])
    version = metadata.version("datasets")
    if os.path.isdir(source):
        files = matching(os.path.join(source, "**", "*"))
        return Corpus([version, *((os.path.relpath(f, source), digest(f)) for f in files)], partial(hub, source))
    revision = revision_of(source)
    if memory is not None:
        revision = _remembered(memory / f"revision-{hashlib.sha256(source.encode()).hexdigest()}", revision)
    return Corpus([source, version, revision], partial(hub, source, revision))


def digest(file: str) -> str:
    """The sha256 of a file's content, which is never whole in memory; DataError if it cannot be read."""
    found = hashlib.sha256()
    try:
        with open(file, "rb") as handle:
            for part in iter(partial(handle.read, 1 << 20), b""):
                found.update(part)
    except OSError as error:
        raise DataError(f"{file}: not readable: {error}") from error
    return found.hexdigest()


def revision_of(dataset: str) -> str | None:
    """The commit that the hub has of a dataset now; None if it cannot be asked."""
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(dataset, timeout=ASKING).sha
    except Exception:  # the client's errors have no common base class; what is wrong is told when rows are read
        return None


def _remembered(file: Path, revision: str | None) -> str | None:
    """The revision, or the one that was written here last; None if neither is known."""
    try:
        if revision is None:
            return file.read_text() or None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(revision)
    except OSError:  # as without a memory
        pass
    return revision


def matching(pattern: str) -> list[str]:
    """Absolute paths of the files that a glob matches, sorted; `**` stands for any depth."""
    found = glob.glob(os.path.expanduser(pattern), recursive=True)
    if files := sorted(os.path.abspath(f) for f in found if os.path.isfile(f)):
        return files
    hint = f"; it is a directory: {os.path.join(pattern, '**', '*')}?" if os.path.isdir(pattern) else ""
    raise DataError(f"{pattern}: no file matches{hint}")


def is_packed(file: str) -> bool:
    """Whether a text file is unpacked before it is read."""
    return file.endswith(".gz")


def text_files(files: Iterable[str]) -> Iterator[str]:
    """The text of each file, a long one in pieces; `.gz` is unpacked. Bytes that are no UTF-8 become U+FFFD."""
    for file in files:
        opener: Any = gzip.open if is_packed(file) else open
        try:
            with opener(file, "rt", encoding="utf-8", errors="replace") as handle:
                yield from _pieces(iter(partial(handle.read, PIECE), ""))
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{file}: not readable: {error}") from error


def _pieces(parts: Iterable[str], size: int = PIECE) -> Iterator[str]:
    """Texts of at most `size` characters that joined are `parts` joined."""
    rest = ""
    for part in parts:
        rest += part
        while len(rest) > size:
            cut = _cut(rest, size)
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest


def _cut(text: str, size: int) -> int:
    """Where a piece ends: after a blank line in the second half of `size`, else after any line, else at `size`."""
    for mark in ("\n\n", "\n"):
        at = text.rfind(mark, size // 2, size)
        if at >= 0:
            return at + len(mark)
    return size


def hub(dataset: str, revision: str | None = None) -> Iterator[str]:
    """The column `text` of the training split of what `datasets.load_dataset` streams: one row, one document."""
    import datasets

    try:
        splits = datasets.load_dataset(dataset, streaming=True, **({"revision": revision} if revision else {}))
        rows = splits["train"] if "train" in splits else splits[next(iter(splits))]
        for row in rows:
            if "text" not in row:
                raise DataError(f"dataset {dataset!r}: has no column 'text'; it has {', '.join(row)}")
            yield str(row["text"] or "")
    except DataError:
        raise
    except Exception as error:
        raise not_loaded(dataset, error, DOMAINS, "{path: GLOB, format: text}") from error


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
    pieces = {_digest(piece): piece for text in texts for piece in _pieces([text], EXCERPT)}
    return (pieces[digest] for digest in sorted(pieces))


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


def _installed() -> list[str]:
    return sorted({f"{d.name}=={d.version}" for d in metadata.distributions()})


DOMAINS: dict[str, Callable[[], Iterator[str]]] = {
    "python-code": python_code,
    "cpp-headers": cpp_headers,
    "reference": reference,
    "licenses": licenses,
    "docstrings": docstrings,
}
