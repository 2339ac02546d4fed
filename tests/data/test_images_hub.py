"""Datasets of the hub's format in local directories: splits, columns, labels, and errors with split and row."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.pictures_as import encoded, noise
from tests.data.test_images_folders import layout, write
from tests.troubles import assert_told
from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.errors import DataError
from zfscale.spec import HubDataset


@pytest.fixture(autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client neither asks the network nor keeps what it reads."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hf"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def rows(first: int, count: int = 6, classes: int = 2) -> dict[str, list[Any]]:
    """`count` pictures from number `first` on, and their labels."""
    numbers = range(first, first + count)
    pictures = [{"bytes": encoded(noise(i)), "path": None} for i in numbers]
    return {"image": pictures, "label": [i % classes for i in numbers]}


def parquet(file: Path, table: dict[str, list[Any]], names: Sequence[str] | None = ("x", "y"), **features: Any) -> None:
    """A Parquet file as the hub has them: an Image column, and a ClassLabel if there are names."""
    from datasets import ClassLabel, Features, Image, Value

    kinds: dict[str, Any] = {"image": Image(), "label": ClassLabel(names=list(names)) if names else Value("int64")}
    kinds = {name: (kinds | features)[name] for name in table}
    file.parent.mkdir(parents=True, exist_ok=True)
    schema = Features(kinds).arrow_schema
    pq.write_table(pa.table(table, schema=schema), file)


def dataset(root: Path, names: Sequence[str] | None = ("x", "y"), **splits: dict[str, list[Any]]) -> Path:
    for split, table in splits.items():
        parquet(root / "data" / f"{split}-00000-of-00001.parquet", table, names)
    return root


def hub(root: Path, **more: Any) -> ImageData:
    return load(HubDataset.model_validate({"hub": str(root), **more}), 12)


def refused(root: Path, *says: str, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        hub(root, **more)
    assert_told(caught.value, *says)
    return str(caught.value)


def test_train_and_test(tmp_path: Path) -> None:
    data = hub(dataset(tmp_path, train=rows(0), test=rows(6, 4)))
    assert data.classes == ("x", "y")
    assert (data.train_y.tolist(), data.test_y.tolist()) == ([0, 1] * 3, [0, 1] * 2)
    assert np.array_equal(data.train_x[3], noise(3).transpose(2, 0, 1))
    assert np.array_equal(data.test_x[1], noise(7).transpose(2, 0, 1))


@pytest.mark.parametrize("only", ["test", "validation", "train"])
def test_an_only_split_is_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture, only: str) -> None:
    caplog.set_level(logging.WARNING, "zfscale")
    data = hub(dataset(tmp_path, names=("x", "y"), **{only: rows(0, 10)}))
    assert (len(data.train_y), len(data.test_y)) == (8, 2)
    assert not {x.tobytes() for x in data.train_x} & {x.tobytes() for x in data.test_x}
    assert f"its only split, {only!r}, is cut into 80 % to train and 20 % to test on" in caplog.text


def test_splits_by_name_and_by_part(tmp_path: Path) -> None:
    root = dataset(tmp_path, train=rows(0, 10), test=rows(10, 4), validation=rows(20, 2))
    assert len(hub(root).test_y) == 4
    assert len(hub(root, split={"test": "validation"}).test_y) == 2
    data = hub(root, split={"train": "train[:80%]", "test": "train[80%:]"})
    assert (len(data.train_y), len(data.test_y)) == (8, 2)
    assert len(hub(root, split={"train": "validation", "test": "test"}).train_y) == 2
    refused(root, "no split 'tests'; did you mean 'test'?", split={"test": "tests"})
    refused(root, "'test' is both trained and tested on", split={"train": "test", "test": "test"})


@pytest.mark.parametrize("none", [-1, None])
def test_a_test_split_without_labels_gives_way(tmp_path: Path, caplog: pytest.LogCaptureFixture, none: Any) -> None:
    caplog.set_level(logging.WARNING, "zfscale")
    root = dataset(tmp_path, train=rows(0), test=rows(6) | {"label": [none] * 6}, validation=rows(12, 4))
    assert len(hub(root).test_y) == 4
    assert "the split 'test' has no labels; 'validation' is tested on instead" in caplog.text
    refused(root, "the split 'test' has no labels", "train[:80%]", split={"test": "test"})


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, 10, 9, 9, 10], ("9", "10")),
        (["dog", "cat", "dog", "cat", "cat", "dog"], ("cat", "dog")),
        ([1, -1, 1, -1, -1, 1], ("-1", "1")),
        ([True, False, True, False, False, True], ("False", "True")),
    ],
)
def test_labels_that_are_text_or_integers(tmp_path: Path, labels: list[Any], classes: tuple[str, ...]) -> None:
    from datasets import Value

    kind = Value({int: "int64", str: "string", bool: "bool"}[type(labels[0])])
    for first, split in ((0, "train"), (6, "test")):
        parquet(tmp_path / f"{split}.parquet", rows(first) | {"label": labels}, label=kind)
    data = hub(tmp_path)
    assert data.classes == classes
    assert data.train_y.tolist() == [classes.index(str(label)) for label in labels]


@pytest.mark.parametrize("names", [["y", "x"], ["x", "z"], ["x", "y", "z"]])
def test_class_names_that_differ_between_files(tmp_path: Path, names: list[str]) -> None:
    """The client takes the first file's names for all of them."""
    parquet(tmp_path / "train.parquet", rows(0), ["x", "y"])
    parquet(tmp_path / "test.parquet", rows(6), names)
    refused(tmp_path, "test.parquet and ", "train.parquet have different classes in column 'label'", *map(repr, names))


def test_columns_of_other_names(tmp_path: Path) -> None:
    from datasets import Value

    table = rows(0) | {"kind": ["a", "b"] * 3}
    table["picture"] = table.pop("image")
    for split, first in (("train", 0), ("test", 6)):
        part = table | {"picture": rows(first)["image"]}
        kinds = {"picture": {"bytes": Value("binary"), "path": Value("string")}, "kind": Value("string")}
        parquet(tmp_path / f"{split}.parquet", part, None, **kinds)
    assert hub(tmp_path).classes == ("0", "1")
    assert hub(tmp_path, columns={"image": "picture", "label": "kind"}).classes == ("a", "b")
    refused(tmp_path, "no column 'kid'; did you mean 'kind'?", columns={"label": "kid"})
    refused(
        tmp_path,
        "split 'train': column 'picture' is not a ClassLabel, text or an integer",
        columns={"label": "picture"},
    )
    refused(tmp_path, "column 'kind' is not an Image or bytes, it is string", columns={"image": "kind"})


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_bad_row_is_named(tmp_path: Path, split: str) -> None:
    for name, column, value, says in (
        ("null image", "image", None, "no image (null)"),
        ("damaged", "image", {"bytes": encoded(noise(0))[:80], "path": None}, "not a readable image"),
        ("lfs", "image", {"bytes": b"version https://git-lfs.github.com/spec/v1\n", "path": None}, "git lfs pull"),
        ("null label", "label", None, "no label"),
        ("no file", "image", {"bytes": None, "path": "/nowhere/x.png"}, "/nowhere/x.png"),
    ):
        splits = {"train": rows(0), "test": rows(6)}
        splits[split][column][4] = value
        made = dataset(tmp_path / name, names=("x", "y"), **splits)
        error = refused(made, f"dataset '{made}', split {split!r}, row 4", says)
        assert "mnist5k" not in error


def test_a_name_that_is_not_found_is_met_with_those_there_are(tmp_path: Path) -> None:
    for name in ("nobody/nothing", str(tmp_path / "nowhere")):
        with pytest.raises(DataError) as caught:
            load(name, 12)
        assert_told(caught.value, name, "allowed: digits, fashion1k", "{path: DIR, format: imagefolder}")


def test_the_whole_of_the_clients_error_is_told(tmp_path: Path) -> None:
    parquet(tmp_path / "data" / "train-0.parquet", rows(0))
    pq.write_table(pa.table({"other": [1], "schema": ["a"]}), tmp_path / "data" / "train-1.parquet")
    error = refused(tmp_path, str(tmp_path), "other", "schema")
    assert "mnist5k" not in error
    for name in ("one", "two", "three"):
        parquet(tmp_path / "configs" / name / "train.parquet", rows(0), ["x", name])
    names = "".join(f"- config_name: {n}\n  data_files: {n}/*.parquet\n" for n in ("one", "two", "three"))
    (tmp_path / "configs" / "README.md").write_text(f"---\nconfigs:\n{names}---\n")
    refused(tmp_path / "configs", "one", "two", "three", "config: NAME}")
    refused(tmp_path / "configs", "'four'", "one", "two", "three", config="four")
    assert hub(tmp_path / "configs", config="two").classes == ("x", "two")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "train.parquet: not a readable Parquet file: "),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "train.parquet: not a readable Parquet file: a Git LFS pointer",
        ),
        (b"PAR1 and no more", "train.parquet: not a readable Parquet file: "),
        (None, "doesn't contain any data files"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "train.parquet").write_bytes(content)
    assert "mnist5k" not in refused(tmp_path, str(tmp_path), says)


@pytest.mark.timeout(60)
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(dataset(tmp_path, train=rows(0)) / "data" / "test.parquet")
    refused(tmp_path, "data/test.parquet: not a regular file")


def test_a_dataset_that_is_not_of_images(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "train.parquet")
    refused(tmp_path, "split 'train': needs an Image column", "columns: {image: ...}", "text (string), label (int64)")
    (tmp_path / "train.parquet").unlink()
    parquet(tmp_path / "train.parquet", {"image": rows(0)["image"]})
    refused(tmp_path, "needs a ClassLabel, text or integer column", "columns: {label: ...}")


def test_an_image_folder_through_the_client(tmp_path: Path) -> None:
    root = write(tmp_path, *layout("train", "test"))
    data = hub(root)
    assert data.classes == ("a", "b")
    assert (data.train_y.tolist(), data.test_y.tolist()) == ([0, 0, 0, 1, 1, 1],) * 2


def test_a_column_that_is_guessed_to_be_the_label_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = rows(0)
    parquet(tmp_path / "train.parquet", {"image": table["image"], "width": table["label"]}, None, width=_integer())
    assert hub(tmp_path).classes == ("0", "1")
    assert "the labels are taken from 'width', its only column of text or integers" in caplog.text


def test_a_file_with_other_columns_is_named(tmp_path: Path) -> None:
    table = rows(0)
    parquet(tmp_path / "train-0.parquet", table)
    parquet(tmp_path / "train-1.parquet", {"image": table["image"], "lbl": table["label"]}, None, lbl=_integer())
    with pytest.raises(DataError) as caught:
        hub(tmp_path)
    assert_told(caught.value, str(tmp_path), "train-0.parquet (image, label)", "train-1.parquet (image, lbl) differ")


def test_a_file_without_rows_is_named(tmp_path: Path) -> None:
    dataset(tmp_path, train=rows(0), test=rows(0, 0))
    with pytest.raises(DataError) as caught:
        hub(tmp_path)
    assert_told(caught.value, "test-00000-of-00001.parquet: has no rows")


def _integer() -> Any:
    from datasets import Value

    return Value("int64")
