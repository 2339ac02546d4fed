"""Printed characters of many scripts, drawn with the fonts that Debian ships: what vit-mini and its stream are made of.

A class is a character; its examples are the fonts that have it. No image here is distorted: `distort` does that.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zfscale.pretraining.packages import installed

SIDE = 40  # pixels of a drawing
INK = 32  # pixels of a character's longer side in it
EM = 64  # pixels an em, before a character is brought to size
INKED = 110  # of 255: from here on a pixel is of a stroke
UNKNOWN = "\U0010fffe"  # never assigned: what a font draws for a character that it lacks
PACKAGES = (  # of Debian 12
    *("fonts-noto-core", "fonts-noto-cjk", "fonts-wqy-microhei", "fonts-wqy-zenhei", "fonts-arphic-bkai00mp"),
    *("fonts-arphic-bsmi00lp", "fonts-arphic-gbsn00lp", "fonts-arphic-gkai00mp", "fonts-arphic-ukai"),
    *("fonts-arphic-uming", "fonts-cwtex-fs", "fonts-cwtex-yen", "fonts-cwtex-kai", "fonts-cwtex-ming"),
    *("fonts-cwtex-heib", "fonts-takao-gothic", "fonts-takao-mincho", "fonts-ipaexfont-gothic"),
    *("fonts-ipaexfont-mincho", "fonts-vlgothic", "fonts-sawarabi-gothic", "fonts-sawarabi-mincho"),
    *("fonts-motoya-l-cedar", "fonts-motoya-l-maruberi", "fonts-mplus", "fonts-klee", "fonts-aoyagi-soseki"),
    *("fonts-aoyagi-kouzan-t", "fonts-kouzan-mouhitsu", "fonts-seto", "fonts-kiloji", "fonts-yusei-magic"),
    *("fonts-reggae", "fonts-rocknroll", "fonts-stick", "fonts-konatu", "fonts-komatuna", "fonts-umeplus"),
    *("fonts-kanjistrokeorders", "fonts-morisawa-bizud-gothic", "fonts-morisawa-bizud-mincho", "fonts-mona"),
    *("fonts-ricty-diminished", "fonts-lxgw-wenkai", "fonts-dejima-mincho", "fonts-baekmuk", "fonts-nanum"),
    *("fonts-nanum-extra", "fonts-unfonts-core", "fonts-unfonts-extra", "fonts-alee", "fonts-woowa-bm"),
    *("fonts-lexi-gulim", "fonts-lexi-saebom", "fonts-naver-d2coding", "fonts-tlwg-purisa-ttf"),
    *("fonts-tlwg-umpush-ttf", "fonts-tlwg-sawasdee-ttf", "fonts-tlwg-loma-ttf", "fonts-tlwg-mono-ttf"),
    *("fonts-tlwg-norasi-ttf", "fonts-tlwg-typist-ttf", "fonts-tlwg-typo-ttf", "fonts-tlwg-waree-ttf"),
    *("fonts-tlwg-typewriter-ttf", "fonts-tlwg-garuda-ttf", "fonts-tlwg-kinnari-ttf"),
    *("fonts-tlwg-laksaman-ttf", "fonts-sipa-arundina", "fonts-freefont-ttf", "fonts-symbola"),
    *("fonts-bpg-georgian", "fonts-kacst", "fonts-kacst-one", "fonts-arabeyes", "fonts-farsiweb"),
    *("fonts-freefarsi", "fonts-hosny-amiri", "fonts-hosny-thabit", "fonts-sil-scheherazade"),
    *("fonts-sil-harmattan", "fonts-ukij-uyghur", "fonts-deva-extra", "fonts-lohit-deva", "fonts-gargi"),
    *("fonts-nakula", "fonts-sahadeva", "fonts-sarai", "fonts-kalapi", "fonts-samyak-deva"),
    *("fonts-aksharyogini2", "fonts-sil-annapurna", "fonts-beng-extra", "fonts-lohit-beng-bengali"),
    *("fonts-lohit-guru", "fonts-guru-extra", "fonts-lohit-gujr", "fonts-gujr-extra", "fonts-samyak-gujr"),
    *("fonts-yrsa-rasa", "fonts-lohit-taml", "fonts-lohit-taml-classical", "fonts-samyak-taml"),
    *("fonts-meera-inimai", "fonts-taml-tamu", "fonts-lohit-telu", "fonts-telu-extra", "fonts-teluguvijayam"),
    *("fonts-lohit-knda", "fonts-gubbi", "fonts-navilu", "fonts-lohit-mlym", "fonts-smc-rachana"),
    *("fonts-smc-meera", "fonts-smc-manjari", "fonts-smc-chilanka", "fonts-smc-anjalioldlipi"),
    *("fonts-smc-dyuthi", "fonts-smc-karumbi", "fonts-smc-keraleeyam", "fonts-smc-suruma", "fonts-smc-uroob"),
    *("fonts-smc-gayathri", "fonts-rit-sundar", "fonts-lohit-orya", "fonts-orya-extra", "fonts-samyak-orya"),
    *("fonts-lklug-sinhala", "fonts-gemunu-libre", "fonts-khmeros", "fonts-sil-mondulkiri"),
    *("fonts-sil-padauk", "fonts-tibetan-machine", "fonts-ddc-uchen", "fonts-sambhota-tsugring"),
    *("fonts-sil-abyssinica", "fonts-senamirmir-washra", "fonts-sil-ezra", "fonts-lg-aboriginal"),
    *("fonts-sil-nuosusil", "fonts-sil-akatab", "fonts-ancient-scripts", "fonts-mph-2b-damase"),
    "fonts-sil-dai-banna",
)
# Scripts that are learned, by the words that the names of their letters start with. Latin, Greek and Cyrillic, all
# digits, Thai and its kin, and all kana are left out: vit-mini is tested on letters, digits and those scripts.
LEARNED = (
    *("HEBREW", "ARABIC", "SYRIAC", "THAANA", "NKO", "SAMARITAN", "MANDAIC", "DEVANAGARI"),
    *("BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "TIBETAN"),
    *("MYANMAR", "ETHIOPIC", "KHMER", "MONGOLIAN", "CANADIAN SYLLABICS", "YI SYLLABLE", "VAI", "BAMUM", "TIFINAGH"),
    *("JAVANESE", "BALINESE", "SUNDANESE", "BUGINESE", "LEPCHA", "OL CHIKI", "CHAM", "MEETEI MAYEK"),
    *("SAURASHTRA", "SYLOTI NAGRI", "PHAGS-PA", "LIMBU", "NEW TAI LUE", "TAI LE", "TAI VIET", "KAYAH LI", "REJANG"),
    *("BATAK", "BRAHMI", "KHAROSHTHI", "OSMANYA", "UGARITIC", "OLD PERSIAN", "CUNEIFORM", "EGYPTIAN", "LINEAR B"),
    *("CYPRIOT", "PHOENICIAN", "IMPERIAL ARAMAIC", "AVESTAN", "OLD TURKIC", "CHAKMA", "SHARADA", "TAKRI", "MIAO"),
    *("GRANTHA", "TIRHUTA", "MODI", "SIDDHAM", "WARANG CITI", "NEWA", "BHAIKSUKI", "MASARAM GONDI"),
    *("SHAVIAN", "ELBASAN", "CAUCASIAN ALBANIAN", "LINEAR A", "ANATOLIAN", "MENDE", "PAHAWH", "MRO"),
)


@dataclass(frozen=True)
class Drawings:
    """Drawings uint8 [N, SIDE, SIDE], white on black; labels int64 [N] and fonts int64 [N] by place in the lists."""

    x: np.ndarray
    y: np.ndarray
    font: np.ndarray
    characters: tuple[str, ...]
    fonts: tuple[str, ...]


def font_files(packages: Iterable[str] = PACKAGES) -> list[Path]:
    """The font files of Debian packages, by name. Errors: DataError with the command that installs what is missing."""
    return sorted(installed(packages, {".ttf", ".otf", ".ttc"}, "fonts"), key=lambda path: path.name)


def draw(files: Iterable[Path], wanted: Callable[[set[str]], set[str]], fonts: int) -> Drawings:
    """Every character that `wanted` picks of all there are, in at most `fonts` of the fonts that have it.

    Those fonts are spread evenly over all that have it. What a font draws blank, or as an unknown one, is left out.
    """
    faces = [(path, _characters(path)) for path in files]
    chosen = wanted(set().union(*(has for _, has in faces)))
    having = Counter(character for _, has in faces for character in has & chosen)
    drawn: list[tuple[str, int, np.ndarray]] = []
    met: Counter[str] = Counter()
    for number, (path, has) in enumerate(faces):
        here = []
        for character in sorted(has & chosen):
            met[character] += 1
            share = min(1.0, fonts / having[character])
            if int(met[character] * share) > int((met[character] - 1) * share):
                here.append(character)
        drawn += [(character, number, image) for character, image in _drawn(path, here)]
    characters = tuple(sorted({character for character, _, _ in drawn}))
    place = {character: i for i, character in enumerate(characters)}
    y, font = (np.array(column, np.int64) for column in ([place[c] for c, _, _ in drawn], [n for _, n, _ in drawn]))
    return Drawings(np.stack([image for _, _, image in drawn]), y, font, characters, tuple(p.name for p, _ in faces))


def thinned(characters: Iterable[str], most: int) -> set[str]:
    """At most `most` characters of a script, spread evenly over its code points."""
    of: dict[str, list[str]] = defaultdict(list)
    for character in sorted(characters):
        of[unicodedata.name(character).split()[0]].append(character)
    return {c for found in of.values() for c in found[:: -(-len(found) // most)]}


def learned(characters: Iterable[str]) -> set[str]:
    """Those characters that vit-mini learns: letters of `LEARNED` scripts, Hangul and common Han characters."""
    return {c for c in characters if _learned(c)}


def complex_script(character: str) -> bool:
    """Whether it is of a script whose characters are made of several simpler ones: Han and Hangul."""
    return unicodedata.name(character).startswith(("CJK UNIFIED", "HANGUL SYLLABLE"))


def _learned(character: str) -> bool:
    name = unicodedata.name(character, "")
    if name.startswith("HANGUL SYLLABLE"):
        return _encodable(character, "euc_kr")
    if name.startswith("CJK UNIFIED"):
        return all(_encodable(character, code) for code in ("gb2312", "big5", "shift_jis"))
    return unicodedata.category(character) == "Lo" and name.startswith(LEARNED)


def _encodable(character: str, code: str) -> bool:
    """Whether it is one of the code's two-byte characters."""
    try:
        return len(character.encode(code)) == 2
    except UnicodeEncodeError:
        return False


def _characters(path: Path) -> set[str]:
    """The characters that the first face of a font file has; none if it is broken."""
    from fontTools.ttLib import TTFont

    try:
        with TTFont(path, fontNumber=0, lazy=True) as tables:
            return {chr(code) for code in tables.getBestCmap()}
    except Exception:  # whatever a font's parsers meet
        return set()


def _drawn(path: Path, characters: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Drawings of the characters in a font."""
    from PIL import ImageFont

    try:
        font = ImageFont.truetype(str(path), EM, layout_engine=ImageFont.Layout.BASIC)
        unknown = _one(font, UNKNOWN)
    except OSError:  # a font that FreeType cannot read
        return
    for character in characters:
        image = _one(font, character)
        if image is not None and (unknown is None or not np.array_equal(image, unknown)):
            yield character, image


def _one(font: Any, character: str) -> np.ndarray | None:
    """uint8 [SIDE, SIDE]: the character, its longer side INK pixels, in the middle; None if it is blank."""
    from PIL import Image, ImageDraw

    try:
        left, top, right, bottom = font.getbbox(character)
    except OSError:  # a glyph that FreeType cannot load
        return None
    width, height = right - left, bottom - top
    if min(width, height) < 1 or max(width, height) > 4 * EM:
        return None
    big = Image.new("L", (width, height))
    ImageDraw.Draw(big).text((-left, -top), character, font=font, fill=255)
    scale = INK / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    page = Image.new("L", (SIDE, SIDE))
    page.paste(big.resize(size, Image.Resampling.LANCZOS), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    found = np.asarray(page)
    return found if found.any() else None
