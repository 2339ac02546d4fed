"""From a listing to arrays: images are decoded in parallel, a few at a time, into memory or, if many, the cache."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np

from zfscale.data import image_cache
from zfscale.data.findings import Findings, listed
from zfscale.data.image_data import ImageData, check_labels, check_shared
from zfscale.data.listing import Listing, Part
from zfscale.data.overlap import Overlap, digests, overlap
from zfscale.data.pixels import decode, fitted
from zfscale.data.progress import progress
from zfscale.data.stack import Stack
from zfscale.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Result = TypeVar("Result")
LARGE = 64 * 2**20  # bytes of arrays, at most, that stay in memory and out of the cache
AT_ONCE, A_TASK = 64, 8  # images in memory at a time, and those that one thread takes at a time
MOST_PROBLEMS = 10
VERSION = 1  # of what decoding makes of an image
BLACK = "16-bit images are nearly black: they use less than 1/16 of their range; scale them, or state MaxSampleValue"


def decoded(listing: Listing, size: int, findings: Findings) -> ImageData:
    """The arrays of a dataset at `size` (see `Stack`), the training images that are also test images left out.

    Errors: DataError if images cannot be read (the first ten are named), or if too few are left.
    """
    name, (train, test) = listing.name, listing.split()
    check_labels(name, train.labels, test.labels, listing.classes)
    if 3 * size**2 * (len(train) + len(test)) < LARGE:
        stack = Stack(len(train) + len(test), size, io.BytesIO)
        facts = _fill(stack, name, train, test, size)
        stack.file.seek(0)
        x = np.load(stack.file)
    else:
        x, facts = _cached(name, train, test, size)
    shared = np.zeros(len(train), dtype=bool)
    shared[facts["shared"]] = True
    Overlap(shared, facts["ambiguous"]).say(findings)
    for row in facts["black"]:
        part, i = (train, row) if row < len(train) else (test, row - len(train))
        findings.count(BLACK, part.images.where(i))
    check_shared(name, shared, train.labels, listing.classes)
    end = int((~shared).sum())
    return ImageData(x[:end], train.labels[~shared], x[end:], test.labels, listing.classes)


def _cached(name: str, train: Part, test: Part, size: int) -> tuple[np.ndarray, dict[str, Any]]:
    """What `_fill` makes of the images, from the cache, where it is put if it is not there."""
    key = _key(name, train, test, size)
    entry = image_cache.default_cache() / key
    found = image_cache.read(entry)
    if found is None:
        with image_cache.aside(entry) as room:
            _write(room, name, train, test, size)
            if _key(name, train, test, size) != key:
                raise DataError(f"{name}: images changed while they were read; run the same command again")
        found = image_cache.read(entry)
        assert found is not None
    return found


def _write(room: Path, name: str, train: Part, test: Part, size: int) -> None:
    number = 0

    def new_file() -> IO[bytes]:
        nonlocal number
        number += 1
        (room / str(number - 1)).unlink(missing_ok=True)  # open still, until it is converted
        return open(room / str(number), "w+b")

    stack = Stack(len(train) + len(test), size, new_file)
    facts = _fill(stack, name, train, test, size)
    stack.file.close()
    (room / str(number)).rename(room / image_cache.IMAGES)
    (room / image_cache.FACTS).write_text(json.dumps(facts))


def _fill(stack: Stack, name: str, train: Part, test: Part, size: int) -> dict[str, Any]:
    """Decode all images; the facts: the shape, the rows of `train` that were left out, and what there is to say."""
    black: list[int] = []
    for row, (image, is_black) in enumerate(_images(name, train, test, size)):
        stack.add(image)
        if is_black:
            black.append(row)
    keys = digests(stack)
    found = overlap(keys[: len(train)], train.labels, keys[len(train) :], test.labels)
    if found.shared.any():
        stack.leave_out(np.concatenate([found.shared, np.zeros(len(test), dtype=bool)]))
    shared = np.flatnonzero(found.shared).tolist()
    return {"shape": list(stack.shape), "shared": shared, "ambiguous": found.ambiguous, "black": black}


def _images(name: str, train: Part, test: Part, size: int) -> Iterator[tuple[Image, bool]]:
    """(image, whether it is black by its depth) of all images, in order. Errors: DataError with all problems."""

    def one(part: Part, i: int) -> tuple[Image, bool] | DataError:
        where = part.images.where(i)
        try:
            picture, black = decode(part.images.read(i), where)
            return fitted(picture, size, where), black
        except DataError as error:
            return error

    problems: list[str] = []
    for result in _each(one, f"{name}: images decoded", train, test):
        if isinstance(result, DataError):
            problems.append(str(result))
            if len(problems) == MOST_PROBLEMS:
                break
        elif not problems:
            yield result
    if problems:
        more = " or more" if len(problems) == MOST_PROBLEMS else ""
        raise DataError(listed(problems, f"images{more} cannot be read"))


def _key(name: str, train: Part, test: Part, size: int) -> str:
    """A hash of all that decides the arrays: every image's bytes and label, where testing starts, what decodes them."""
    from PIL import __version__ as pillow

    def one(part: Part, i: int) -> bytes:
        try:
            return hashlib.sha256(part.images.read(i)).digest() + part.labels[i].tobytes()
        except DataError as error:
            return str(error).encode()  # decoding says it again, with all others

    whole = hashlib.sha256(repr((VERSION, pillow, size, len(train), len(test))).encode())
    for result in _each(one, f"{name}: images looked up in the cache", train, test):
        whole.update(result)
    return whole.hexdigest()[:32]


def _each(one: Callable[[Part, int], Result], what: str, *parts: Part) -> Iterator[Result]:
    """`one(part, i)` of every image in order, in parallel, `AT_ONCE` of them at a time."""

    def some(part: Part, rows: range) -> list[Result]:
        return [one(part, i) for i in rows]

    whole = [(part, range(i, min(i + AT_ONCE, len(part)))) for part in parts for i in range(0, len(part), AT_ONCE)]
    with (
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,
        progress(what, sum(len(part) for part in parts), "images") as advance,
    ):
        for part, rows in whole:
            few = [rows[i : i + A_TASK] for i in range(0, len(rows), A_TASK)]
            for results in pool.map(some, [part] * len(few), few):
                yield from results
            advance(len(rows))
