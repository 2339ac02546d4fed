"""A table of image files and labels, as competitions and data papers ship them: CSV, TSV, or text with spaces.

The table has a header unless a cell of its first line is a file, or has the suffix of an image. Columns are found by
their usual names, or given by name or, without a header, by number from 1.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zfscale.data.findings import Findings
from zfscale.data.image_formats import READABLE, UNREADABLE
from zfscale.data.labels import class_names, numbered
from zfscale.data.listing import Files, Listing, Part
from zfscale.errors import DataError, nearest
from zfscale.spec.directories import assert_same, is_junk, shown
from zfscale.spec.sources import Columns
from zfscale.spec.splits import choose

USUAL = {  # names of columns, in lower case, the best first
    "image": "image images filename file_name file filepath file_path path image_path image_name image_file image_id "
    "img img_path img_name id name",
    "label": "label labels class class_name category category_name target breed species class_id category_id label_id",
    "split": "split subset partition set",
}
DELIMITERS = ",;\t| "
MOST_PROBLEMS = 10
SAMPLE = 20  # rows that tell which column is of files


@dataclass(frozen=True)
class Row:
    """One line of a table: its number in the file, and its cells."""

    line: int
    cells: list[str]


def table(dataset: Any, findings: Findings) -> Listing:
    """The images of the table at `dataset.path`, in the directory `dataset.images`. Errors: DataError."""
    file = Path(dataset.path).expanduser()
    images = Path(dataset.images).expanduser() if getattr(dataset, "images", None) else file.parent
    found, columns = _Finder(images), getattr(dataset, "columns", None) or Columns()
    rows = read(file)
    header = _header(rows[0], columns, found)
    where = shown(file)
    rows = rows[1:] if header else rows
    if not rows:
        raise DataError(f"{where}: no rows below the header {', '.join(header or [])}")
    at = {key: _column(where, key, columns, header, rows[:SAMPLE], found) for key in ("image", "label", "split")}
    _check(where, rows, at)
    _say_unused(header or [], at, findings)
    files = _files(where, rows, at["image"], found)
    labels = [row.cells[at["label"]].strip() for row in rows]
    splits = None if at["split"] is None else [row.cells[at["split"]].strip() for row in rows]
    return by_split(where, files, labels, splits, findings)


def by_split(
    where: str, files: Sequence[Path], labels: Sequence[str], splits: Sequence[str] | None, findings: Findings
) -> Listing:
    """Files, their labels and the names of their splits, as a listing."""
    if splits is None:
        classes = class_names(labels)
        return Listing(where, Part(Files(files), numbered(labels, classes)), None, classes)
    splits = [split.lower() for split in splits]  # "Train" and "train" are one
    chosen = choose(list(dict.fromkeys(splits)), where, "name the splits train and test")
    findings.note(*chosen.notes)
    rows = {name: [i for i, split in enumerate(splits) if split == name] for name in (chosen.train, chosen.test)}
    classes = class_names(labels[i] for i in rows[chosen.train])
    if chosen.test is not None:
        tested = {labels[i] for i in rows[chosen.test]}
        assert_same(classes, tested, f"{where}: split {chosen.train!r}", f"split {chosen.test!r}")

    def part(name: str) -> Part:
        mine = rows[name]
        return Part(Files([files[i] for i in mine]), numbered([labels[i] for i in mine], classes))

    return Listing(where, part(chosen.train), None if chosen.test is None else part(chosen.test), classes)


def read(file: Path) -> list[Row]:
    """The lines of a table that are not blank. Errors: DataError, with the line where there is one."""
    text, where = _text(file), shown(file)
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(file, text), skipinitialspace=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(Row(reader.line_num, cells))
    except csv.Error as error:
        raise DataError(f"{where}:{reader.line_num}: not CSV: {error}") from error
    if not rows:
        raise DataError(f"{where}: it is empty; expected a table of image files and labels")
    width = len(rows[0].cells)
    uneven = [row for row in rows if len(row.cells) != width]
    if uneven:
        first = uneven[0]
        count = f" ({len(uneven)} such lines)" if len(uneven) > 1 else ""
        raise DataError(f"{where}:{first.line}: {len(first.cells)} cells, the first line has {width}{count}")
    if width < 2:
        raise DataError(f"{where}: one column only; expected image files and labels, between them , ; tab | or space")
    return rows


def _text(file: Path) -> str:
    from zfscale.data.listing import read_file

    raw = read_file(file)
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(file)}: byte {error.start} is not {encoding}; save the table as UTF-8") from error
    if "\0" in text:
        raise DataError(f"{shown(file)}: not a text file: NUL at character {text.index(chr(0))}")
    return text


def _delimiter(file: Path, text: str) -> str:
    if file.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    lines = [line for line in text[: 2**16].splitlines() if line.strip()][:100]
    try:
        return csv.Sniffer().sniff("\n".join(lines[:-1] if len(lines) == 100 else lines), DELIMITERS).delimiter
    except csv.Error:  # it cannot tell: the first that every line has
        return next((d for d in ",\t;| " if all(d in line for line in lines)), ",")


def _header(first: Row, columns: Columns, found: _Finder) -> list[str] | None:
    """The names of the columns, if the first line is a header."""
    cells = [cell.strip() for cell in first.cells]
    given = [name for name in (columns.image, columns.label, columns.split) if name is not None]
    if given and all(name.isdigit() and name not in cells for name in given):
        return None
    if not given and any(found.looks_like(cell) for cell in cells):
        return None
    return cells


def _column(
    where: str, key: str, columns: Columns, header: list[str] | None, sample: Sequence[Row], found: _Finder
) -> Any:  # int, or None for a split
    """The number of the column that holds `key`."""
    name, count = getattr(columns, key), len(sample[0].cells)
    known = header or [str(i + 1) for i in range(count)]
    if name is not None:
        if name not in known:
            raise DataError(f"{where}: no column {name!r}; {nearest(name, known)}")
        return known.index(name)
    lower = [cell.lower() for cell in known]
    named = [lower.index(word) for word in USUAL[key].split() if word in lower]
    if key == "split":
        return named[0] if named else None
    files = _of_files(sample, found)
    if key == "image" and (files or named):
        return next((i for i in named if i in files), files[0] if files else named[0])
    if key == "label" and named:
        return named[0]
    if key == "label" and count == 2:
        return 1 - _column(where, "image", columns, header, sample, found)
    raise DataError(f"{where}: which column is the {key}? columns: {{{key}: ...}}; it has {', '.join(known)}")


def _of_files(sample: Sequence[Row], found: _Finder) -> list[int]:
    """The columns that name image files in some of these rows, the one that does in most of them first."""
    hits = [sum(found.looks_like(row.cells[i].strip()) for row in sample) for i in range(len(sample[0].cells))]
    return sorted((i for i, hit in enumerate(hits) if hit), key=lambda i: -hits[i])


def _check(where: str, rows: Sequence[Row], at: dict[str, Any]) -> None:
    """No cell that is needed is empty."""
    for key, column in at.items():
        empty = [row.line for row in rows if column is not None and not row.cells[column].strip()]
        if empty:
            raise DataError(f"{where}:{empty[0]}: the {key} is empty{_lines(empty)}")


def _say_unused(header: Sequence[str], at: dict[str, Any], findings: Findings) -> None:
    """Name the columns that are left out: one may be meant as the split."""
    unused = [repr(name) for i, name in enumerate(header) if name and i not in at.values()]
    if unused:
        more = f" and {len(unused) - MOST_PROBLEMS} more" if len(unused) > MOST_PROBLEMS else ""
        findings.note(f"not used: columns {', '.join(unused[:MOST_PROBLEMS])}{more}")


def _files(where: str, rows: Sequence[Row], column: int, found: _Finder) -> list[Path]:
    files = [found.find(row.cells[column].strip()) for row in rows]
    missing = [row for row, file in zip(rows, files, strict=True) if file is None]
    if missing:
        names = ", ".join(f"{row.cells[column].strip()!r} (line {row.line})" for row in missing[:MOST_PROBLEMS])
        more = f" and {len(missing) - MOST_PROBLEMS} more" if len(missing) > MOST_PROBLEMS else ""
        raise DataError(
            f"{where}: {len(missing)} of {len(rows)} images are not in {shown(found.root)}: {names}{more}; "
            "`images:` is the directory that they are relative to"
        )
    return [file for file in files if file is not None]


def _lines(lines: Sequence[int]) -> str:
    return f" ({len(lines)} such lines)" if len(lines) > 1 else ""


class _Finder:
    """Image files by the names that a table gives them: with suffix, or without if one file alone matches."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stems: dict[Path, dict[str, list[Path]]] = {}

    def find(self, name: str) -> Path | None:
        """The file of this name; None if there is none, or more than one."""
        if not name or "\0" in name:
            return None
        file = self.root / name.replace("\\", "/")
        try:
            if file.is_file():
                return file
            fits = self._beside(file.parent).get(file.name, [])
        except OSError:  # a name that is too long
            return None
        return fits[0] if len(fits) == 1 else None

    def looks_like(self, name: str) -> bool:
        """Whether the name is that of a file, or has the suffix of an image."""
        return Path(name).suffix.lower() in READABLE or self.find(name) is not None

    def _beside(self, directory: Path) -> dict[str, list[Path]]:
        """The images of a directory by their names without suffix; of other files, a header may be the name."""
        if directory not in self._stems:
            stems: dict[str, list[Path]] = {}
            for file in directory.iterdir() if directory.is_dir() else ():
                if file.suffix.lower() in READABLE | UNREADABLE and not is_junk(file.name) and file.is_file():
                    stems.setdefault(file.stem, []).append(file)
            self._stems[directory] = stems
        return self._stems[directory]
