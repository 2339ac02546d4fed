"""What each loader of images makes of everything that goes wrong with people's files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.pictures_as import encoded, noise, rotated, tiff
from tests.data.test_images_folders import folder, layout, write
from tests.data.test_images_hub import dataset, hub, offline, parquet, rows  # noqa: F401
from tests.data.test_images_tables import NAMES, csv, lines
from tests.troubles import No, assert_covers, assert_told
from zfscale.data.image_data import ImageData
from zfscale.errors import DataError

Case = Callable[[Path, Any], None]


def told(make: Callable[[], ImageData], *names: str) -> None:
    with pytest.raises(DataError) as caught:
        make()
    assert_told(caught.value, *names)


def holds(data: ImageData, picture: np.ndarray) -> bool:
    """Whether these pixels [H, W] or [H, W, 3] are among the dataset's."""
    x = picture if picture.ndim == 3 else np.dstack([picture] * 3)
    return any(np.array_equal(x.transpose(2, 0, 1), y) for y in [*data.train_x, *data.test_x])


def in_folder(content: bytes, *names: str, name: str = "b/x.png") -> Case:
    """A file of this content in the folder is an error with these names."""

    def case(root: Path, _: Any) -> None:
        write(root, *layout("."))
        (root / name).write_bytes(content)
        told(lambda: folder(root), str(root / name), *names)

    return case


def folder_with(raw: bytes, picture: np.ndarray) -> Case:
    """A file of this content in the folder has these pixels."""

    def case(root: Path, _: Any) -> None:
        write(root, *layout("."))
        (root / "b" / "x.png").write_bytes(raw)
        assert holds(folder(root), picture)

    return case


def folder_hidden(root: Path, said: Any) -> None:
    write(root, *layout("."), "a/.hidden.png", "b/.ipynb_checkpoints/0.png")
    data = folder(root)
    assert len(data.train_y) + len(data.test_y) == 6
    assert "2 hidden files or directories are left out" in said.text


def folder_duplicate(root: Path, said: Any) -> None:
    write(root, *layout("train", "test"))
    (root / "test" / "a" / "x.png").write_bytes((root / "train" / "a" / "0.png").read_bytes())
    assert len(folder(root).train_y) == 5
    assert "1 of 6 training images are also test images" in said.text


def folder_class_set(root: Path, _: Any) -> None:
    write(root, *layout("train", "test"), "test/c/0.png")
    told(lambda: folder(root), str(root), "'c' is only in", "test")


def folder_link(root: Path, said: Any) -> None:
    write(root, *layout("."))
    (root / "a" / "loop").symlink_to(root)
    (root / "a" / "x.png").symlink_to("0.png")
    data = folder(root)
    assert len(data.train_y) + len(data.test_y) == 6
    assert "2 links to what is read anyway" in said.text


def folder_schema(root: Path, _: Any) -> None:
    told(
        lambda: folder(write(root, "x/a/0.png", "y/a/0.png")), str(root), "'x', 'y' hold only directories", "ROOT/CLASS"
    )


GREY = noise(7, channels=1)
DEEP = tiff(GREY.astype(np.uint16) * 16, _281=4095)

FOLDER: dict[str, Case | No] = {
    "null": No("a file has no null"),
    "wrong type": in_folder(b"PK\x03\x04", "a zip archive; unpack it"),
    "wrong encoding": in_folder(b"x", "Pillow does not read .heic images; convert it", name="b/x.heic"),
    "cut": in_folder(encoded(noise(0))[:150], "not a readable image"),
    "empty": in_folder(b"", "not a readable image: it is empty"),
    "hidden": folder_hidden,
    "duplicate": folder_duplicate,
    "other schema": folder_schema,
    "other class set": folder_class_set,
    "other bit depth": folder_with(DEEP, GREY),
    "rotated": folder_with(rotated(noise(7)), noise(7)),
    "link": folder_link,
    "unreadable": in_folder(b"this is no image", "none of the formats that are read"),
}


def in_row(column: str, value: Any, *names: str) -> Case:
    """This value in a row of a hub dataset is an error with these names, and with dataset, split and row."""

    def case(root: Path, _: Any) -> None:
        table = rows(0)
        table[column][3] = value
        told(lambda: hub(dataset(root, train=table, test=rows(6))), f"dataset '{root}', split 'train', row 3", *names)

    return case


def held(raw: bytes) -> dict[str, Any]:
    return {"bytes": raw, "path": None}


def row_with(raw: bytes, picture: np.ndarray) -> Case:
    def case(root: Path, _: Any) -> None:
        table = rows(0)
        table["image"][3] = held(raw)
        assert holds(hub(dataset(root, train=table, test=rows(6))), picture)

    return case


def hub_duplicate(root: Path, said: Any) -> None:
    table = rows(6)
    table["image"][0] = rows(0)["image"][0]
    assert len(hub(dataset(root, train=rows(0), test=table)).train_y) == 5
    assert "1 of 6 training images are also test images" in said.text


def hub_type(root: Path, _: Any) -> None:
    pq.write_table(pa.table({"image": [1, 2], "label": [0, 1]}), root / "train.parquet")
    told(lambda: hub(root), str(root), "split 'train'", "needs an Image column", "image (int64)")


def hub_schema(root: Path, _: Any) -> None:
    parquet(root / "data" / "train-0.parquet", rows(0))
    pq.write_table(pa.table({"other": [1]}), root / "data" / "train-1.parquet")
    told(lambda: hub(root), str(root), "other")


def hub_class_set(root: Path, _: Any) -> None:
    parquet(root / "train.parquet", rows(0), ["x", "y"])
    parquet(root / "test.parquet", rows(6), ["x", "z"])
    told(lambda: hub(root), str(root), "have different classes in column 'label'", "'y'", "'z'")


def hub_cut(root: Path, _: Any) -> None:
    dataset(root, train=rows(0), test=rows(6))
    (file,) = root.glob("data/train*")
    file.write_bytes(file.read_bytes()[:-100])
    told(lambda: hub(root), str(root), "Parquet")


def hub_hidden(root: Path, _: Any) -> None:
    parquet(dataset(root, train=rows(0), test=rows(6)) / "data" / ".train-00001-of-00002.parquet", rows(20))
    assert len(hub(root).train_y) == 6


def hub_link(root: Path, _: Any) -> None:
    there = dataset(root / "there", train=rows(0), test=rows(6))
    (root / "here").symlink_to(there)
    assert len(hub(root / "here").train_y) == 6


HUB: dict[str, Case | No] = {
    "null": in_row("image", None, "no image (null)"),
    "wrong type": hub_type,
    "wrong encoding": in_row("image", held(b"\0\0\0\x18ftypheic"), "a HEIC image", "convert it"),
    "cut": hub_cut,
    "empty": in_row("image", held(b""), "it is empty"),
    "hidden": hub_hidden,
    "duplicate": hub_duplicate,
    "other schema": hub_schema,
    "other class set": hub_class_set,
    "other bit depth": row_with(DEEP, GREY),
    "rotated": row_with(rotated(noise(7)), noise(7)),
    "link": hub_link,
    "unreadable": in_row("image", held(b"this is no image"), "none of the formats that are read"),
}


def in_table(text: str | bytes, *names: str, content: bytes | None = None) -> Case:
    """This table is an error with these names; x.png is a picture of this content."""

    def case(root: Path, _: Any) -> None:
        write(root, *(f"pics/{name}" for name in NAMES))
        if content is not None:
            (root / "pics" / "x.png").write_bytes(content)
        told(lambda: csv(root, text), str(root), *names)

    return case


def table_with(raw: bytes, picture: np.ndarray) -> Case:
    def case(root: Path, _: Any) -> None:
        write(root, *(f"pics/{name}" for name in NAMES))
        (root / "pics" / "x.png").write_bytes(raw)
        assert holds(csv(root, WITH_X), picture)

    return case


def table_duplicate(root: Path, said: Any) -> None:
    write(root, *(f"pics/{name}" for name in NAMES))
    halves = [f"{name},{name[0]},{'train' if i % 5 < 3 else 'test'}" for i, name in enumerate(NAMES)]
    data = csv(root, "\n".join(["image,label,split", *halves, f"{NAMES[0]},a,test"]))
    assert (len(data.train_y), len(data.test_y)) == (5, 5)
    assert "1 of 6 training images are also test images" in said.text


def table_hidden(root: Path, _: Any) -> None:
    write(root, *(f"pics/{name}" for name in NAMES), "pics/._a0.png", "pics/.a1.png")
    data = csv(root, lines("{stem},{label}"), columns={"image": "1", "label": "2"})
    assert len(data.train_y) + len(data.test_y) == 10


def table_link(root: Path, _: Any) -> None:
    write(root, *(f"there/{name}" for name in NAMES))
    (root / "pics").symlink_to("there")
    assert len(csv(root, lines("{name},{label}")).train_y) == 8
    (root / "pics" / "x.png").symlink_to("nowhere")
    told(lambda: csv(root, WITH_X), str(root), "'x.png' (line 11)")


WITH_X = lines("{name},{label}") + "x.png,b\n"
SPLITS = "image,label,split\na0.png,a,train\nb0.png,b,train\na1.png,a,test\n"

TABLE: dict[str, Case | No] = {
    "null": in_table("image,label\na0.png,a\na1.png,\n", "t.csv:3: the label is empty"),
    "wrong type": in_table(b"PK\x03\x04\0", "t.csv: not a text file: NUL at character 4"),
    "wrong encoding": in_table("image,label\na0.png,ä\n".encode("latin-1"), "t.csv: byte 19", "as UTF-8"),
    "cut": in_table("image,label\na0.png,a\na1.p", "t.csv:3: 1 cells, the first line has 2"),
    "empty": in_table("", "t.csv: it is empty"),
    "hidden": table_hidden,
    "duplicate": table_duplicate,
    "other schema": in_table("image,x,y\na0.png,1,2\n", "t.csv: which column is the label?", "it has image, x, y"),
    "other class set": in_table(SPLITS, "t.csv", "'b' is only in", "split 'train'"),
    "other bit depth": table_with(DEEP, GREY),
    "rotated": table_with(rotated(noise(7)), noise(7)),
    "link": table_link,
    "unreadable": in_table(WITH_X, "pics/x.png: not a readable image", content=b"this is no image"),
}

TABLES = {"folder": FOLDER, "hub": HUB, "table": TABLE}


@pytest.mark.parametrize("loader", TABLES)
def test_every_trouble_is_looked_at(loader: str) -> None:
    assert_covers(TABLES[loader])


@pytest.mark.parametrize(
    ("loader", "trouble"),
    [
        (loader, trouble)
        for loader, table in TABLES.items()
        for trouble, case in table.items()
        if not isinstance(case, No)
    ],
)
def test_the_right_value_or_one_line(
    loader: str, trouble: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "zfscale")
    case = TABLES[loader][trouble]
    assert not isinstance(case, No)
    case(tmp_path, caplog)
