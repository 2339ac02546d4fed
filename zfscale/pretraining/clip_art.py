"""Drawings of the Open Clip Art Library, as Debian ships it, each a class of its own.

Only folders of things are used, none of letters, signs or cards; writing on a thing that is shown may be left.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zfscale.pretraining.packages import installed
from zfscale.pretraining.small_pictures import framed

PACKAGES = ("openclipart-png",)
ROOT = Path("/usr/share/openclipart/png")
LARGEST = 2000  # pixels of a side: the few larger ones take minutes to read
FOLDERS = (
    *("animals/", "buildings/", "food/", "people/", "plants/", "tools/", "recreation/music/", "recreation/sports/"),
    *("recreation/toys/", "transportation/boating/", "transportation/vehicles/"),
)


def clip_art() -> np.ndarray:
    """uint8 [N, 4, SIDE, SIDE]: red, green, blue, opacity; none twice. Errors: DataError if the package is missing."""
    from PIL import Image

    found: dict[bytes, np.ndarray] = {}
    for path in sorted(installed(PACKAGES, {".png"}, "clip art")):
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).as_posix().startswith(FOLDERS):
            with Image.open(path) as image:
                picture = image.convert("RGBA") if max(image.size) <= LARGEST else None
            if picture is not None and picture.getbbox() is not None:
                page = framed(picture)
                found[page.tobytes()] = page
    return np.stack(list(found.values())).transpose(0, 3, 1, 2)
