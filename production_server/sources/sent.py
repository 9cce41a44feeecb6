"""Somebody else's JSON, walked to learn what it is: each value knows the path at which it stands."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from production_server.errors import MAX_FAULTS, InvalidInput
from production_server.json_document import NotJson, read_json
from production_server.shown import describe
from production_server.sources.refusals import CODE, MAX_EVENTS, TOO_MANY, not_an_event, too_many
from production_server.validation import faults_of, path_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """One value of a JSON document and its path, such as `Records[2].s3`; None: it is missing, or null."""

    path: str
    value: object

    def read(self, kind: TypeAdapter[T]) -> T:
        """This value as one of a kind of `fields`.

        Raises:
            InvalidInput, TooLarge: it is none; names what does not fit by path.
        """
        try:
            return kind.validate_python(self.value)
        except ValidationError as exc:
            for error in exc.errors(include_url=False, include_context=False):
                if error["type"] == TOO_MANY:
                    path = path_of(error["loc"], self.path)
                    raise too_many(path, "entries", count=f"{len(error['input']):,}") from exc
            faults = tuple(islice(faults_of(exc, whole="body", within=self.path), MAX_FAULTS))
            raise InvalidInput("; ".join(map(str, faults[:3])), faults, code=CODE) from exc

    def refuse(self, expected: str) -> InvalidInput:
        """The error that says what should be here; the caller raises it."""
        return not_an_event(self.path, expected, "nothing" if self.value is None else describe(self.value))

    def has(self, name: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(name) is not None

    def get(self, name: str) -> Sent:
        """A member.

        Raises:
            InvalidInput: this is not an object.
        """
        if not isinstance(self.value, dict):
            raise self.refuse("an object")
        return Sent(f"{self.path}.{name}" if self.path else name, self.value.get(name))

    def items(self) -> list[Sent]:
        """The entries of a list.

        Raises:
            InvalidInput, TooLarge: this is not a list, or a list of more than 10,000.
        """
        if not isinstance(self.value, list):
            raise self.refuse("a list")
        if len(self.value) > MAX_EVENTS:
            raise too_many(self.path, "entries", count=f"{len(self.value):,}")
        return [Sent(f"{self.path}[{index}]", value) for index, value in enumerate(self.value)]

    def text(self) -> str:
        """A text, whatever is in it.

        Raises:
            InvalidInput: this is not a text.
        """
        if not isinstance(self.value, str):
            raise self.refuse("a text")
        return self.value

    def parsed(self) -> Sent:
        """The JSON document that this text is.

        Raises:
            InvalidInput: this is not a text, or one that is not JSON.
        """
        return parse_json(self.text(), self.path)


def parse_json(data: bytes | str, path: str = "") -> Sent:
    """The document in `data`, which came as the value at `path` of another one, or, without a path, as the body.

    Raises:
        InvalidInput: it is not JSON in UTF-8, or nested so deeply that nobody meant it.
    """
    try:
        return Sent(path, read_json(data, takes_odd=True))
    except NotJson as exc:
        where = f"{path}.{exc.where}" if path and exc.where else path or exc.where
        raise not_an_event(where, exc.expected, exc.got) from exc
