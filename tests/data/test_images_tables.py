"""Tables of image files and labels, and the lists of CUB: what people have is read, and mistakes name their line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_images_folders import write
from tests.troubles import assert_told
from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.errors import DataError
from zfscale.spec import DatasetPath

NAMES = [f"{c}{i}.png" for c in "ab" for i in range(5)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, *(f"pics/{name}" for name in NAMES))


def csv(root: Path, text: str | bytes, name: str = "t.csv", **more: Any) -> ImageData:
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    given = {"path": str(root / name), "format": "csv", "images": str(root / "pics"), **more}
    return load(DatasetPath.model_validate(given), 12)


def lines(form: str, header: str = "", names: list[str] = NAMES) -> str:
    rows = [form.format(name=name, stem=name[:-4], label=name[0]) for name in names]
    return "\n".join([*([header] if header else []), *rows]) + "\n"


FORMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "no header": (lines("{name},{label}"), {}),
    "header": (lines("{name},{label}", "filename,label"), {}),
    "label first": (lines("{label},{name}"), {}),
    "kaggle, without suffix": (lines("{stem},{label}", "id,breed"), {}),
    "semicolons": (lines("{name};{label};x", "image;class;note"), {}),
    "spaces": (lines("{name} {label}"), {}),
    "quoted": (lines('"{name}","{label}"', '"file_name","category"'), {}),
    "own names": (lines("9,{name},{label}", "n,picture,kind"), {"columns": {"image": "picture", "label": "kind"}}),
    "names unknown": (lines("{name},{label}", "picture,kind"), {}),
    "by number": (lines("9,{label},{name}"), {"columns": {"image": "3", "label": "2"}}),
    "blank lines and a BOM": ("\ufeff" + lines("{name},{label}\n", "image,label"), {}),
    "windows": (lines("{name},{label}", "image,label").replace("\n", "\r\n"), {}),
    "utf-16": (lines("{name},{label}", "image,label").encode("utf-16"), {}),
    "paths": (lines("pics/{name},{label}", "path,label"), {"images": None}),
    "paths of windows": (lines("pics\\{name},{label}", "path,label"), {"images": None}),
}


@pytest.mark.parametrize("form", FORMS)
def test_tables_as_people_have_them(root: Path, form: str) -> None:
    text, more = FORMS[form]
    data, same = csv(root, text, **more), csv(root, FORMS["no header"][0])
    assert data.classes == ("a", "b")
    assert (len(data.train_y), len(data.test_y)) == (8, 2)
    for mine, other in zip(vars(data).values(), vars(same).values(), strict=True):
        assert (mine == other) if isinstance(mine, tuple) else (mine.tobytes() == other.tobytes())


def test_a_header_may_be_the_name_of_a_file_that_is_no_image(root: Path) -> None:
    (root / "pics" / "label.txt").touch()
    (root / "pics" / "a0.txt").touch()
    assert csv(root, lines("{stem},{label}", "id,label"), name="pics/id.csv").classes == ("a", "b")


def test_columns_that_are_not_used_are_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    csv(root, lines("{name},{label},1,2", "image,label,is_train,box"))
    assert "not used: columns 'is_train', 'box'" in caplog.text


def test_tabs_by_suffix(root: Path) -> None:
    assert csv(root, lines("{name}\t{label}", "image\tlabel"), "t.tsv").classes == ("a", "b")


def test_a_split_column(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "zfscale")
    splits = ["train", "Train", "val", "test", "TEST"] * 2
    rows = [f"{name},{name[0]},{split}" for name, split in zip(NAMES, splits, strict=True)]
    data = csv(root, "\n".join(["image,label,split", *rows]))
    assert (data.train_y.tolist(), data.test_y.tolist()) == ([0, 0, 1, 1],) * 2
    assert "not used: the split 'val'" in caplog.text
    data = csv(root, "\n".join(["image,label,fold", *rows]), columns={"split": "fold"})
    assert len(data.train_y) == 4


def test_integers_are_ordered_by_size(root: Path) -> None:
    text = "image,label\n" + "\n".join(f"{name},{[9, 10, 100][i % 3]}" for i, name in enumerate(NAMES[:6]))
    assert csv(root, text).classes == ("9", "10", "100")


BAD: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["t.csv: it is empty"]),
    "header only": ("image,label\n", ["t.csv: no rows below the header image, label"]),
    "no columns": ("justoneword\nanother\n", ["t.csv: one column only"]),
    "missing files": (
        lines("{name},{label}", "image,label", [*NAMES, "x.png", "y.png"]),
        ["2 of 12 images are not in", "'x.png' (line 12), 'y.png' (line 13)", "`images:`"],
    ),
    "many missing": (
        lines("{name},{label}", "image,label", [f"no{i}.png" for i in range(30)]),
        ["30 of 30 images", "'no9.png' (line 11) and 20 more"],
    ),
    "first file missing, no header": (lines("{name},{label}", "", ["x.png", *NAMES]), ["1 of 11 images", "(line 1)"]),
    "empty label": ("image,label\na0.png,a\na1.png,\na2.png,\n", ["t.csv:3: the label is empty (2 such lines)"]),
    "short line": ("image,label\na0.png,a\na1.png\n", ["t.csv:3: 1 cells, the first line has 2"]),
    "ambiguous": ("image,x,y\na0.png,1,2\n", ["which column is the label?", "it has image, x, y"]),
    "latin-1": ("image,label\na0.png,\xe4\n".encode("latin-1"), ["t.csv: byte 19 is not utf-8-sig; save the table as"]),
    "binary": (b"PK\x03\x04\0\0,\0\n", ["t.csv: not a text file: NUL at character 4"]),
    "one image only": ("image,label\na0.png,a\nb0.png,b\n", ["t.csv: class 'a' has 1 image(s)"]),
    "not an image": ("image,label\na0.png,a\na1.png,a\nbad.png,b\nb0.png,b\n", ["pics/bad.png: not a readable image"]),
    "splits that differ": (
        "image,label,split\na0.png,a,train\nb0.png,b,train\na1.png,a,test\n",
        ["'b' is only in", "split 'train'", "split 'test'"],
    ),
    "splits that say nothing": ("image,label,split\na0.png,a,1\na1.png,a,2\n", ["none of its splits (1, 2)"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_names_its_line(root: Path, name: str) -> None:
    text, says = BAD[name]
    (root / "pics" / "bad.png").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        csv(root, text)
    assert_told(caught.value, str(root), *says)


def test_a_column_that_is_not_there(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        csv(root, FORMS["header"][0], columns={"image": "file_name"})
    assert_told(caught.value, "t.csv: no column 'file_name'; did you mean 'filename'? allowed: filename, label")


def test_a_name_without_suffix_must_be_of_one_file(root: Path) -> None:
    write(root, "pics/a0.jpg")
    with pytest.raises(DataError) as caught:
        csv(root, FORMS["kaggle, without suffix"][0])
    assert_told(caught.value, "1 of 10 images are not in", "'a0' (line 2)")


def birds(root: Path) -> Path:
    """A small CUB_200_2011: two classes of four images, of which the first two are for training."""
    names = [f"{c:03}.Bird_{c}/{i}.jpg" for c in (1, 2) for i in range(4)]
    write(root / "CUB_200_2011", *(f"images/{name}" for name in names))
    lists = {
        "images.txt": [f"{i} {name}" for i, name in enumerate(names, 1)],
        "image_class_labels.txt": [f"{i} {int(name[:3])}" for i, name in enumerate(names, 1)],
        "train_test_split.txt": [f"{i} {int(name[-5] in '01')}" for i, name in enumerate(names, 1)],
        "classes.txt": ["1 001.Bird_1", "2 002.Bird_2"],
    }
    for name, content in lists.items():
        (root / "CUB_200_2011" / name).write_text("\n".join(content) + "\n")
    return root


@pytest.mark.parametrize("below", ["", "CUB_200_2011"])
def test_cub(tmp_path: Path, below: str) -> None:
    data = load(DatasetPath(path=str(birds(tmp_path) / below), format="cub"), 12)
    assert data.classes == ("001.Bird_1", "002.Bird_2")
    assert (data.train_y.tolist(), data.test_y.tolist()) == ([0, 0, 1, 1],) * 2


CUB_BAD = {
    "missing list": ("classes.txt", None, "classes.txt"),
    "bad line": ("images.txt", "1 a.jpg\nx\n", "images.txt:2: 'x': expected a number and a value"),
    "twice": ("images.txt", "1 a.jpg\n1 b.jpg\n", "images.txt:2: '1 b.jpg': a second line for this number"),
    "fewer labels": ("image_class_labels.txt", "1 1\n", "the images of images.txt and image_class_labels.txt differ"),
    "unknown class": (
        "classes.txt",
        "1 001.Bird_1\n",
        "classes.txt and image_class_labels.txt differ: 2",
    ),
    "not a flag": ("train_test_split.txt", "".join(f"{i} 2\n" for i in range(1, 9)), "'2' is neither 0 (test) nor 1"),
    "train only": ("train_test_split.txt", "".join(f"{i} 1\n" for i in range(1, 9)), "no image has 0"),
    "missing image": (
        "images.txt",
        "".join(f"{i} x/{i}.jpg\n" for i in range(1, 9)),
        "8 of 8 images are missing: x/1",
    ),
}


def test_cub_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = birds(tmp_path) / "CUB_200_2011" / "images.txt"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(load(DatasetPath(path=str(tmp_path), format="cub"), 12).classes) == 2


@pytest.mark.parametrize("name", CUB_BAD)
def test_a_mistake_in_the_lists_of_cub(tmp_path: Path, name: str) -> None:
    file, content, says = CUB_BAD[name]
    path = birds(tmp_path) / "CUB_200_2011" / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError) as caught:
        load(DatasetPath(path=str(tmp_path), format="cub"), 12)
    assert_told(caught.value, str(tmp_path), says)
