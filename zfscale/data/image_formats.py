"""Which files are images: by suffix, by content, and what a file is instead of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = (  # of Pillow; not those that run programs (EPS), need others (WMF, HDF5) or have no magic number
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD"),
    *("QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
SNIFFED = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "QOI", "TIFF", "WEBP")  # whatever the suffix
READABLE = {
    *(".apng", ".avif", ".avifs", ".bmp", ".bw", ".dds", ".dib", ".gif", ".icns", ".ico", ".j2c", ".j2k", ".jfif"),
    *(".jif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pcx", ".pfm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".psd", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".webp"),
    *(".xbm", ".xpm"),
}
UNREADABLE = {  # images, but not for Pillow, which takes a raw photograph's thumbnail for the photograph
    *(".arw", ".cr2", ".cr3", ".dcm", ".dng", ".eps", ".exr", ".hdr", ".heic", ".heif", ".hif", ".jxl", ".jxr"),
    *(".nef", ".nii", ".orf", ".raf", ".raw", ".rw2", ".svg", ".wmf"),
}
KINDS = (  # (offset, magic number, what it is and what to do)
    (0, b"version https://git-lfs", "a Git LFS pointer, and not what it points to; run: git lfs pull"),
    (0, b"PK\x03\x04", "a zip archive; unpack it"),
    (0, b"\x1f\x8b", "compressed by gzip; unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (257, b"ustar", "a tar archive; unpack it"),
    (0, b"%PDF", "a PDF document; convert it to PNG"),
    (0, b"\xff\x0a", "a JPEG XL image, which Pillow does not read; convert it to PNG"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image, which Pillow does not read; convert it to PNG"),
    (4, b"ftyphei", "a HEIC image, which Pillow does not read; convert it to PNG or JPEG"),
    (4, b"ftyphev", "a HEIC image, which Pillow does not read; convert it to PNG or JPEG"),
    (4, b"ftypmif1", "a HEIF image, which Pillow does not read; convert it to PNG or JPEG"),
    (0, b"<!DOCTYPE html", "an HTML page, perhaps that of a failed download"),
    (0, b"<html", "an HTML page, perhaps that of a failed download"),
    (0, b"<svg", "an SVG drawing; convert it to PNG"),
)


def opened(file: IO[bytes], formats: Sequence[str] = FORMATS) -> Image:
    """Pillow's image of a file, not yet decoded; whatever Pillow raises if there is none."""
    from PIL import Image as pil

    pil.init()
    return pil.open(file, formats=[name for name in formats if name in pil.OPEN])


def is_image(file: IO[bytes]) -> bool:
    """Whether the content of a file is an image, to Pillow."""
    try:
        opened(file, SNIFFED)
    except Exception:  # whatever Pillow's parsers meet in what is no image
        return False
    return True


def instead(raw: bytes) -> str | None:
    """What the bytes are that are no image, and what to do about it; None if they do not tell."""
    return next((text for at, magic, text in KINDS if raw[at:].startswith(magic)), None)
