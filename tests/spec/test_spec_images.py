"""Where images are, as far as names tell: the directory rules of the loaders are applied before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from zfscale.errors import DataError, SpecError
from zfscale.spec import load
from zfscale.spec.directories import is_junk, layout, shown
from zfscale.spec.splits import choose, role

FILE = """\
name: x
model: {name: embedded/vit-nano}
stream:
  dataset: DATASET
  tasks: 2
method: {name: ease}
optimizer: {name: zo-sgd, lr: 1e-3}
train: {epochs: 1, batch_size: 8}
"""
MISTAKES = {  # directories and files that are there, the dataset, where, what it says
    "no directory": (
        [],
        "{path: ROOT/none, format: imagefolder}",
        "path",
        "does not exist; expected a directory",
    ),
    "a file": (["a.txt"], "{path: ROOT/a.txt, format: imagefolder}", "path", "is not a directory"),
    "class sets": (
        ["train/a/x", "train/b/x", "test/a/x", "test/c/x"],
        "{path: ROOT, format: imagefolder}",
        *(
            "path",
            "ROOT/train and ROOT/test have different classes: 'b' is only in ROOT/train; 'c' is only in ROOT/test",
        ),
    ),
    "too deep": (["x/a/0", "x/b/0", "y/a/0"], "{path: ROOT, format: imagefolder}", "path", "'x', 'y' hold only direct"),
    "tasks": (
        ["Train/a/0", "Train/b/0", "Train/c/0"],
        "{path: ROOT, format: imagefolder}",
        "",
        "the 3 classes",
    ),
    "hidden": (["a/0", "b/0", ".c/0", "__MACOSX/0", "d/0"], "{path: ROOT, format: imagefolder}", "", "the 3 classes"),
    "columns": (
        ["a/0", "b/0"],
        "{path: ROOT, format: imagefolder, columns: {label: x}}",
        "columns",
        "has no effect on im",
    ),
    "images": (["a/0", "b/0"], "{path: ROOT, format: cub, images: ROOT}", "images", "has no effect on cub"),
    "no table": (["a/0"], "{path: ROOT/t.csv, format: csv}", "path", "does not exist; expected a table of image files"),
    "a directory as table": (["a/0"], "{path: ROOT, format: csv}", "path", "is not a file; expected a table"),
    "no images": (["t.csv"], "{path: ROOT/t.csv, format: csv, images: ROOT/no}", "images", "is not a directory"),
    "text column": (
        ["t.csv"],
        "{path: ROOT/t.csv, format: csv, columns: {text: x}}",
        "columns.text",
        "no effect on im",
    ),
    "no hub directory": ([], "{hub: ROOT/none}", "hub", "does not exist"),
    "no hub id": ([], "{hub: 'a b'}", "hub", "unknown dataset 'a b'; allowed:, a hub id such as owner/name"),
}


def message(root: Path, files: list[str], dataset: str) -> str:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    sweep = root.parent / "x.yaml"
    sweep.write_text(FILE.replace("DATASET", dataset.replace("ROOT", str(root))))
    with pytest.raises(SpecError) as caught:
        load(sweep)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(root), "ROOT").replace(str(root.parent), "").replace(root.name, "ROOT")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_located_and_explained(tmp_path: Path, name: str) -> None:
    files, dataset, key, says = MISTAKES[name]
    (tmp_path / "root").mkdir()
    error = message(tmp_path / "root", files, dataset)
    place = "stream.tasks" if not key else f"stream.dataset.{key}"
    assert f"x.yaml:{4 if key else 5}: {place}: " in error, error
    assert says in error


def test_the_words_for_splits() -> None:
    words = {"train": "train Training TRAIN", "test": "Test testing EVAL", "validation": "val VALID Validation dev"}
    assert all(role(word) == what for what, some in words.items() for word in some.split())
    assert [role(name) for name in ("training set", "extra", "trains", "")] == [None] * 4
    assert choose(["val", "Train", "test"], "x", "y").test == "test"
    assert choose(["dev", "train"], "x", "y").test == "dev"
    assert choose(["train", "extra"], "x", "y").test is None
    with pytest.raises(DataError, match="x: 'val' and 'dev' are both splits for validation; rename"):
        choose(["train", "val", "dev"], "x", "rename")


def test_junk_and_names() -> None:
    assert all(map(is_junk, (".DS_Store", "Thumbs.db", "__MACOSX", ".ipynb_checkpoints", "._a.png", "desktop.ini")))
    assert not any(map(is_junk, ("a.png", "thumbs", "MACOSX")))
    assert shown("a\nb\udcff") == r"a\nb\xff"
    assert shown("käse") == "käse"


def test_a_link_that_leads_in_a_circle_is_no_class(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("b")
    assert layout(tmp_path).classes == ("a",)
