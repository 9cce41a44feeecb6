"""The outermost fields of a protobuf message, without reading what is in them: enough to tell what a file is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MOST_FIELDS = 100_000


class NotProtobuf(ValueError):
    """The bytes are no message, or none that is whole."""

    def __init__(self, *, is_cut_off: bool) -> None:
        self.is_cut_off = is_cut_off
        super().__init__("cut off" if is_cut_off else "no protobuf message")


@dataclass(frozen=True, slots=True)
class Field:
    """A field's number, how it is written, and its value if that is a whole number."""

    number: int
    wire_type: int
    value: int | None


def fields_of(file: BinaryIO, size_bytes: int) -> Iterator[Field]:
    """The fields from the beginning of a file of that size to its end.

    Raises:
        NotProtobuf: what follows is no field, or ends behind the file's end.
    """
    file.seek(0)
    for _ in range(_MOST_FIELDS):
        if file.tell() == size_bytes:
            return
        tag = _varint(file)
        number, wire_type = tag >> 3, tag & 7
        if not number or wire_type not in {_VARINT, _BYTES, *_SIZES}:
            raise NotProtobuf(is_cut_off=False)
        value = _varint(file) if wire_type in {_VARINT, _BYTES} else None
        yield Field(number, wire_type, value if wire_type == _VARINT else None)
        end = file.tell() + (value or 0 if wire_type == _BYTES else _SIZES.get(wire_type, 0))
        if end > size_bytes:
            raise NotProtobuf(is_cut_off=True)
        file.seek(end)
    raise NotProtobuf(is_cut_off=False)


def _varint(file: BinaryIO) -> int:
    """Groups of seven bits, the lowest first; the last one's eighth bit is not set."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise NotProtobuf(is_cut_off=True)
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise NotProtobuf(is_cut_off=False)
