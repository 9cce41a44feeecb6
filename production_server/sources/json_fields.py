"""Somebody else's JSON: each value knows the path at which it stands, and reading it checks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from production_server.errors import InvalidInput
from production_server.sources.refusals import MAX_EVENTS, not_an_event, too_many
from production_server.sources.shown import describe, shown

MAX_TEXT_BYTES = 1024
"""What S3, Google and Azure allow a key to have; no other text of an event is longer."""
MAX_NUMBER = 2**63 - 1
TEXT = "a text of 1 to 1,024 bytes of UTF-8 without NUL"


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a JSON document and its path, such as `Records[2].s3`; None: it is missing, or null."""

    path: str
    value: object

    def refuse(self, expected: str) -> InvalidInput:
        """The error that says what should be here; the caller raises it."""
        return not_an_event(self.path, expected, describe(self.value))

    def has(self, name: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(name) is not None

    def get(self, *names: str) -> Field:
        """The member under the first of `names` that is there.

        Raises:
            InvalidInput: this is not an object.
        """
        members = self._object()
        name = next((name for name in names if members.get(name) is not None), names[0])
        return Field(f"{self.path}.{name}" if self.path else name, members.get(name))

    def members(self) -> list[tuple[str, Field]]:
        """All members, under names that the sender chose.

        Raises:
            InvalidInput, TooLarge: this is not an object, or one of more than 10,000 members.
        """
        members = self._object()
        self._check_count(len(members))
        return [(name, Field(f"{self.path}[{describe(name)}]", value)) for name, value in members.items()]

    def items(self) -> list[Field]:
        """The entries of a list.

        Raises:
            InvalidInput, TooLarge: this is not a list, or a list of more than 10,000.
        """
        if not isinstance(self.value, list):
            raise self.refuse("a list")
        self._check_count(len(self.value))
        return [Field(f"{self.path}[{index}]", value) for index, value in enumerate(self.value)]

    def raw_text(self) -> str:
        """A text, whatever is in it.

        Raises:
            InvalidInput: this is not a text.
        """
        if not isinstance(self.value, str):
            raise self.refuse("a text")
        return self.value

    def text(
        self,
        decode: Callable[[str], str] = str,
        *,
        expected: str = TEXT,
        least: int = 1,
        most: int = MAX_TEXT_BYTES,
    ) -> str:
        """What `decode` makes of the text that was sent, if it can be stored: real characters, no NUL, `most` bytes.

        Raises:
            InvalidInput: it cannot, or `decode` raised a ValueError.
        """
        sent = self.raw_text()
        # Percent signs make three bytes of one, and a URL has some more before them: what is longer is not decoded.
        if len(sent) > 4 * most:
            raise self.refuse(expected)
        try:
            text = decode(sent)
            is_good = least <= len(text.encode()) <= most and "\0" not in text
        except ValueError as exc:  # lone surrogates, too, and percent signs before bytes that are not UTF-8
            raise self.refuse(expected) from exc
        if not is_good:
            raise self.refuse(expected)
        return text

    def optional_text(self) -> str | None:
        """A text; None where there is none, which some senders write as an empty one.

        Raises:
            InvalidInput: this is neither nothing nor a text that can be stored.
        """
        return None if self.value in (None, "") else self.text()

    def optional_number(self) -> int | None:
        """A whole number from 0 on; some senders write it in quotes. None: there is none.

        Raises:
            InvalidInput: this is something else.
        """
        value = self.value
        if value in (None, ""):
            return None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
            raise self.refuse("a whole number from 0 on")
        return value

    def parsed(self) -> Field:
        """The JSON document that this text is.

        Raises:
            InvalidInput: this is not a text, or one that is not JSON.
        """
        return parse_json(self.raw_text(), self.path)

    def _check_count(self, count: int) -> None:
        if count > MAX_EVENTS:
            raise too_many(self.path, "entries", count=f"{count:,}")

    def _object(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise self.refuse("an object")
        return self.value


def parse_json(data: bytes | str, path: str = "") -> Field:
    """The document in `data`, which came as the value at `path` of another one, or, without a path, as the body.

    Raises:
        InvalidInput: it is not JSON in UTF-8, or nested so deeply that nobody meant it.
    """
    try:
        # Decoded here: json.loads would also take UTF-16, and bytes that stand for lone surrogates.
        return Field(path, json.loads(data if isinstance(data, str) else data.decode()))
    except RecursionError as exc:
        raise not_an_event(path, "JSON", "too many brackets in each other") from exc
    except ValueError as exc:
        raise not_an_event(path, "JSON in UTF-8", shown(f"something else: {exc}")) from exc
