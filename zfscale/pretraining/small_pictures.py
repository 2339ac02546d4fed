"""Small coloured pictures that Debian ships: emoji and stamps of a drawing program, each a class of its own.

Those that are letters or digits are left out; writing on a thing that is shown (a shop's sign, say) may be left.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zfscale.errors import DataError

EMOJI = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
STAMPS = Path("/usr/share/tuxpaint/stamps")
PACKAGES = ("fonts-noto-color-emoji", "tuxpaint-stamps-default")
SIDE = 40  # pixels of a picture
INK = 37  # pixels of its longer side
WRITTEN = ("symbols/", "town/roadsigns/")  # stamps of letters, digits, coins and signs: vit-mini is tested on letters
WRITING = (  # words of the names of emoji that are letters or digits, or made of some
    *("LATIN", "LETTER", "SQUARED", "CIRCLED", "INPUT SYMBOL", "KEYCAP", "ARROW ABOVE", "HUNDRED POINTS", "EIGHTEEN"),
    *("AUTOMATED TELLER", "WATER CLOSET", "CALENDAR", "TRADE MARK", "INFORMATION SOURCE"),
)
STRIKE = 109  # pixels: the one size of the emoji font


def coloured() -> np.ndarray:
    """uint8 [N, 4, SIDE, SIDE]: red, green, blue, opacity. Errors: DataError if a package is missing."""
    if not (EMOJI.is_file() and STAMPS.is_dir()):
        raise DataError(f"the coloured pictures are missing; run: apt-get install {' '.join(PACKAGES)}")
    found = [framed(picture) for picture in (*_emoji(), *_stamps())]
    return np.stack(found).transpose(0, 3, 1, 2)


def written(emoji: str) -> bool:
    """Whether an emoji is a letter or a digit by its name, or made of some.

    >>> written("\N{NEGATIVE SQUARED LATIN CAPITAL LETTER A}"), written("\N{CALENDAR}"), written("\N{CAT}")
    (True, True, False)
    """
    name = unicodedata.name(emoji, "")
    return any(word in name for word in WRITING)


def _emoji() -> Iterator[Any]:
    """Every emoji of one code point that shows no writing by its name, in the order of the code points."""
    from fontTools.ttLib import TTFont
    from PIL import Image, ImageDraw, ImageFont

    with TTFont(EMOJI, lazy=True) as tables:
        codes = sorted(code for code in tables.getBestCmap() if 0x203C <= code < 0xE0000 and not written(chr(code)))
    font = ImageFont.truetype(str(EMOJI), STRIKE)
    for code in codes:
        page = Image.new("RGBA", (160, 160))
        ImageDraw.Draw(page).text((10, 10), chr(code), font=font, embedded_color=True)
        if page.getbbox() is not None:
            yield page


def _stamps() -> Iterator[Any]:
    from PIL import Image

    for path in sorted(STAMPS.rglob("*.png")):
        if "mirror" not in path.name and not path.relative_to(STAMPS).as_posix().startswith(WRITTEN):
            with Image.open(path) as image:
                yield image.convert("RGBA")


def framed(picture: Any) -> np.ndarray:
    """The picture without its empty border, its longer side INK pixels, in the middle of an empty page."""
    from PIL import Image

    picture = picture.crop(picture.getbbox())
    scale = INK / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    page = Image.new("RGBA", (SIDE, SIDE))
    small = picture.resize((width, height), Image.Resampling.LANCZOS)
    page.paste(small, ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(page)
