"""The manifest (model card) of one model version: everything a server, a page or a client needs to know of it.

It says what goes in and comes out, how raw inputs become tensors, what was measured and on which data, and the SHA-256
of every file of the version. It is plain data: reading one loads no model.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MANIFEST_FILE = "manifest.json"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dtype = Literal["float32", "uint8", "int32", "int64"]
ImageMode = Literal["L", "RGB"]
"""Grey, or in colour."""


def _relative_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in value:
        raise ValueError("must be a relative path inside the version's folder")
    return value


FilePath = Annotated[str, AfterValidator(_relative_path)]


class Frozen(BaseModel):
    """An immutable value; unknown keys are refused so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TensorSpec(Frozen):
    """Name, shape (None for the batch dimension) and dtype of one input or output of the model's graph."""

    name: str
    shape: tuple[int | None, ...] = Field(min_length=1)
    dtype: Dtype

    @model_validator(mode="after")
    def _is_batched(self) -> Self:
        if self.shape[0] is not None or any(size is None or size < 1 for size in self.shape[1:]):
            raise ValueError(
                "shape must be [null, positive sizes...]: the batch dimension first, nothing else unknown"
            )
        return self

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of one item: without the batch dimension."""
        return tuple(size for size in self.shape[1:] if size is not None)


class Feature(Frozen):
    """One column of a tabular model, as people know it: label, unit, and the range of values seen in training."""

    name: Name
    label: str
    unit: str | None = None
    description: str = ""
    minimum: float
    maximum: float
    integer: bool = False
    example: float
    missing: float | None = None
    """How a missing value is written (for example 0), or None if a value is always needed."""
    aliases: tuple[str, ...] = ()

    def is_in_training_range(self, value: float) -> bool:
        """Whether `value` lies within what training saw; the written form of "missing" does."""
        return value == self.missing or self.minimum <= value <= self.maximum


class ImagePreprocessing(Frozen):
    """How an image file becomes a tensor: `pixel * scale + offset`, float32, [height, width, channels]."""

    mode: ImageMode
    width: int = Field(ge=1, le=4096)
    height: int = Field(ge=1, le=4096)
    scale: float
    offset: float = 0.0
    invert: Literal["auto", "never"] = "never"
    """auto: an image with bright corners (most pixels of its four 2x2 corner patches above 127) is inverted, since
    the training images have a black background and people photograph on white paper."""

    @property
    def channels(self) -> int:
        return {"L": 1, "RGB": 3}[self.mode]


class Threshold(Frozen):
    """The probability of `labels[1]` from which a two-class model answers `labels[1]`, and why it is that one."""

    value: float = Field(gt=0.0, lt=1.0)
    reason: str


class Metric(Frozen):
    """A measured value, and its standard deviation where it was measured more than once."""

    mean: float
    std: float | None = None


class Metrics(Frozen):
    """What was measured, on which data and how."""

    data: str
    method: str
    values: dict[str, Metric]


class Dataset(Frozen):
    """Where training data came from, and which bytes they were."""

    name: str
    url: str
    sha256: Sha256
    licence: str


class FileDigest(Frozen):
    """Which bytes a file of the version consists of."""

    sha256: Sha256
    size_bytes: int = Field(ge=0)


class Parity(Frozen):
    """The largest absolute difference between Keras' and ONNX Runtime's outputs, and on how many real inputs."""

    max_abs_difference: float = Field(ge=0.0)
    inputs: int = Field(ge=1)


class Manifest(Frozen):
    """One immutable version of a model."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    version: Version
    title: str
    description: str = ""
    created: datetime
    task: Name
    """Which of the tasks of `models.tasks` it is for; what else the manifest must say depends on that."""
    inputs: tuple[TensorSpec, ...] = Field(min_length=1, max_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1, max_length=1)
    features: tuple[Feature, ...] = ()
    image: ImagePreprocessing | None = None
    labels: tuple[str, ...] = ()
    # Left out where there is none: a manifest from before this field is written as it was read.
    top: int | None = Field(default=None, ge=1, exclude_if=lambda top: top is None)
    """How many of its best labels an answer of a job keeps; None: the probabilities of all labels.

    For models with many labels: 1,000 probabilities for each of a million items would be gigabytes."""
    target: str = "label"
    """The name of the column that holds what is true in a CSV."""
    threshold: Threshold | None = None
    metrics: Metrics
    training_data: tuple[Dataset, ...]
    code_revision: str
    parity: Parity
    runner: Literal["onnx", "keras"] = "onnx"
    files: dict[FilePath, FileDigest]

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), populate_by_name=True, serialize_by_alias=True
    )

    def to_json(self) -> str:
        """The manifest as it is written to disk and answered by the API."""
        return self.model_dump_json(indent=2, by_alias=True)


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/manifest.json`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a valid manifest (pydantic's ValidationError names each fault).
    """
    return Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
