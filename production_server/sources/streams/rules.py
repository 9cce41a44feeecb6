"""Which streams there are: what stands in `streams.yaml`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from production_server.access.records import CLIENT_RULE, is_client_name
from production_server.errors import Fault, SettingsError
from production_server.jobs.records import ANONYMOUS_NAME, Priority
from production_server.models.manifest import is_model_name
from production_server.sources.written_yaml import read_yaml

Kind = Literal["kafka", "pubsub"]
How = Literal["auto", "json", "image", "csv", "reference"]
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What topics of Kafka may be called; those of Pub/Sub as well, or nearly."""
_OURS = {
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
}
"""Properties that this service sets itself: others would break what it promises."""


def _listed(written: object) -> object:
    return [written] if isinstance(written, str) else written


def _name(written: str) -> str:
    if not _NAME.fullmatch(written):
        raise PydanticCustomError("name", "letters, digits, '.', '_' and '-', at most 249")
    return written


def _model(written: str) -> str:
    if not is_model_name(written):
        raise PydanticCustomError("model", "a model's name")
    return written


def _client(written: str) -> str:
    if not is_client_name(written):
        raise PydanticCustomError("client", "{rule}", {"rule": f"a client's name: {CLIENT_RULE}"})
    return written


def _address(written: str) -> str:
    parts = urlsplit(written)
    place = parts.path.removeprefix("/")
    if (
        parts.scheme not in ("kafka", "pubsub")
        or not parts.netloc
        or not _NAME.fullmatch(place)
        or parts.query
    ):
        raise PydanticCustomError("address", "kafka://host:port/topic or pubsub://project/subscription")
    if "@" in parts.netloc:
        raise PydanticCustomError("address", "an address without a password: that is for `properties`")
    return written


def _property(written: Mapping[str, str]) -> Mapping[str, str]:
    if taken := sorted(_OURS & written.keys()):
        raise PydanticCustomError(
            "property", "properties that are not set already, as {name} is", {"name": taken[0]}
        )
    return {name: _from_environment(value) for name, value in written.items()}


def _from_environment(value: str) -> str:
    """A value, or what the environment variable has that it names as `$NAME`."""
    if not value.startswith("$"):
        return value
    if value[1:] not in os.environ:
        raise PydanticCustomError(
            "environment", "the name of an environment variable that is set ({name})", {"name": value}
        )
    return os.environ[value[1:]]


Named = Annotated[str, AfterValidator(_name)]


class StreamRule(BaseModel):
    """One stream: where its messages come from, what they are for, and who is told what became of them."""

    source: Annotated[str, Field(alias="from"), AfterValidator(_address)]
    group: Named = "celeriac"
    """Of Kafka: processes of one group share the partitions."""
    properties: Annotated[Mapping[str, str], AfterValidator(_property)] = Field(
        default_factory=dict, repr=False
    )
    """Of librdkafka: TLS, SASL and the like. A value `$NAME` is the environment variable's."""
    models: Annotated[
        tuple[Annotated[str, AfterValidator(_model)], ...], BeforeValidator(_listed), Field(min_length=1)
    ]
    """Of several the message says which."""
    version: str | None = None
    """A number or a channel; None: whichever is stable when a message comes."""
    read: How = "auto"
    client: Annotated[str, AfterValidator(_client)] = ANONYMOUS_NAME
    priority: Priority = "normal"
    results: Named | None = None
    dead_letters: Named | None = None
    most_waiting: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    """Items without a result; from so many on no messages are taken until half of them are done."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=False, hide_input_in_errors=True)

    @property
    def kind(self) -> Kind:
        return "kafka" if self.source.startswith("kafka:") else "pubsub"

    @property
    def host(self) -> str:
        """Of Kafka the brokers, with commas between; of Pub/Sub the project."""
        return urlsplit(self.source).netloc

    @property
    def place(self) -> str:
        """The topic, or the subscription."""
        return urlsplit(self.source).path.removeprefix("/")

    @property
    def tells_refusals(self) -> bool:
        """Whether anybody is told of messages that nothing can be made of."""
        return bool(self.results or self.dead_letters)

    @model_validator(mode="after")
    def _is_no_circle(self) -> StreamRule:
        if self.kind == "kafka" and self.place in (self.results, self.dead_letters):
            raise PydanticCustomError(
                "circle", "`results` and `dead_letters` that are not the topic it reads"
            )
        return self


class _Rules(BaseModel):
    streams: Annotated[Mapping[Named, StreamRule], Field(min_length=1, max_length=100)]

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_streams(path: Path) -> Mapping[str, StreamRule]:
    """The streams of a file, by name.

    Raises:
        SettingsError: the file cannot be read, or one or more streams cannot be used; it names every fault by line and
            path.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError((Fault("STREAMS_FILE", "a file of streams", f"{path}: {exc}"),)) from exc
    written = read_yaml(text, source=path.name)
    try:
        return _Rules.model_validate(written.value).streams
    except ValidationError as exc:
        raise SettingsError(written.faults_of(exc)) from exc
