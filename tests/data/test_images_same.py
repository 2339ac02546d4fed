"""The same pictures give the same arrays, bit for bit, whether a folder, a hub dataset or a table holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.pictures_as import encoded, noise, palette, rotated, tiff
from zfscale.data.image_data import ImageData
from zfscale.data.images import load
from zfscale.errors import DataError
from zfscale.spec import DatasetPath, HubDataset

KINDS = {
    "colour": lambda i: encoded(noise(i)),
    "grey": lambda i: encoded(noise(i, channels=1)),
    "palette": lambda i: palette(noise(i)),
    "alpha": lambda i: encoded(noise(i, channels=4)),
    "16 bits": lambda i: encoded(noise(i, channels=1).astype(np.uint16) * 256 + 7),
    "12 bits in 16": lambda i: tiff(noise(i, channels=1).astype(np.uint16) * 16, _281=4095),
    "float": lambda i: tiff(noise(i, channels=1).astype(np.float32) / 255),
    "rotated": lambda i: rotated(noise(i, (12, 20)), "JPEG"),
    "one bit": lambda i: encoded(noise(i, channels=1) > 127),
    "photograph": lambda i: encoded(noise(i, (40, 30)), "JPEG"),
    "grey and colour": lambda i: encoded(noise(i, channels=1 + 2 * (i % 3 == 0))),
    "mixed sizes": lambda i: encoded(noise(i, (8 + i % 3, 9))),
    "small in training, large in testing": lambda i: encoded(noise(i, (30, 30) if i >= 8 else (9, 9))),
}


def everywhere(root: Path, kind: str) -> dict[str, ImageData]:
    """Eight pictures to train and four to test on, in two classes, through each loader."""
    import datasets

    table: dict[str, list[Any]] = {"train": [], "test": []}
    lines = ["image,label,split"]
    for i in range(12):
        split, name, raw = ("train", "test")[i >= 8], f"{i:02}.img", KINDS[kind](i)
        file = root / "folder" / split / "ab"[i % 2] / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(raw)
        table[split].append((i % 2, {"bytes": raw, "path": name}))
        lines.append(f"{file.relative_to(root)},{'ab'[i % 2]},{split}")
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b"]))
    for split, rows in table.items():
        rows.sort(key=lambda row: row[0])  # as a folder's are
        held = {"image": [image for _, image in rows], "label": [label for label, _ in rows]}
        (root / "hub").mkdir(exist_ok=True)
        datasets.Dataset.from_dict(held, features=features).to_parquet(root / "hub" / f"{split}.parquet")
    (root / "t.csv").write_text("\n".join([lines[0], *sorted(lines[1:], key=lambda line: line.split(",")[1:])]))
    return {
        "folder": load(DatasetPath(path=str(root / "folder"), format="imagefolder"), 12),
        "hub": load(HubDataset(hub=str(root / "hub")), 12),
        "csv": load(DatasetPath(path=str(root / "t.csv"), format="csv"), 12),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_loaders_agree_bit_for_bit(tmp_path: Path, kind: str) -> None:
    found = everywhere(tmp_path, kind)
    first = found["folder"]
    assert (len(first.train_y), len(first.test_y)) == (8, 4)
    assert first.train_x.shape[1:] == first.test_x.shape[1:]
    for data in found.values():
        for name, value in vars(data).items():
            same = value == getattr(first, name)
            assert same if isinstance(same, bool) else same.all(), name
            assert np.asarray(value).dtype == np.asarray(getattr(first, name)).dtype


def test_channels_are_one_only_if_all_images_are_grey(tmp_path: Path) -> None:
    assert everywhere(tmp_path / "a", "grey")["folder"].train_x.shape == (8, 1, 12, 12)
    data = everywhere(tmp_path / "b", "grey and colour")["folder"]
    assert data.train_x.shape == (8, 3, 12, 12)
    grey = noise(2, channels=1)
    assert any(np.array_equal(x, np.stack([grey] * 3)) for x in data.train_x)


def test_a_lone_narrow_image_is_refused(tmp_path: Path) -> None:
    KINDS["narrow"] = lambda i: encoded(noise(i, (1, 800)))
    try:
        with pytest.raises(DataError, match="1 x 800 pixels are too narrow"):
            everywhere(tmp_path, "narrow")
    finally:
        del KINDS["narrow"]
