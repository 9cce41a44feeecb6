"""Names of objects that cannot be stored or asked for as they are: what stands for them, and why."""

from __future__ import annotations

from dataclasses import replace

from production_server.storage.objects import Reference

MAX_URL_BYTES = 2048
"""PostgreSQL's index of URLs takes no more than 2,704."""
MAX_ETAG = 255


def storable(reference: Reference) -> Reference:
    """The reference itself; or, where it could not be stored, one with a URL to read and the reason in `fault`."""
    fault = _fault_of(reference)
    if not fault:
        return reference
    etag = "" if len(reference.etag) > MAX_ETAG else _readable(reference.etag)
    return replace(reference, url=_shortened(_readable(reference.url)), etag=etag[:MAX_ETAG], fault=fault)


def _fault_of(reference: Reference) -> str:
    url_bytes = len(reference.url.encode("utf-8", "surrogatepass"))
    if _has_surrogates(reference.url):
        return "its name is not UTF-8: rename it; what is shown has percent signs for the bytes that are not"
    if "\0" in reference.url:
        return "its name has a NUL in it, which is shown as %00"
    if url_bytes > MAX_URL_BYTES:
        return f"its URL has {url_bytes} bytes, at most {MAX_URL_BYTES} can be kept; the middle is not shown"
    if len(reference.etag) > MAX_ETAG or "\0" in reference.etag or _has_surrogates(reference.etag):
        return f"its etag is not a text of at most {MAX_ETAG} characters"
    return ""


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _readable(text: str) -> str:
    """`text` with percent signs for what is no character: bytes of a file's name, lone surrogates, NUL."""
    return "".join(
        "".join(f"%{byte:02X}" for byte in _bytes_of(character))
        if character == "\0" or _has_surrogates(character)
        else character
        for character in text
    )


def _bytes_of(character: str) -> bytes:
    # In a file's name Python writes a byte that is not UTF-8 as one of these.
    is_byte = "\udc80" <= character <= "\udcff"
    return character.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")


def _shortened(url: str) -> str:
    data = url.encode()
    if len(data) <= MAX_URL_BYTES:
        return url
    half = MAX_URL_BYTES // 2 - 2
    return f"{data[:half].decode(errors='ignore')}…{data[-half:].decode(errors='ignore')}"
