"""Random small datasets with random faults: the arrays of a plain reader, or one line of ours, and nothing else."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.data.pictures_as import encoded, noise, palette, rotated, tiff
from tests.data.test_images_hub import dataset, offline  # noqa: F401
from tests.troubles import assert_told
from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.errors import ZfscaleError
from zfscale.spec import DatasetPath, HubDataset

SIZE = 6
GOOD: dict[str, Callable[[int], bytes]] = {
    "colour": lambda i: encoded(noise(i, (SIZE, SIZE))),
    "grey": lambda i: encoded(noise(i, (SIZE, SIZE), 1)),
    "palette": lambda i: palette(noise(i, (SIZE, SIZE))),
    "alpha": lambda i: encoded(noise(i, (SIZE, SIZE), 4)),
    "rotated": lambda i: rotated(noise(i, (SIZE, SIZE))),
    "wide": lambda i: encoded(noise(i, (9, 7))),
    "jpeg": lambda i: encoded(noise(i, (20, 16)), "JPEG"),
    "16 bits": lambda i: encoded(noise(i, (SIZE, SIZE), 1).astype(np.uint16) * 257),
    "float": lambda i: tiff(noise(i, (SIZE, SIZE), 1).astype(np.float32) / 255),
}
BAD: dict[str, Callable[[int], bytes]] = {
    "cut": lambda i: encoded(noise(i, (SIZE, SIZE)))[: 40 + i],
    "empty": lambda _: b"",
    "text": lambda i: f"no image {i}".encode(),
    "zip": lambda i: b"PK\x03\x04" + bytes(i),
    "float of 0 to 255": lambda i: tiff(noise(i, (SIZE, SIZE), 1).astype(np.float32)),
    "32 bits": lambda i: tiff(noise(i, (SIZE, SIZE), 1).astype(np.int32)),
    "lfs": lambda _: b"version https://git-lfs.github.com/spec/v1\n",
}
ANY = GOOD | BAD


class Item(NamedTuple):
    """An image of a dataset."""

    split: str
    label: str
    kind: str
    seed: int


def items(faults: Sequence[str]) -> st.SearchStrategy[list[Item]]:
    """Datasets of two classes in two splits, of which some have faults, of these kinds or of an image's."""
    place = [st.sampled_from(["train", "test"]), st.sampled_from("ab")]
    good = st.tuples(*place, st.sampled_from(sorted(GOOD)), st.integers(0, 30))
    bad = st.tuples(*place, st.sampled_from([*sorted(BAD), *faults]), st.integers(0, 30))
    some = [Item(*key, "colour", 40 + i) for i, key in enumerate(product(("train", "test"), "ab"))]
    lists = st.tuples(st.lists(good, max_size=6), st.one_of(st.just([]), st.just([]), st.lists(bad, max_size=2)))
    return lists.map(lambda both: [*some, *(Item(*item) for item in (*both[0], *both[1]))])


def plain(raw: bytes) -> np.ndarray:
    """What the image is, as uint8 [6, 6, 3]: Pillow's, but for samples of more than 8 bits."""
    with Image.open(io.BytesIO(raw)) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        elif image.mode == "F":
            image = Image.fromarray(np.rint(np.asarray(image) * 255).astype(np.uint8))
        image = image.convert("RGB")
    w, h = image.size
    image = image.resize((max(6, round(w * 6 / min(w, h))), max(6, round(h * 6 / min(w, h)))), Image.Resampling.BICUBIC)
    left, top = (image.width - 6) // 2, (image.height - 6) // 2
    return np.asarray(image.crop((left, top, left + 6, top + 6)))


def expected(listed: Sequence[Item]) -> dict[str, Counter]:
    """(pixels, label) of each split, those of the test split left out of training."""
    held: dict[str, Counter] = {"train": Counter(), "test": Counter()}
    for item in listed:
        held[item.split][plain(ANY[item.kind](item.seed)).tobytes(), item.label] += 1
    tested = {pixels for pixels, _ in held["test"]}
    kept = {key: count for key, count in held["train"].items() if key[0] not in tested}
    return {"train": Counter(kept), "test": held["test"]}


def found(data: ImageData) -> dict[str, Counter]:
    def count(x: np.ndarray, y: np.ndarray) -> Counter:
        colours = np.broadcast_to(x, (len(x), 3, SIZE, SIZE)).transpose(0, 2, 3, 1)
        return Counter((image.tobytes(), data.classes[label]) for image, label in zip(colours, y, strict=True))

    return {"train": count(data.train_x, data.train_y), "test": count(data.test_x, data.test_y)}


def check(read: Callable[[], ImageData], root: Path, listed: Sequence[Item], left_out: Sequence[str] = ()) -> None:
    """A fault is told with the dataset's name; what is not one is read as the plain reader does."""
    counted = [item for item in listed if item.kind not in left_out]
    faults = [item for item in counted if item.kind not in GOOD]
    want = None if faults else expected(counted)
    if want is not None and {label for _, label in want["train"]} == {"a", "b"}:
        assert found(read()) == want
    else:
        with pytest.raises(ZfscaleError) as caught:
            read()
        assert_told(caught.value, str(root))


SETTINGS = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(listed=items(["hidden", "notes", "dangling"]))
def test_folders(listed: list[Item]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for i, item in enumerate(listed):
            home = root / item.split / item.label
            home.mkdir(parents=True, exist_ok=True)
            if item.kind == "dangling":
                (home / f"{i}.png").symlink_to("nowhere")
            elif item.kind in ("hidden", "notes"):
                (home / (f"._{i}.png" if item.kind == "hidden" else f"{i}.txt")).write_text("x")
            else:
                (home / f"{i}.png").write_bytes(ANY[item.kind](item.seed))
        source = DatasetPath(path=name, format="imagefolder")
        check(lambda: load(source, SIZE), root, listed, left_out=("hidden", "notes"))


@SETTINGS
@given(listed=items(["missing", "no label", "short", "link"]), delimiter=st.sampled_from(",;\t"), header=st.booleans())
def test_tables(listed: list[Item], delimiter: str, header: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        root, lines = Path(name), ["image,label,split".replace(",", delimiter)]
        for i, item in enumerate(listed):
            file = root / f"{i}.png"
            if item.kind == "link":
                file.symlink_to("nowhere")
            elif item.kind in ANY:
                file.write_bytes(ANY[item.kind](item.seed))
            elif item.kind != "missing":
                file.write_bytes(GOOD["colour"](item.seed))
            cells = [file.name, "" if item.kind == "no label" else item.label, item.split]
            lines.append(delimiter.join(cells[:2] if item.kind == "short" else cells))
        (root / "t.csv").write_text("\n".join(lines if header else lines[1:]))
        columns = None if header else {"image": "1", "label": "2", "split": "3"}
        source = DatasetPath.model_validate({"path": f"{name}/t.csv", "format": "csv", "columns": columns})
        check(lambda: load(source, SIZE), root, listed)


@settings(SETTINGS, max_examples=25)
@given(listed=items(["null", "no label", "-1"]))
@pytest.mark.usefixtures("offline")
def test_hub_datasets(listed: list[Item]) -> None:
    with tempfile.TemporaryDirectory() as name:
        splits: dict[str, dict[str, list[Any]]] = {}
        for item in listed:
            table = splits.setdefault(item.split, {"image": [], "label": []})
            raw = None if item.kind == "null" else ANY.get(item.kind, GOOD["colour"])(item.seed)
            table["image"].append(None if raw is None else {"bytes": raw, "path": None})
            table["label"].append({"no label": None, "-1": -1}.get(item.kind, "ab".index(item.label)))
        root = dataset(Path(name), ["a", "b"], **splits)
        check(lambda: load(HubDataset(hub=str(root)), SIZE), root, listed)
