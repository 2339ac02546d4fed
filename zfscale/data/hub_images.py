"""Image datasets of the Hugging Face hub, or of a local directory of its format: which splits and columns are used.

The images are taken as the bytes that the dataset holds, so that they are decoded by the rules of all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zfscale.data.findings import Findings
from zfscale.data.hub import not_loaded, reason
from zfscale.data.labels import class_names, numbered
from zfscale.data.listing import Listing, Part, read_file
from zfscale.data.parquet_files import check_parquet, other_columns
from zfscale.errors import DataError, nearest
from zfscale.spec.directories import assert_same
from zfscale.spec.sources import Columns, HubDataset, Splits
from zfscale.spec.splits import choose, role

LABELS = ("label", "labels", "fine_label", "class", "target", "category", "y")
PLAIN = ("int", "uint", "string", "large_string", "bool")  # types of labels that are no ClassLabel
SPLIT = "split: {train: ..., test: ...}"


def hub_images(source: HubDataset, known: Iterable[str], findings: Findings) -> Listing:
    """The labelled images of a dataset, by id or local directory.

    The first image column is the input; of several label columns the finest is the target (CIFAR-100). A test split
    without labels gives way to a validation split that has them.
    Errors: DataError with dataset, and with split and row where one is to blame.
    """
    name, splits = source.hub, _Splits(source, known)
    columns = source.columns or Columns()
    chosen, notes = splits.choose(source.split or Splits())
    train = _read(name, chosen[0], splits[chosen[0]], columns, findings)
    test = None if chosen[1] is None else _read(name, chosen[1], splits[chosen[1]], columns, findings)
    if test is not None and test.unlabelled(train):
        other = next((s for s in splits.names if role(s) == "validation" and s not in chosen), None)
        if other is None or (source.split is not None and source.split.test is not None):
            raise DataError(
                f"dataset {name!r}: the split {test.split!r} has no labels; a way on is "
                f"split: {{train: '{train.split}[:80%]', test: '{train.split}[80%:]'}}"
            )
        notes = [f"the split {test.split!r} has no labels; {other!r} is tested on instead"]
        test = _read(name, other, splits[other], columns, findings)
    findings.note(*notes)
    return _listing(name, train, test)


def _listing(name: str, train: _Read, test: _Read | None) -> Listing:
    """Both splits with one numbering of their classes."""
    for read in (train, test) if test else (train,):
        read.check()
    if train.names is not None:
        classes = train.names
    else:
        classes = class_names(label for label in train.labels if label is not None)
    if test is not None:
        tested = test.names if test.names is not None else {label for label in test.labels if label is not None}
        assert_same(classes, tested, f"dataset {name!r}: split {train.split!r}", f"split {test.split!r}")
    parts = [
        None if read is None else Part(read.images, numbered([label or "" for label in read.labels], classes))
        for read in (train, test)
    ]
    assert parts[0] is not None
    return Listing(f"dataset {name!r}", parts[0], parts[1], tuple(classes))


@dataclass(frozen=True)
class _Read:
    """A split: its images, its labels by name (None where there is none), and all names if the dataset knows them."""

    dataset: str
    split: str
    images: _Rows
    labels: list[str | None]
    names: tuple[str, ...] | None

    def unlabelled(self, train: _Read) -> bool:
        """Whether no row has a label; -1 is none, unless it is a class of the training split."""
        return all(label is None or (label == "-1" and "-1" not in train.labels) for label in self.labels)

    def check(self) -> None:
        """Every row has a label."""
        missing = [row for row, label in enumerate(self.labels) if label is None]
        if missing:
            more = f" ({len(missing)} such rows)" if len(missing) > 1 else ""
            raise DataError(f"dataset {self.dataset!r}, split {self.split!r}, row {missing[0]}: no label{more}")


class _Splits:
    """The splits of a dataset by name, and parts of them such as train[:80%]."""

    def __init__(self, source: HubDataset, known: Iterable[str]) -> None:
        import datasets

        self._source, self._known = source, known
        self._all = self._load()
        if not isinstance(self._all, datasets.DatasetDict) or not self._all:
            raise DataError(f"dataset {source.hub!r}: it has no splits")
        self.names = list(self._all)

    def __getitem__(self, name: str) -> Any:
        if name in self._all:
            return self._all[name]
        if name.partition("[")[0] not in self._all:
            raise DataError(f"dataset {self._source.hub!r}: no split {name!r}; {nearest(name, self.names)}")
        return self._load(name)

    def choose(self, given: Splits) -> tuple[tuple[str, str | None], list[str]]:
        """The splits to train and to test on, and what to say of that."""
        where = f"dataset {self._source.hub!r}"
        if given.train is not None and given.test is not None:
            if given.train == given.test:
                raise DataError(f"{where}: split {given.train!r} is both trained and tested on")
            return (given.train, given.test), []
        left = [name for name in self.names if name not in (given.train, given.test)]
        if given.train is not None:
            test = next((n for what in ("test", "validation") for n in left if role(n) == what), None)
            notes = [] if test else [f"split {given.train!r} is cut into 80 % to train and 20 % to test on"]
            return (given.train, test), notes
        if given.test is not None:
            train = next((n for n in left if role(n) == "train"), None)
            if train is None:
                raise DataError(f"{where}: none of its splits ({', '.join(left)}) is one for training; write {SPLIT}")
            return (train, given.test), []
        chosen = choose(self.names, where, f"write {SPLIT}")
        return (chosen.train, chosen.test), list(chosen.notes)

    def _load(self, split: str | None = None) -> Any:
        import datasets

        source = self._source
        if Path(source.hub).is_dir():
            check_parquet(Path(source.hub))
        try:
            return datasets.load_dataset(source.hub, source.config, revision=source.revision, split=split)
        except Exception as error:
            failure = not_loaded(source.hub, error, self._known, "{path: DIR, format: imagefolder}")
            differ = other_columns(Path(source.hub)) if type(error.__cause__).__name__ == "CastError" else None
            raise DataError(f"dataset {source.hub!r}: {differ}") if differ else failure from error


class _Rows:
    """The images of a split, as the dataset holds them."""

    def __init__(self, dataset: str, split: str, rows: Any, column: str) -> None:
        self._dataset, self._split, self._rows, self._column = dataset, split, rows, column

    def __len__(self) -> int:
        return len(self._rows)

    def where(self, i: int) -> str:
        return f"dataset {self._dataset!r}, split {self._split!r}, row {i}"

    def read(self, i: int) -> bytes:
        try:
            held = self._rows[i][self._column]
            if held is None or (held["bytes"] is None and not held["path"]):
                raise DataError(f"{self.where(i)}: no image (null); remove the row")
            if held["bytes"] is not None:
                return bytes(held["bytes"])
            if "::" in held["path"]:  # a member of an archive
                from datasets.utils.file_utils import xopen

                with xopen(held["path"], "rb") as file:
                    return bytes(file.read())
            return read_file(Path(held["path"]))
        except DataError as error:
            text = str(error)
            raise error if text.startswith(self.where(i)) else DataError(f"{self.where(i)}: {text}") from None
        except Exception as error:  # whatever the library raises
            raise DataError(f"{self.where(i)}: {reason(error)}") from error


def _read(dataset: str, split: str, rows: Any, columns: Columns, findings: Findings) -> _Read:
    import datasets

    where = f"dataset {dataset!r}, split {split!r}"
    if not len(rows):
        raise DataError(f"{where}: it has no rows")
    image, label = _image_column(where, rows, columns.image), _label_column(where, rows, columns.label)
    feature = rows.features[label]
    if columns.label is None and not isinstance(feature, datasets.ClassLabel) and label.lower() not in LABELS:
        findings.note(f"the labels are taken from {label!r}, its only column of text or integers")
    try:
        images = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        given = rows[label][:]
    except Exception as error:
        raise DataError(f"{where}: {reason(error)}") from error
    names = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None
    if names is not None:
        labels = [None if y is None or not 0 <= y < len(names) else names[y] for y in given]
    else:
        labels = [None if y is None or y == "" else str(y) for y in given]
    return _Read(dataset, split, _Rows(dataset, split, images, image), labels, names)


def _image_column(where: str, rows: Any, given: str | None) -> str:
    import datasets

    def holds(feature: Any) -> bool:
        if isinstance(feature, datasets.Image):
            return True
        if isinstance(feature, dict):
            return set(feature) == {"bytes", "path"}
        return isinstance(feature, datasets.Value) and feature.dtype in ("binary", "large_binary")

    return _column(where, "image", rows, given, [name for name, feature in rows.features.items() if holds(feature)])


def _label_column(where: str, rows: Any, given: str | None) -> str:
    import datasets

    features = rows.features
    known = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    known.sort(key=lambda name: -len(features[name].names))
    plain = [
        name
        for name, feature in features.items()
        if isinstance(feature, datasets.Value) and feature.dtype.startswith(PLAIN)
    ]
    usual = [name for word in LABELS for name in plain if name.lower() == word]
    fits = known or usual or (plain if len(plain) == 1 else [])
    return _column(where, "label", rows, given, fits, [*known, *plain])


def _column(
    where: str, what: str, rows: Any, given: str | None, fits: Sequence[str], allowed: Sequence[str] | None = None
) -> str:
    """The given column if it may be it, else the first that fits."""
    kinds = ", ".join(f"{name} ({_kind(feature)})" for name, feature in rows.features.items())
    if given is not None:
        if given not in rows.features:
            raise DataError(f"{where}: no column {given!r}; {nearest(given, rows.features)}")
        if given not in (fits if allowed is None else allowed):
            needs = "an Image or bytes" if what == "image" else "a ClassLabel, text or an integer"
            raise DataError(f"{where}: column {given!r} is not {needs}, it is {_kind(rows.features[given])}")
        return given
    if not fits:
        needs = "an Image" if what == "image" else "a ClassLabel, text or integer"
        raise DataError(f"{where}: needs {needs} column; name it in columns: {{{what}: ...}}; it has {kinds}")
    return fits[0]


def _kind(feature: Any) -> str:
    return str(getattr(feature, "dtype", None) or type(feature).__name__)
