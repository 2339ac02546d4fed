"""Compressed files are unpacked by their first bytes, whatever they are called, and whole or not at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from types import SimpleNamespace

import pyarrow as pa
import pytest

from zfscale.data.compression import codec, unpacked
from zfscale.errors import DataError

TEXT = b"some text, which is long enough to be worth it\n" * 2000


def by_arrow(name: str) -> Callable[[bytes], bytes]:
    def pack(content: bytes) -> bytes:
        raw = pa.BufferOutputStream()
        with pa.CompressedOutputStream(raw, name) as out:
            out.write(content)
        return raw.getvalue().to_pybytes()

    return pack


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": by_arrow("zstd"),
    "lz4": by_arrow("lz4"),
}


def read(path) -> bytes:
    with unpacked(str(path)) as stream:
        return b"".join(iter(lambda: stream.read(1000), b""))


@pytest.mark.parametrize("name", PACK)
def test_each_codec_by_its_first_bytes(name, tmp_path):
    packed = PACK[name](TEXT)
    assert codec(packed[:10]) == name
    for suffix in (".txt", ".gz", ".zst", ""):
        (tmp_path / f"a{suffix}").write_bytes(packed)
        assert read(tmp_path / f"a{suffix}") == TEXT
    (tmp_path / "twice").write_bytes(packed + packed)  # as `cat a.gz b.gz` makes it
    assert read(tmp_path / "twice") == TEXT + TEXT


@pytest.mark.parametrize("name", PACK)
def test_a_cut_or_damaged_file_is_refused(name, tmp_path):
    packed = PACK[name](TEXT)
    for cut in (11, len(packed) // 2, len(packed) - 1):
        (tmp_path / "a").write_bytes(packed[:cut])
        with pytest.raises(DataError, match=rf"^{tmp_path}/a: cannot be read: "):
            read(tmp_path / "a")


def test_what_is_named_as_compressed_and_is_not(tmp_path):
    (tmp_path / "a.txt.GZ").write_bytes(TEXT)
    with pytest.raises(
        DataError, match=r"a\.txt\.GZ: is named as a compressed file and is none \(it starts with b'some"
    ):
        read(tmp_path / "a.txt.GZ")
    (tmp_path / "b.gz").write_bytes(b"")
    assert read(tmp_path / "b.gz") == b""
    assert codec(b"BZh is how a text may begin") is None


def test_a_codec_that_pyarrow_was_built_without(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(PACK["zstd"](TEXT))
    monkeypatch.setattr(pa, "Codec", SimpleNamespace(is_available=lambda _: False))
    with pytest.raises(DataError, match=r"/a: is compressed by zstd, which this build of pyarrow cannot read"):
        read(tmp_path / "a")
