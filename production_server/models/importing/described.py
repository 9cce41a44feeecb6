"""What a person says of a model that its file cannot tell: `model.yaml` beside it, or flags."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from production_server.models.manifest import Frozen, ImageMode, Name

MOST_LABELS = 100_000


def _by_name(value: object) -> object:
    """A feature is often told by its name alone."""
    return {"name": value} if isinstance(value, str) else value


class DescribedFeature(Frozen):
    """One column, as far as somebody says something of it."""

    name: str = Field(min_length=1, max_length=200)
    label: str | None = None
    unit: str | None = None
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    integer: bool | None = None
    example: float | None = None
    missing: float | None = None
    aliases: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("a minimum that is not above the maximum")
        return self


class DescribedImage(Frozen):
    """How an image becomes what the model takes: `(pixel * scale + offset - mean) / deviation`."""

    mode: ImageMode | None = None
    width: int | None = Field(default=None, ge=1, le=4096)
    height: int | None = Field(default=None, ge=1, le=4096)
    scale: float | None = None
    offset: float = 0.0
    mean: tuple[float, ...] = Field(default=(), max_length=3)
    """As torchvision's Normalize has it: one number for each channel, of pixels after scale and offset."""
    deviation: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(), max_length=3)
    layout: Literal["channels_last", "channels_first"] | None = None
    invert: Literal["auto", "never"] = "never"


class DescribedQuantity(Frozen):
    """What a regression answers."""

    name: str | None = Field(default=None, min_length=1, max_length=200)
    label: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None


class Described(Frozen):
    """All that can be said; nothing has to be."""

    task: Name | None = None
    title: str | None = Field(default=None, min_length=1, max_length=200)
    description: str = ""
    labels: tuple[str, ...] = Field(default=(), max_length=MOST_LABELS)
    features: tuple[Annotated[DescribedFeature, BeforeValidator(_by_name)], ...] = Field(
        default=(), max_length=10_000
    )
    image: DescribedImage = DescribedImage()
    output: str | None = None
    """Which of several outputs is the answer."""
    activation: Literal["softmax", "sigmoid", "none"] | None = None
    """What is put behind the output; none: it is what it should be already."""
    threshold: float | None = Field(default=None, gt=0, lt=1)
    thresholds: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    top: int | None = Field(default=None, ge=1)
    target: str | None = Field(default=None, min_length=1)
    quantity: DescribedQuantity | None = None

    @property
    def is_of_images(self) -> bool:
        """Whether somebody says that images go in."""
        return self.image != DescribedImage() or (self.task or "").startswith("image_")
