"""What a file is, by its name and its first bytes: whether it can be the text that it is said to be."""

from __future__ import annotations

import codecs
import io
import json
import os
import stat
from typing import Any

from zfscale.data.compression import codec, unpacked
from zfscale.data.decode import Decoder
from zfscale.data.formats.catalogue import FORMATS
from zfscale.errors import DataError

HEAD = 1 << 14  # bytes at the start of a file that are looked at
TAIL = 1 << 10  # and at its end
LONG_LINE = 1 << 20  # as far as that for the end of a first line that may be JSON
SURE = 16  # bytes beyond ASCII that show, if they are UTF-8, that a file is
LINES = 8  # lines that are looked at for JSON
TEXTUAL = (b"%PDF-", b"{\\rtf", b"version https")  # what need not hold a NUL
CONTAINERS = {  # first bytes -> what it is, and what to do
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"PK\x05\x06": "a ZIP archive; unpack it",
    b"%PDF-": "a PDF; extract its text",
    b"\x89PNG": "a PNG image; take it out of the glob",
    b"\xff\xd8\xff": "a JPEG image; take it out of the glob",
    b"GIF8": "a GIF image; take it out of the glob",
    b"RIFF": "an image, sound or film (RIFF); take it out of the glob",
    b"II*\0": "a TIFF image; take it out of the glob",
    b"MM\0*": "a TIFF image; take it out of the glob",
    b"SQLite format 3\0": "an SQLite database; export a table as CSV",
    b"ARROW1": "Arrow IPC; convert it to Parquet",
    b"\xff\xff\xff\xff": "an Arrow stream; convert it to Parquet",
    b"ORC": "ORC; convert it to Parquet",
    b"Obj\x01": "Avro; convert it to Parquet",
    b"\x89HDF": "HDF5; export its text",
    b"GGUF": "a GGUF model; take it out of the glob",
    b"\x93NUMPY": "a NumPy array; take it out of the glob",
    b"\x7fELF": "a program; take it out of the glob",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"\xd0\xcf\x11\xe0": "an old Office document or Thumbs.db; take it out of the glob",
    b"{\\rtf": "RTF; convert it to text",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; run git lfs pull",
}


def irregular(file: str) -> str | None:
    """What a path is instead of a file; None if it is one, or a directory."""
    try:
        mode = os.stat(file).st_mode
    except OSError as error:
        return f"is a link to nothing ({os.readlink(file)})" if os.path.islink(file) else f"{error.strerror}"
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))
    return next((f"is {name}, not a file" for of, name in (*kinds, (stat.S_ISBLK, "a device")) if of(mode)), None)


def look(file: str, encoding: str, *, json_lines: bool = False) -> None:
    """Refuse a file whose first or last bytes show that it is no text of an encoding; an empty one passes.

    Lines of JSON are text to a format that says so with `json_lines`.
    Errors: DataError with the file, what it is (and the byte), and the remedy.
    """
    size = os.path.getsize(file)
    with unpacked(file) as stream:
        head, plain = _head(stream), isinstance(stream, io.BufferedReader)
        whole = not stream.read(1)
    if what := container(head):
        raise DataError(f"{file}: is {what}")
    decoder = Decoder(file, size, encoding)
    text = decoder.decode(head, final=whole)
    if plain and not decoder.encoding.startswith(("utf-16", "utf-32")):
        _zeros_at_the_end(file, size)
    if decoder.encoding != "utf-8" and _is_utf8(head):
        raise DataError(f"{file}: is UTF-8, not {encoding}; leave encoding: out, or take the file out of the glob")
    if not json_lines and is_json_lines(text, whole):
        raise DataError(f"{file}: is JSON lines; write format: jsonl, and column: for the one of text")
    if is_json_array(text, whole):
        raise DataError(f"{file}: is a JSON array; write one object a line (jq -c '.[]') and format: jsonl")


def container(head: bytes) -> str | None:
    """What holds other things than plain text, and what to do; None for what may be text."""
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it"
    if head[8:9] == b"{" and head[5:8] == b"\0\0\0":
        return "a safetensors model; take it out of the glob"
    if codec(head):
        return f"compressed twice, by {codec(head)} within; unpack it"
    signatures = [(name, *facts.signature) for name, facts in FORMATS.items() if facts.signature is not None]
    formats = {magic: f"{title}; write format: {name}" for name, title, magic in signatures}
    for magic, what in (formats | CONTAINERS).items():
        word = magic.decode("latin-1").isprintable() and magic.isascii() and not magic.startswith(TEXTUAL)
        if head.startswith(magic) and (not word or b"\0" in head):  # a text may begin with a word
            return what
    return None


def is_json_lines(text: str, whole: bool) -> bool:
    """Whether each of the first lines of a text is a JSON object; its last line counts if the text is `whole`."""
    lines = text.split("\n")
    first = [line for line in (lines if whole else lines[:-1]) if line.strip()][:LINES]
    return bool(first) and all(line.lstrip().startswith("{") and _is_object(line) for line in first)


def is_json_array(text: str, whole: bool) -> bool:
    """Whether a text is a JSON array, or, if it is not there as a whole, starts as an array of objects does."""
    if not text.lstrip().startswith("["):
        return False
    inner = text.lstrip()[1:].lstrip()
    try:
        if whole:
            return isinstance(json.loads(text), list)
        _, end = json.JSONDecoder().raw_decode(inner) if inner.startswith("{") else (None, len(inner))
    except (ValueError, RecursionError):
        return False
    return inner[end:].lstrip().startswith((",", "]"))


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _head(stream: Any) -> bytes:
    """The first bytes; more of them where they may be the start of a long line of JSON."""
    head = stream.read(HEAD)
    if head.lstrip().startswith((b"{", b"[")) and b"\n" not in head.strip():
        head += stream.read(LONG_LINE)
    return head


def _is_utf8(head: bytes) -> bool:
    """Whether bytes are UTF-8 beyond doubt: enough of them are no ASCII for it to be no coincidence."""
    if sum(byte > 0x7F for byte in head) < SURE:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _zeros_at_the_end(file: str, size: int) -> None:
    """A file whose end was never written, as after a crash, is not read up to there first."""
    if size > HEAD:
        with open(file, "rb") as raw:
            raw.seek(-TAIL, os.SEEK_END)
            if raw.read() == bytes(TAIL):
                raise DataError(f"{file}: the last bytes, from {size - TAIL} on, are NUL, which no text has")
