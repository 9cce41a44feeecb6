"""When models are trained again, how, and what becomes of the result: what stands in `learning.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from production_server.access.records import CLIENT_RULE, is_client_name
from production_server.errors import Fault, SettingsError
from production_server.jobs.records import ANONYMOUS_NAME
from production_server.models.importing.described import Described
from production_server.models.manifest import Name
from production_server.retraining.images import Images
from production_server.sources.written_yaml import read_yaml

Why = Literal["labels", "time"]
"""Why a training run is due; one by hand needs no policy to say so."""
DATA, MODEL = "{data}", "{model}"
"""Stand in a command for the folder with the data, and for the file that it is to write."""

_MOST_LABELS = 200_000
_MOST_SECONDS = 366 * 86_400
_MOST_ARGUMENTS = 100
_MOST_ARGUMENT_CHARACTERS = 4_096
_WRITTEN = ConfigDict(frozen=True, extra="forbid")
_Argument = Annotated[str, Field(max_length=_MOST_ARGUMENT_CHARACTERS)]


def _some(read: Any) -> Any:
    # Pydantic's own `min_length` would count what could be read, and find a second fault in each.
    if not read:
        raise PydanticCustomError("empty", "a list of at least one")
    return read


def _client(written: str) -> str:
    if not is_client_name(written):
        raise PydanticCustomError("client", "{rule}", {"rule": f"a client's name: {CLIENT_RULE}"})
    return written


class Begin(BaseModel):
    """When a run begins by itself. Neither `after_labels` nor `every_s`: only by hand."""

    after_labels: Annotated[int, Field(ge=1, le=_MOST_LABELS)] | None = None
    """So many decided since the last run."""
    every_s: Annotated[float, Field(ge=60, le=_MOST_SECONDS)] | None = None
    """So long after the last run, if anything was decided since."""
    quiet_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """`after_labels` waits until nobody has decided for so long, or until there are twice as many."""

    model_config = _WRITTEN


class Train(BaseModel):
    """What trains, either way, and what its model's file cannot tell."""

    command: Annotated[tuple[_Argument, ...], Field(max_length=_MOST_ARGUMENTS)] = ()
    """The operator's own program and its arguments; no shell reads them."""
    images: Images | None = None
    """Not a command, but this repository's own program, which says itself what its file cannot tell."""
    describe: Described = Described()
    """As `model.yaml` beside a file that is imported."""
    suffix: Literal["onnx", "keras", "h5"] = "onnx"
    """Of the file that it writes."""

    model_config = _WRITTEN

    @field_validator("command")
    @classmethod
    def _has_places(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        if not written or not written[0] or any("\0" in each for each in written):
            raise PydanticCustomError("command", "a program and its arguments, without NUL characters")
        if not all(any(place in each for each in written[1:]) for place in (DATA, MODEL)):
            raise PydanticCustomError(
                "places", "arguments in which {places} stand", {"places": f"{DATA} and {MODEL}"}
            )
        return written

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.command) == (self.images is not None):
            raise PydanticCustomError("train", "either a command or images")
        if self.images is not None and self.model_fields_set & {"describe", "suffix"}:
            raise PydanticCustomError("train", "describe and suffix for a command only")
        return self


class Bounds(BaseModel):
    """What a training may take of its machine."""

    minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)] = 60.0
    memory_bytes: Annotated[int, Field(ge=64 * 1024**2, le=1024**4)] = 4 * 1024**3
    niceness: Annotated[int, Field(ge=0, le=19)] = 10

    model_config = _WRITTEN


class Then(BaseModel):
    """How a version goes on that has passed the gate."""

    to: Literal["canary", "stable", "nothing"] = "nothing"
    percent: Annotated[float, Field(gt=0, lt=100)] | None = None
    """What a canary gets of the work that asks for no version."""

    model_config = _WRITTEN

    @model_validator(mode="after")
    def _percent_of_canaries(self) -> Self:
        if (self.to == "canary") != (self.percent is not None):
            raise PydanticCustomError("percent", "a percent if it is to be a canary, and only then")
        return self


class Policy(BaseModel):
    """How one model is trained again."""

    model: Name
    begin: Begin = Begin()
    train: Train
    bounds: Bounds = Bounds()
    then: Then = Then()
    client: Annotated[str, AfterValidator(_client)] = ANONYMOUS_NAME
    """Whose the job is that answers items again."""
    answer_again: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """So many items without a label are answered again at most; those with one always are."""

    model_config = _WRITTEN


class _Policies(BaseModel):
    policies: Annotated[tuple[Policy, ...], Field(max_length=1_000), AfterValidator(_some)]

    model_config = _WRITTEN

    @field_validator("policies")
    @classmethod
    def _one_each(cls, written: tuple[Policy, ...]) -> tuple[Policy, ...]:
        names = [each.model for each in written]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise PydanticCustomError("twice", "one policy for {model}", {"model": twice})
        return written


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What has happened to a model's labels since its last training run, or ever if there was none."""

    new_labels: int
    since_run_s: float
    """Since the last run; since the policy was first read if there was none."""
    since_label_s: float


def read_policies(text: str, *, source: str) -> dict[str, Policy]:
    """The policies in `text`, the content of the file `source`, by their models.

    Raises:
        SettingsError: one or more cannot be used; it names every fault by line and path. Of a file that is not YAML,
            it names the first.
    """
    written = read_yaml(text, source=source)
    try:
        read = _Policies.model_validate(written.value)
    except ValidationError as exc:
        raise SettingsError(written.faults_of(exc)) from exc
    return {each.model: each for each in read.policies}


def policies_in(path: Path | None) -> Mapping[str, Policy]:
    """The policies of LEARNING_FILE, by their models; none where it is not set.

    Raises:
        SettingsError: the file cannot be read, or used.
    """
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError((Fault("LEARNING_FILE", "a file of policies", f"{path}: {exc}"),)) from exc
    return read_policies(text, source=path.name)


def why_due(begin: Begin, standing: Standing) -> Why | None:
    """Why a run is to begin now; None: it is not."""
    if standing.new_labels == 0:
        return None
    if begin.after_labels is not None and standing.new_labels >= begin.after_labels:
        is_quiet = _has_passed(standing.since_label_s, begin.quiet_s)
        if is_quiet or standing.new_labels >= 2 * begin.after_labels:
            return "labels"
    if begin.every_s is not None and _has_passed(standing.since_run_s, begin.every_s):
        return "time"
    return None


def _has_passed(elapsed_s: float, wanted_s: float) -> bool:
    # A time in the future is from before the clock was set back.
    return not 0 <= elapsed_s < wanted_s
