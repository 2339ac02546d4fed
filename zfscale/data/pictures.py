"""Pictures that come with an installation: photographs, fonts, and a sample of Fashion-MNIST.

Shapes: each source gives uint8 [N, C, 28, 28], int64 labels [N], and the names of the classes.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from zfscale.errors import DataError

SIDE = 28  # pixels
FONT_SIZE = 22  # pixels an em: the widest letter still fits
EMBEDDED = Path(__file__).parent / "embedded"
PHOTOGRAPHS = {
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "portrait": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmb10", "cmmi10", "cmr10", "cmss10", "cmti10", "cmtt10"),
)  # of those that matplotlib installs, the ones with Latin letters
FASHION_CLASSES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle-boot"),
)
SCRIPTS100 = "".join(  # 46 hiragana, 44 Thai consonants, 10 Thai digits
    (
        "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん",
        "กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
        "๐๑๒๓๔๕๖๗๘๙",
    )
)

Pictures = tuple[np.ndarray, np.ndarray, Sequence[str]]


def photos() -> Pictures:
    """1,038 colour tiles of the photographs that scikit-learn and matplotlib install; the class is the photograph."""
    from PIL import Image

    x, y = [], []
    for label, (package, path) in enumerate(PHOTOGRAPHS.values()):
        with Image.open(_installed(package, path)) as image:
            found = tiles(np.asarray(image.convert("RGB")))
        x.append(found)
        y += [label] * len(found)
    return np.ascontiguousarray(np.concatenate(x).transpose(0, 3, 1, 2)), np.array(y), tuple(PHOTOGRAPHS)


def glyphs() -> Pictures:
    """1,144 letters, black on white: the Latin alphabet, small and large, in 22 of matplotlib's fonts."""
    from PIL import ImageFont

    fonts = [
        ImageFont.truetype(
            _installed("matplotlib", f"mpl-data/fonts/ttf/{name}.ttf"), FONT_SIZE, layout_engine=ImageFont.Layout.BASIC
        )
        for name in FONTS
    ]
    x = np.stack([_draw(letter, font) for letter in string.ascii_letters for font in fonts])
    return x[:, None], np.repeat(np.arange(len(string.ascii_letters)), len(fonts)), tuple(string.ascii_letters)


def fashion1k() -> Pictures:
    """1,000 pictures of Fashion-MNIST's test split, 100 a class, one class after the other (Xiao et al. 2017)."""
    from PIL import Image

    with Image.open(EMBEDDED / "fashion1k.png") as image:
        x = tiles(np.asarray(image))
    return x[:, None], np.repeat(np.arange(10), 100), FASHION_CLASSES


def scripts100() -> tuple[Pictures, Pictures]:
    """6,000 drawings of 100 characters in many fonts to learn from, and 2,000 in other fonts to test on.

    They are distorted, white on black; `zfscale.pretraining.scripts100` made them.
    """
    from PIL import Image

    with Image.open(EMBEDDED / "scripts100.png") as image:
        x = tiles(np.asarray(image))[:, None]
    each = len(x) // len(SCRIPTS100)
    y, tested = np.repeat(np.arange(len(SCRIPTS100)), each), np.arange(len(x)) % each >= each * 3 // 4
    return (x[~tested], y[~tested], tuple(SCRIPTS100)), (x[tested], y[tested], tuple(SCRIPTS100))


def tiles(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """[H, W, ...] -> [N, side, side, ...]: row after row, without overlap; what is left at the edges is dropped."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    cut = image[: rows * side, : columns * side]
    grid = cut.reshape(rows, side, columns, side, *image.shape[2:]).swapaxes(1, 2)
    return grid.reshape(rows * columns, side, side, *image.shape[2:])


def _draw(letter: str, font: object) -> np.ndarray:
    """uint8 [SIDE, SIDE]: the letter, its bounding box in the middle."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (SIDE, SIDE), 255)
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = pen.textbbox((0, 0), letter, font=font)  # type: ignore[arg-type]
    at = ((SIDE - right - left) // 2, (SIDE - bottom - top) // 2)
    pen.text(at, letter, fill=0, font=font)  # type: ignore[arg-type]
    return np.asarray(image)


def _installed(package: str, path: str) -> str:
    """A file of an installed package, which is not imported."""
    spec = find_spec(package)
    file = Path(spec.origin or "").parent / path if spec else Path(path)
    if not file.is_file():
        raise DataError(f"package {package!r} does not carry {path}, which the pictures are made of")
    return str(file)
