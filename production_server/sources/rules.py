"""Rules that say which model gets which objects of which bucket: what stands in `events.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from production_server.errors import SettingsError
from production_server.jobs.records import ANONYMOUS_NAME
from production_server.sources.event import ObjectEvent
from production_server.sources.fields import check_bucket, plain_metadata
from production_server.sources.written_yaml import ClientName, listed, read_yaml

IsKnown = Callable[[str, str | None], bool]
"""Whether the store has a model, or a version of it."""


def _some(read: Any) -> Any:
    if not read:
        raise PydanticCustomError("empty", "a list of at least one")
    return read


def _plain(written: dict[str, str]) -> dict[str, str]:
    plain = plain_metadata(written.items())
    if len(plain) < len(written):
        raise PydanticCustomError("names", "names that differ in more than case")
    return plain


_WRITTEN = ConfigDict(frozen=True, extra="forbid")
Written = Annotated[str, Field(min_length=1)]
Suffix = Annotated[Written, AfterValidator(str.lower)]


class Rule(BaseModel):
    """Objects that go to one model; `version` None is whichever is stable when they come.

    What becomes of them belongs to `client`.
    """

    bucket: Annotated[Written, AfterValidator(check_bucket)]
    model: Written
    version: Written | None = None
    prefix: Written = ""
    suffix: Annotated[tuple[Suffix, ...], BeforeValidator(listed), AfterValidator(_some)] = ()
    """Lower-case; none: any."""
    client: ClientName = ANONYMOUS_NAME
    metadata: Annotated[Mapping[Written, Written], AfterValidator(_plain)] = Field(default_factory=dict)
    """By plain names (`fields.plain_name`); all must be what the event carries."""

    model_config = _WRITTEN

    @field_validator("model", "version")
    @classmethod
    def _in_store(cls, written: str, info: ValidationInfo) -> str:
        """Refuse what the store does not have, where the context says how to know."""
        is_known: IsKnown | None = (info.context or {}).get("is_known")
        is_model = info.field_name == "model"
        model = written if is_model else info.data.get("model")
        # A model that is none was named already.
        if is_known and model and not is_known(model, None if is_model else written):
            what = "a model" if is_model else f"a version of {model}"
            raise PydanticCustomError("unknown", "{what} that the store has", {"what": what})
        return written

    def matches(self, event: ObjectEvent) -> bool:
        """Whether the event's object is one of this rule's, whatever happened to it."""
        return (
            event.bucket == self.bucket
            and event.key.startswith(self.prefix)
            and (not self.suffix or event.key.lower().endswith(self.suffix))
            and all(event.metadata.get(name) == value for name, value in self.metadata.items())
        )


class _Rules(BaseModel):
    rules: Annotated[tuple[Rule, ...], AfterValidator(_some)]

    model_config = _WRITTEN


def read_rules(text: str, *, source: str, is_known: IsKnown) -> tuple[Rule, ...]:
    """The rules in `text`, the content of the file `source`, in its order.

    Raises:
        SettingsError: one or more rules cannot be used; it names every fault by line and path. Of a file that is not
            YAML, it names the first.
    """
    written = read_yaml(text, source=source)
    try:
        return _Rules.model_validate(written.value, context={"is_known": is_known}).rules
    except ValidationError as exc:
        raise SettingsError(written.faults_of(exc)) from exc
