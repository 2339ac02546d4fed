"""Bytes to text in parts: characters and faults at any place of any part."""

from __future__ import annotations

import io
import random

import pytest

from zfscale.data import decode
from zfscale.data.decode import Decoder, decoded
from zfscale.data.notes import Notes
from zfscale.errors import DataError

TEXT = "naïve слово 漢字 🙂\r\n" * 40


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030", "shift_jis"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_characters_across_parts(encoding, chunk, monkeypatch):
    text = TEXT.replace("ï", "i").replace("🙂", "") if encoding == "shift_jis" else TEXT
    monkeypatch.setattr(decode, "CHUNK", max(chunk, 4))  # a byte order mark is in the first one
    given = "utf-8" if encoding in ("utf-8-sig", "utf-16", "utf-32") else encoding  # the mark says which
    found = decoded(io.BytesIO(text.encode(encoding)), "f", 10**9, given, Notes())
    assert "".join(found) == text


@pytest.mark.parametrize("seed", range(20))
def test_a_broken_byte_is_found_where_it_is(seed, monkeypatch):
    draw = random.Random(seed)
    content = TEXT.encode()
    starts = [i for i, byte in enumerate(content) if byte & 0xC0 != 0x80]
    at = draw.choice(starts)
    broken = content[:at] + b"\xff" + content[at:]
    monkeypatch.setattr(decode, "CHUNK", draw.randint(4, 200))
    with pytest.raises(DataError, match=rf"^f: byte {at} \(0xff\) is no utf-8; "):
        list(decoded(io.BytesIO(broken), "f", len(broken), "utf-8", Notes()))
    notes = Notes()
    text = "".join(decoded(io.BytesIO(broken), "f", 10_000, "utf-8", notes))  # one in ten thousand is
    assert text == broken.decode("utf-8", "replace")
    assert notes.lines() == [f"undecodable places, read as U+FFFD: 1; the first: f, byte {at} (0xff)"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "cp1251"])
def test_a_nul_is_found_where_it_is(encoding, monkeypatch):
    monkeypatch.setattr(decode, "CHUNK", 6)
    content = "слово".encode(encoding)
    broken = content + "\0".encode(encoding) + content
    with pytest.raises(DataError, match=rf"^f: byte {len(content)} is NUL"):
        list(decoded(io.BytesIO(broken), "f", 10**9, encoding, Notes()))


def test_a_text_that_ends_within_a_character():
    decoder = Decoder("f", 10_000, "utf-8")
    assert decoder.decode("é".encode()[:1]) + decoder.decode(b"", final=True) == "\ufffd"
    assert (decoder.broken, decoder.first) == (1, "byte 0 (0xc3)")
