"""Which formats are taken, and what other bytes seem to be: their first bytes tell, no name and no media type does."""

from __future__ import annotations

import re
from typing import Literal

from production_server.models.image_files.unusable import Unusable

Format = Literal["PNG", "JPEG", "GIF", "WebP", "BMP", "PNM"]

EXPECTED = "an image file (PNG, JPEG, GIF, WebP, BMP or PNM)"

_BMP_HEADERS = b"\x0c\x28\x34\x38\x40\x6c\x7c"
"""The sizes that a header of a BMP has: what begins with BM is text more often."""
_TAKEN: dict[Format, bytes] = {
    "PNG": rb"\x89PNG",
    "JPEG": rb"\xff\xd8\xff",
    "GIF": rb"GIF8[79]a",
    "WebP": rb"RIFF.{4}WEBP",
    "BMP": rb"BM.{12}[" + re.escape(_BMP_HEADERS) + rb"]\0\0\0",
    "PNM": rb"P[1-6]\s+(?:#[^\r\n]*[\r\n]\s*)*[0-9]",
}
_IMAGES = {
    "a TIFF, or a camera's raw file": rb"II[*+]\0|MM\0[*+]",
    "a HEIC": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "an AVIF": rb".{4}ftypavi[fs]",
    "a camera's raw file (CR3)": rb".{4}ftypcrx",
    "a JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n",
    "a JPEG 2000": rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51",
    "an ICO": rb"\0\0[\x01\x02]\0[^\0]\0",
    "a PSD": rb"8BPS",
    "a PAM": rb"P7\n",
    "a PFM, whose pixels have no white": rb"P[Ff]4?\s",
    "an OpenEXR": rb"v/1\x01",
    "an HDR, whose pixels have no white": rb"#\?RADIANCE|#\?RGBE",
    "a QOI": rb"qoif",
    "a DICOM": rb".{128}DICM",
}
_NO_IMAGES = {
    "an SVG, which is a drawing": rb"(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<svg",
    "HTML": rb"(?i:(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html))",
    "XML": rb"(?:\xef\xbb\xbf)?\s*<\?xml",
    "a PDF": rb"%PDF",
    "a ZIP archive": rb"PK(?:\x03\x04|\x05\x06)",
    "a gzip file": rb"\x1f\x8b",
    "a video": rb".{4}ftyp|RIFF.{4}AVI |\x1a\x45\xdf\xa3",
    "what a Mac keeps beside a file (AppleDouble)": rb"\0\x05\x16\x07",
    "a pointer of Git LFS instead of the file": rb"version https://git-lfs",
    "Base64 or a data: URL, not decoded": rb"data:image/|iVBORw0KGgo|/9j/[4-8]",
}
_FIRST = 2_000
"""Bytes that are looked at."""
_FORMATS = [(kind, re.compile(pattern, re.DOTALL)) for kind, pattern in _TAKEN.items()]


def format_of(data: bytes) -> Format:
    """The format that a file's first bytes are of.

    Raises:
        Unusable: there are none (code `empty_file`), or they are of no format that is taken: of another one for
            images (`unsupported_image`), or of none (`not_an_image`).
    """
    if not data:
        raise Unusable("empty_file", expected=EXPECTED, got="an empty file")
    first = data[:_FIRST]
    for kind, pattern in _FORMATS:
        if pattern.match(first):
            return kind
    for code, names in (("unsupported_image", _IMAGES), ("not_an_image", _NO_IMAGES)):
        for name, other in names.items():
            if re.match(other, first, re.DOTALL):
                raise Unusable(code, expected=EXPECTED, got=name)
    raise Unusable("not_an_image", expected=EXPECTED, got="text" if _is_text(first) else "other bytes")


def _is_text(first: bytes) -> bool:
    """Whether bytes are printable; the last character may be cut off."""
    text = first.decode("utf-8", errors="replace").rstrip("\ufffd")
    return bool(text) and all(each.isprintable() or each.isspace() for each in text) and "\ufffd" not in text
