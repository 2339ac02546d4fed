"""Large datasets: decoded once, mapped into memory, noticed when a file changes, and nothing half done is left."""

from __future__ import annotations

import io
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.pictures_as import encoded, noise
from tests.data.test_images_folders import folder, layout, write
from tests.troubles import assert_told
from zfscale.data import decoding, image_cache
from zfscale.data import progress as module
from zfscale.data.image_data import ImageData
from zfscale.data.pixels import decode
from zfscale.data.progress import progress
from zfscale.errors import DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which every dataset is large enough to go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(decoding, "LARGE", 1)
    return tmp_path / "xdg" / "zfscale" / "images"


def same(a: ImageData, b: ImageData) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Grey first, then colours, then another size: every conversion is done on the way."""
    root = write(tmp_path / "pictures", *layout(".", images=5))
    (root / "a" / "0.png").write_bytes(encoded(noise(1, channels=1)))
    (root / "a" / "1.png").write_bytes(encoded(noise(2, channels=1)))
    (root / "b" / "4.png").write_bytes(encoded(noise(3, (9, 30))))
    return root


def test_from_the_cache_comes_what_is_decoded(cache: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = folder(pictures)
    base: Any = first.train_x
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    assert not first.train_x.flags.writeable
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "LARGE", 2**40)
        assert same(first, folder(pictures))
    monkeypatch.setattr(decoding, "decode", None)
    assert same(first, folder(pictures))
    assert [entry.name.startswith("aside") for entry in cache.iterdir()] == [False]


def test_a_changed_file_is_noticed(cache: Path, pictures: Path) -> None:
    file = pictures / "a" / "2.png"
    status, before = file.stat(), folder(pictures)
    new = encoded(noise(99))
    file.write_bytes(new)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = folder(pictures)
    assert not same(before, after)
    assert any(np.array_equal(x, noise(99).transpose(2, 0, 1)) for x in [*after.train_x, *after.test_x])


def test_a_file_that_changes_while_it_is_read(cache: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(raw: bytes, where: str) -> tuple[Any, bool]:
        (pictures / "a" / "2.png").write_bytes(encoded(noise(99)))
        return decode(raw, where)

    monkeypatch.setattr(decoding, "decode", changing)
    with pytest.raises(DataError) as caught:
        folder(pictures)
    assert_told(caught.value, str(pictures), "images changed while they were read; run the same command again")
    assert not list(cache.iterdir())


def test_findings_are_said_again(cache: Path, pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(pictures, *(f"b/{i}.png" for i in range(5, 10)))
    for i in range(10):
        (pictures / "b" / f"{i}.png").write_bytes(encoded(noise(i // 2)))
    (pictures / "a" / "0.png").write_bytes(encoded(noise(1, channels=1).astype(np.uint16) * 16))
    seen = []
    for _ in range(2):
        caplog.clear()
        data = folder(pictures)
        seen.append(caplog.text)
        assert not {x.tobytes() for x in data.train_x} & {x.tobytes() for x in data.test_x}
    assert "training images are also test images; they are left out of training" in seen[0]
    assert "1 16-bit images are nearly black: they use less than 1/16 of their range" in seen[0]
    assert f"(first: {pictures}/a/0.png)" in seen[0]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("damage", ["cut", "facts", "no images"])
def test_a_damaged_entry_is_made_again(cache: Path, pictures: Path, damage: str) -> None:
    mapped = folder(pictures)
    before = ImageData(*(x.copy() if isinstance(x, np.ndarray) else x for x in vars(mapped).values()))
    del mapped
    (entry,) = cache.iterdir()
    file = entry / (image_cache.FACTS if damage == "facts" else image_cache.IMAGES)
    file.unlink() if damage == "no images" else os.truncate(file, file.stat().st_size // 2)
    assert same(before, folder(pictures))


KILLED = """
import os, sys, signal
from zfscale.data import decoding, stack
from tests.data.test_images_folders import folder
from pathlib import Path

decoding.LARGE = 1
add, count = stack.Stack.add, 0

def slow(self, image):
    global count
    add(self, image)
    count += 1
    if count == 5:
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))

stack.Stack.add = slow
folder(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_nothing_half_done_is_left(cache: Path, pictures: Path, name: str) -> None:
    """Ctrl-C removes what was written; after a SIGKILL the next process does."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(pictures), name], capture_output=True, text=True)
    assert done.returncode in (-2, -9, 130), done.stderr
    left = [entry.name for entry in cache.iterdir()]
    assert [entry.startswith("aside-") for entry in left] == [True] * (name == "SIGKILL")
    folder(pictures)
    (entry,) = cache.iterdir()
    assert entry.name not in left
    assert sorted(file.name for file in entry.iterdir()) == [image_cache.FACTS, image_cache.IMAGES]


def test_a_cache_that_cannot_be_written(pictures: Path, cache: Path) -> None:
    cache.parent.parent.write_text("a file")
    with pytest.raises(DataError) as caught:
        folder(pictures)
    assert_told(caught.value, str(cache), "set XDG_CACHE_HOME")


def test_a_full_disk(pictures: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoding, "open", lambda *_: Full(), raising=False)
    with pytest.raises(DataError) as caught:
        folder(pictures)
    assert_told(caught.value, str(cache), "No space left on device; set XDG_CACHE_HOME")
    assert not list(cache.iterdir())


def test_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 6.0, 6.0, 7.0, 60.0, 60.0])  # when it begins, at each look, and at each line
    monkeypatch.setattr(module, "monotonic", lambda: next(now))
    with progress("images decoded", 30, "images") as advance:
        for done in (10, 10, 5, 5):
            advance(done)
    assert capsys.readouterr().err.splitlines() == [
        "images decoded: 20 of 30 images",
        "images decoded: 30 of 30 images",
    ]
