"""What stands in events, as types that pydantic checks: texts, numbers, names of buckets, metadata.

Whoever sends them is not trusted: a text has a length, and a list, or an object with names of the sender's own, has
a count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    Strict,
    model_validator,
)
from pydantic_core import PydanticCustomError

from production_server.sources.refusals import MAX_EVENTS, TOO_MANY
from production_server.storage.locations import BUCKET_RULE, is_bucket_name

MAX_TEXT_BYTES = 1024
"""What S3, Google and Azure allow a key to have; no other text of an event is longer."""
MAX_METADATA_BYTES = 65_536
MAX_NUMBER = 2**63 - 1
TEXT_RULE = "a text of 1 to 1,024 bytes of UTF-8 without NUL"
USER_METADATA = "x-amz-meta-"


class Foreign(BaseModel):
    """A part of an event. What is null counts as missing, and what is not known is passed over."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, sent: Any) -> Any:
        if isinstance(sent, dict) and None in sent.values():
            return {name: value for name, value in sent.items() if value is not None}
        return sent


def storable(sent: str, decode: Callable[[str], str] = str, *, expected: str = TEXT_RULE) -> str:
    """What `decode` makes of a text, if it can be stored: real characters, no NUL, 1,024 bytes.

    Raises:
        PydanticCustomError: it cannot, or `decode` raised a ValueError.
    """
    # Percent signs make three bytes of one, and a URL has some more before them: what is longer is not decoded.
    if len(sent) <= 4 * MAX_TEXT_BYTES:
        # Percent signs before bytes that are not UTF-8 are a ValueError, and lone surrogates are.
        with suppress(ValueError):
            text = decode(sent)
            if 1 <= len(text.encode()) <= MAX_TEXT_BYTES and "\0" not in text:
                return text
    raise PydanticCustomError("text", expected)


def check_bucket(name: str) -> str:
    """`name`, if any of the stores could have a bucket of it.

    Raises:
        PydanticCustomError: none could.
    """
    if not is_bucket_name(name):
        raise PydanticCustomError("bucket", BUCKET_RULE)
    return name


def plain_name(name: str) -> str:
    """A metadata name as rules write it: `X-Amz-Meta-Camera` is `camera`."""
    return name.lower().removeprefix(USER_METADATA)


def plain_metadata(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Metadata by plain names."""
    # The client's own come first, so that its `x-amz-meta-content-type` does not hide the `content-type` of the store.
    own_first = sorted(entries, key=lambda entry: not entry[0].lower().startswith(USER_METADATA))
    return {plain_name(name): value for name, value in own_first}


def _unquoted(etag: str) -> str | None:
    """An entity tag without the quotes that HTTP puts around it."""
    if len(etag) > 1 and etag[0] == etag[-1] == '"':
        etag = etag[1:-1]
    return etag or None


def _number(sent: object) -> object:
    """A whole number from 0 on; some senders write it in quotes, and some none as an empty text."""
    if sent == "":
        return None
    number = sent
    if isinstance(sent, str) and sent.isascii() and sent.isdigit() and len(sent) < 20:
        number = int(sent)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_NUMBER:
        raise PydanticCustomError("number", "a whole number from 0 on")
    return number


def _none_if_empty(sent: object) -> object:
    return None if sent == "" else sent


def _few(sent: Any) -> Any:
    """`sent`, if it has no more than 10,000 entries: asked before any of them is looked at."""
    if isinstance(sent, dict | list) and len(sent) > MAX_EVENTS:
        raise PydanticCustomError(TOO_MANY, f"at most {MAX_EVENTS:,} entries")
    return sent


def _metadata_value(text: str) -> str:
    with suppress(ValueError):
        if len(text.encode()) <= MAX_METADATA_BYTES and "\0" not in text:
            return text
    raise PydanticCustomError("text", "a text")


def _text(sent: str) -> str:
    return storable(sent)


RawText = Annotated[str, Strict()]
Text = Annotated[RawText, AfterValidator(_text)]
OptionalText = Annotated[Text | None, BeforeValidator(_none_if_empty)]
BucketName = Annotated[RawText, AfterValidator(check_bucket)]
Etag = Annotated[Annotated[Text, AfterValidator(_unquoted)] | None, BeforeValidator(_none_if_empty)]
"""Without the quotes that HTTP puts around it."""
Size = Annotated[int | None, BeforeValidator(_number)]
MetadataValue = Annotated[RawText, AfterValidator(_metadata_value)]


class Tagged(Foreign):
    """An object whose entity tag is spelt in one of two ways."""

    first_etag: Etag = Field(None, alias="eTag")
    other_etag: Etag = Field(None, alias="etag")

    @property
    def etag(self) -> str | None:
        return self.first_etag or self.other_etag


class Pair(Foreign):
    """One metadatum."""

    key: Text
    val: MetadataValue


def _plain_members(members: dict[str, str]) -> dict[str, str]:
    return plain_metadata(members.items())


Metadata = Annotated[dict[str, MetadataValue], AfterValidator(_plain_members), BeforeValidator(_few)]
"""An object, by names that the client chose."""
Pairs = Annotated[list[Pair], FailFast(), BeforeValidator(_few)]
"""A list of objects with `key` and `val`; of those that are wrong only the first is named."""
