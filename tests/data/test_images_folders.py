"""Image folders: layouts, what is left out and said, and links; nothing is left out without a word."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.data.pictures_as import encoded, noise
from tests.troubles import assert_told
from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.errors import DataError
from zfscale.spec import DatasetPath


def write(root: Path, *names: str) -> Path:
    """A picture of its own in each of these files."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        seed = abs(hash(("picture", name))) % 2**31
        file.write_bytes(
            encoded(noise(seed), {".jpg": "JPEG", ".jfif": "JPEG", ".avif": "AVIF"}.get(file.suffix, "PNG"))
        )
    return root


def folder(root: Path, size: int = 12) -> ImageData:
    return load(DatasetPath(path=str(root), format="imagefolder"), size)


def refused(root: Path, *says: str) -> None:
    with pytest.raises(DataError) as caught:
        folder(root)
    assert_told(caught.value, *says)


def layout(*splits: str, classes: Iterable[str] = "ab", images: int = 3) -> list[str]:
    return [f"{split}/{c}/{i}.png" for split in splits for c in classes for i in range(images)]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "zfscale")
    return caplog


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "Testing"), ("train", "valid"), ("TRAIN", "Val"), ("train", "dev"), ("training", "validation")],
)
def test_splits_by_any_usual_name(tmp_path: Path, train: str, test: str) -> None:
    data = folder(write(tmp_path, *layout(train, test)))
    assert data.classes == ("a", "b")
    assert (data.train_y.tolist(), data.test_y.tolist()) == ([0, 0, 0, 1, 1, 1],) * 2


def test_of_three_splits_that_for_testing_is_tested_on(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    data = folder(write(tmp_path, *layout("train", "val"), *layout("test", images=2)))
    assert (len(data.train_y), len(data.test_y)) == (6, 4)
    assert "not used: the split 'val'" in said.text


@pytest.mark.parametrize("only", ["test", "Validation", "train"])
def test_an_only_split_is_cut(tmp_path: Path, said: pytest.LogCaptureFixture, only: str) -> None:
    data = folder(write(tmp_path, *layout(only, images=5)))
    assert data.classes == ("a", "b")
    assert (len(data.train_y), len(data.test_y)) == (8, 2)
    assert f"its only split, {only!r}, is cut into 80 % to train" in said.text
    assert not {x.tobytes() for x in data.train_x} & {x.tobytes() for x in data.test_x}


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    assert folder(write(tmp_path, *layout(".", classes="x"), "train/0.png", "train/1.png")).classes == ("train", "x")


def test_the_layouts_of_continual_learning(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    """ImageNet-R and -A are one directory per wnid beside a README; OmniBenchmark has train and test."""
    root = write(tmp_path / "imagenet-r", "n01443537/art_0.jpg", "n01443537/misc_1.jpg", "n02/a.jpg", "n02/b.jpg")
    (root / "README.txt").write_text("ImageNet-R")
    assert folder(root).classes == ("n01443537", "n02")
    assert not said.records
    root = write(tmp_path / "omnibenchmark", *layout("train", "test", classes="012"))
    assert folder(root).classes == ("0", "1", "2")


MISTAKES = {
    "no train": (layout("test", "val"), ["none of its splits (test, val) is one for training"]),
    "two of one kind": (layout("train", "test", "testing"), ["'test' and 'testing' are both splits for testing"]),
    "other classes": (
        [*layout("train", "test"), "train/c/0.png", "test/d/0.png"],
        ["'c' is only in", "train", "'d' is only in", "test"],
    ),
    "too deep": (
        ["x/a/0.png", "x/b/0.png", "y/a/0.png"],
        ["'x', 'y' hold only directories", "expected are ROOT/CLASS"],
    ),
    "one too high": (
        ["data/train/a/0.png", "data/test/a/0.png"],
        ["'data' holds only directories", "data the one that"],
    ),
    "deep in a split": ([*layout("train", "test"), "train/c/d/0.png"], ["train", "'c' holds only directories"]),
    "a split beside classes": (
        ["cat/0.png", "dog/0.png", "test/a/0.png"],
        ["is 'test' a split, or a class as 'cat'"],
    ),
    "no classes": (["train/0.png", "test/0.png"], ["train: no class subdirectories; expected are"]),
    "loose": (["0.png", "1.png"], ["no class subdirectories"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_layout_that_is_none(tmp_path: Path, name: str) -> None:
    files, says = MISTAKES[name]
    refused(write(tmp_path, *files), str(tmp_path), *says)


def test_directories_of_directories_are_no_classes_whatever_lies_beside_them(tmp_path: Path) -> None:
    write(tmp_path, "training_set/a/0.png", "training_set/b/0.png", "test_set/a/0.png")
    (tmp_path / "training_set" / "README.txt").write_text("x")
    (tmp_path / "test_set" / "labels.csv").write_text("x")
    refused(tmp_path, "test_set: all its images lie in directories below it; expected are ROOT/CLASS")


def test_directories_of_windows_are_no_classes(tmp_path: Path) -> None:
    write(tmp_path, *layout("."), *layout(".", classes=["$RECYCLE.BIN", "System Volume Information"]))
    assert folder(tmp_path).classes == ("a", "b")


def test_what_pillow_can_read_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    names = ["0.jfif", "1.avif", "2.PNG", "no_suffix", "download.php", "3.jpg"]
    data = folder(write(tmp_path, *(f"{c}/{c}{name}" for c in "ab" for name in names)))
    assert len(data.train_y) + len(data.test_y) == 12


def test_what_is_left_out_is_counted_and_said_once(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    root = write(tmp_path, *layout(".", images=5), "a/.ipynb_checkpoints/0.png", "a/._0.png", "__MACOSX/a/0.png")
    write(root, "a/deeper/0.png", "loose.png")
    for name in ("a/.DS_Store", "b/Thumbs.db", "b/notes.txt", "b/more.txt", "a/labels.csv"):
        (root / name).write_text("x")
    data = folder(root)
    assert len(data.train_y) + len(data.test_y) == 11
    lines = [record.getMessage() for record in said.records]
    assert len(lines) == len(set(lines)) == 5
    assert all(line.startswith(f"dataset {root}: ") for line in lines)
    for line in (
        "4 hidden files or directories are left out",
        "2 .txt files are no images and are left out (first: ",
        "1 .csv files are no images and are left out",
        "1 images lie in directories below those of their classes",
        "1 images lie beside the class directories and are left out",
    ):
        assert any(line in text for text in lines), (line, lines)


@pytest.mark.parametrize("suffix", [".heic", ".cr2", ".svg", ".HEIF"])
def test_images_that_pillow_does_not_read_do_not_vanish(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, *layout("."))
    (tmp_path / "b" / f"photo{suffix}").write_bytes(b"x")
    refused(tmp_path, f"b/photo{suffix}: Pillow does not read {suffix.lower()} images; convert it to PNG or JPEG")


def test_several_files_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    write(tmp_path, *layout(".", images=20))
    for i in range(3):
        (tmp_path / "a" / f"bad{i}.png").write_bytes(b"x")
    refused(tmp_path, "3 images cannot be read: ", "bad0.png", "bad1.png", "bad2.png")
    for i in range(15):
        (tmp_path / "b" / f"bad{i}.heic").write_bytes(b"x")
    refused(tmp_path, "b/bad0.heic", "and 5 more")


def special(root: Path, kind: str, name: str) -> Path:
    path = root / "b" / name
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        here = os.getcwd()
        os.chdir(path.parent)  # the path of a socket is short
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(name)
        os.chdir(here)
    else:
        path.symlink_to("nowhere")
    return path


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a dangling link to nowhere"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str, said: pytest.LogCaptureFixture) -> None:
    write(tmp_path, *layout("."))
    special(tmp_path, kind, "other")
    folder(tmp_path)
    assert "1 special files are no images and are left out" in said.text
    special(tmp_path, kind, "x.png")
    refused(tmp_path, f"b/x.png: not a readable image: it is {kind}")


@pytest.mark.timeout(60)
def test_links_are_followed_once(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    elsewhere = write(tmp_path / "elsewhere", "0.png", "deep/1.png")
    root = write(tmp_path / "root", *layout(".", images=4))
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "a" / "again.png").symlink_to(root / "a" / "0.png")
    (root / "a" / "round").symlink_to("round")
    (root / "a" / "more").symlink_to(elsewhere)
    (root / "a" / "twice").symlink_to(elsewhere)
    (root / "b" / "link.png").symlink_to(elsewhere / "0.png")
    (root / "c").symlink_to(write(tmp_path / "c", "p.png", "q.png"))
    data = folder(root)
    assert data.classes == ("a", "b", "c")
    total = np.bincount(np.concatenate([data.train_y, data.test_y]))
    assert total.sum() in (12, 13)  # b/link.png is a/more/0.png, so one of them may be left out of training
    assert total[2] == 2
    assert "4 links to what is read anyway are left out" in said.text
    assert "1 special files are no images" in said.text


def test_names_of_any_bytes(tmp_path: Path) -> None:
    write(tmp_path, *layout("."), "ü ü/0.png", "ü ü/1.png")
    bad = os.fsencode(tmp_path / "a") + b"/\xff\n.png"
    Path(os.fsdecode(bad)).write_bytes(b"x")
    refused(tmp_path, r"a/\xff\n.png: not a readable image")
