"""Images written one after another into one .npy file, in memory or on disk; their common shape follows as they come.

Shapes: uint8 [N, C, H, W]. C is 1 only if every image is grey. H and W are those of the images if all have the same and
none is larger than `size`; else both are `size`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

from zfscale.data.pixels import resize_and_crop

if TYPE_CHECKING:
    from PIL.Image import Image

Shape = tuple[int, int, int]


class Stack:
    """`count` images of at most `size` pixels a side; `new_file` makes a file, and another if the shape changes."""

    def __init__(self, count: int, size: int, new_file: Callable[[], IO[bytes]]) -> None:
        self._count, self._size, self._new_file = count, size, new_file
        self._rows: _Rows | None = None

    @property
    def file(self) -> IO[bytes]:
        """The file, as far as it is written."""
        assert self._rows is not None
        return self._rows.file

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, C, H, W."""
        assert self._rows is not None
        return (self._count, *self._rows.shape)

    def add(self, image: Image) -> None:
        """Append an image of mode L or RGB; those before it are converted if it differs from them."""
        x = np.asarray(image)
        x = x[None] if image.mode == "L" else np.ascontiguousarray(x.transpose(2, 0, 1))
        if self._rows is None:
            self._rows = _Rows(self._new_file(), self._count, x.shape)
        shape = self._common(self._rows.shape, x.shape)
        if shape != self._rows.shape:
            old, self._rows = self._rows, _Rows(self._new_file(), self._count, shape)
            for row in old:
                self._rows.append(self._converted(row, shape))
            old.file.close()
        self._rows.append(self._converted(x, shape))

    def __iter__(self) -> Iterator[np.ndarray]:
        """The images [C, H, W] so far, read from the file one by one."""
        assert self._rows is not None
        return iter(self._rows)

    def leave_out(self, rows: np.ndarray) -> None:
        """Remove those whose flags (bool [N]) are set."""
        assert self._rows is not None
        self._count = int((~rows).sum())
        old, self._rows = self._rows, _Rows(self._new_file(), self._count, self._rows.shape)
        for out, row in zip(rows, old, strict=True):
            if not out:
                self._rows.append(row)
        old.file.close()

    def _common(self, a: Shape, b: Shape) -> Shape:
        """The shape of images of which some are of shape a, some of shape b."""
        side = a[1:] if a[1:] == b[1:] else (self._size, self._size)
        return (max(a[0], b[0]), *side)

    def _converted(self, x: np.ndarray, shape: Shape) -> np.ndarray:
        from PIL import Image as pil

        if x.shape[1:] != shape[1:]:
            image = resize_and_crop(pil.fromarray(x[0] if len(x) == 1 else x.transpose(1, 2, 0)), self._size)
            x = np.asarray(image)[None] if len(x) == 1 else np.asarray(image).transpose(2, 0, 1)
        return np.broadcast_to(x, shape)


class _Rows:
    """A .npy file of `count` rows of one shape, of which some are written."""

    def __init__(self, file: IO[bytes], count: int, shape: Shape) -> None:
        self.file, self.shape, self._written = file, shape, 0
        whole = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
        np.lib.format.write_array_header_1_0(file, whole)
        self._start = file.tell()

    def append(self, row: np.ndarray) -> None:
        self.file.write(row.tobytes())
        self._written += 1

    def __iter__(self) -> Iterator[np.ndarray]:
        self.file.seek(self._start)
        for _ in range(self._written):
            yield np.frombuffer(self.file.read(math.prod(self.shape)), np.uint8).reshape(self.shape)
