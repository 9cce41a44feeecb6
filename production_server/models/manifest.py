"""The manifest (model card) of one model version: everything a server, a page or a client needs to know of it.

It says what goes in and comes out, how raw inputs become tensors, what was measured and on which data, and the SHA-256
of every file of the version. It is plain data: reading one loads no model.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MANIFEST_FILE = "manifest.json"

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
Name = Annotated[str, Field(pattern=f"^{_NAME.pattern}$")]
Version = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dtype = Literal[
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64", "string",
]  # fmt: skip
"""As numpy calls them; `string` is text or bytes of any length (BYTES of the Open Inference Protocol)."""
ImageMode = Literal["L", "RGB"]
"""Grey, or in colour."""


def _relative_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in value:
        raise ValueError("must be a relative path inside the version's folder")
    return value


FilePath = Annotated[str, AfterValidator(_relative_path)]


def is_model_name(text: str) -> bool:
    """Whether a model may be called so."""
    return _NAME.fullmatch(text) is not None


class Frozen(BaseModel):
    """An immutable value; unknown keys are refused so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TensorSpec(Frozen):
    """Name, shape and dtype of one input or output of the model's graph.

    The first size is that of the batch, None; any other that is None may differ from item to item.
    """

    name: str = Field(min_length=1, max_length=200)
    shape: tuple[int | None, ...] = Field(min_length=1, max_length=32)
    dtype: Dtype

    @model_validator(mode="after")
    def _is_batched(self) -> Self:
        if self.shape[0] is not None or any(size is not None and size < 1 for size in self.shape[1:]):
            raise ValueError("shape must be [null, sizes...]: the batch dimension first, no size below 1")
        return self

    @property
    def sizes(self) -> str:
        """The shape as people read it: `[any, 4]`."""
        return f"[{', '.join('any' if size is None else str(size) for size in self.shape)}]"

    @property
    def item_shape(self) -> tuple[int | None, ...]:
        """The shape of one item: without the batch dimension."""
        return self.shape[1:]

    @property
    def known_item_shape(self) -> tuple[int, ...]:
        """The shape of one item, of a tensor of which it is known; 1 stands for what may differ from item to item."""
        return tuple(1 if size is None else size for size in self.shape[1:])


def the_only(specs: Sequence[TensorSpec], field: str) -> TensorSpec:
    """The input, or the output, of a graph that has no other.

    Raises:
        ValueError: it has others; names the field of the manifest.
    """
    if len(specs) != 1:
        raise ValueError(f"{field}: expected one, got {', '.join(spec.name for spec in specs)}")
    return specs[0]


class Feature(Frozen):
    """One column of a tabular model, as people know it: label, unit, and the range of values seen in training."""

    name: Name
    label: str
    unit: str | None = None
    description: str = ""
    minimum: float | None = None
    """None: nobody knows what training saw, and no value lies outside."""
    maximum: float | None = None
    integer: bool = False
    example: float
    missing: float | None = None
    """How a missing value is written (for example 0), or None if a value is always needed."""
    aliases: tuple[str, ...] = ()

    def is_in_training_range(self, value: float) -> bool:
        """Whether `value` lies within what training saw; the written form of "missing" does."""
        if value == self.missing:
            return True
        return (self.minimum is None or self.minimum <= value) and (
            self.maximum is None or value <= self.maximum
        )


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


class Quantity(Frozen):
    """What a regression answers: the name of its column, how people call it, its unit, and what training saw of it."""

    name: Name
    label: str
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None


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


def digest_of(path: Path) -> FileDigest:
    """The digest of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(sha256=sha256, size_bytes=path.stat().st_size)


class Parity(Frozen):
    """The largest absolute difference between what the original computes and what is served, and on how many inputs."""

    max_abs_difference: float = Field(ge=0.0)
    inputs: int = Field(ge=1)
    # Both are left out where they are as they were before there were these fields.
    original: Literal["keras", "plain_graph"] = Field(
        default="keras", exclude_if=lambda each: each == "keras"
    )
    """plain_graph: ONNX Runtime without its optimisations, of a file that came as ONNX."""
    drawn: Literal["real", "random"] = Field(default="real", exclude_if=lambda each: each == "real")
    """Whether the inputs were real ones or random ones, within the ranges that are known."""


class Source(Frozen):
    """The file that a version was imported from; a folder counts as all its files, an architecture with its weights."""

    file: str
    format: Literal["keras", "keras_hdf5", "keras_json", "savedmodel", "onnx"]
    sha256: Sha256
    size_bytes: int = Field(ge=0)
    producer: str = ""
    """What wrote the file, as far as it tells: `pytorch 2.9.1, opset 18`."""
    import_id: UUID | None = Field(default=None, exclude_if=lambda each: each is None)
    """Of a file that was sent, or pushed: by it an import that is begun anew finds what it has become already."""
    commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$", exclude_if=lambda each: each is None)
    """Of what came by `git push`: where `file` is a path in it."""


class Quantized(Frozen):
    """What a version in whole numbers of 8 bits was made from, and how its answers are to those of that version."""

    version: Version
    sha256: Sha256
    """Of that version's manifest, and so of its files."""
    calibration: str
    """On what the ranges of its numbers were found: `500 images of the sample`."""
    items: int = Field(ge=1)
    weight_bits: Literal[7, 8]
    """8: it answers so only on processors that take sums of such products (x86-64 with VNNI, ARM)."""
    agreeing: int | None = None
    """How many of them get the same label from both; None: there are no labels."""
    apart: float = Field(ge=0.0)
    """By how much answers differ from that version's, as a share of what its own differ by (root mean squares)."""

    @property
    def told(self) -> str:
        """How its answers are to those of that version, for people."""
        numbers = f"numbers {self.apart:.1%} of their spread apart"
        if self.agreeing is None:
            return f"{numbers}, on {self.items:,} items"
        return f"the same label for {self.agreeing:,} of {self.items:,} items, {numbers}"


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
    inputs: tuple[TensorSpec, ...] = Field(min_length=1, max_length=256)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1, max_length=256)
    features: tuple[Feature, ...] = ()
    image: ImagePreprocessing | None = None
    labels: tuple[str, ...] = ()
    # This and others are left out where there is none: a manifest from before them is written as it was read.
    top: int | None = Field(default=None, ge=1, exclude_if=lambda top: top is None)
    """How many of its best labels an answer of a job keeps; None: the probabilities of all labels.

    For models with many labels: 1,000 probabilities for each of a million items would be gigabytes."""
    target: str = "label"
    """The name of the column that holds what is true in a CSV."""
    threshold: Threshold | None = None
    thresholds: tuple[float, ...] = Field(default=(), exclude_if=lambda thresholds: not thresholds)
    """Of several labels at once: the probability from which on each one is an answer, in the order of the labels."""
    quantity: Quantity | None = Field(default=None, exclude_if=lambda quantity: quantity is None)
    metrics: Metrics | None
    """None: nobody has measured it."""
    training_data: tuple[Dataset, ...]
    code_revision: str | None
    """None: other code made it."""
    parity: Parity | None
    """None: what is served is the original itself."""
    source: Source | None = Field(default=None, exclude_if=lambda source: source is None)
    quantized: Quantized | None = Field(default=None, exclude_if=lambda quantized: quantized is None)
    """None: it is no version in whole numbers that was made here."""
    runner: Literal["onnx", "keras", "faces"] = "onnx"
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
