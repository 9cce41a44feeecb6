"""Images: a graph's input becomes `[images, height, width, channels]`, and the manifest says how pixels are scaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from production_server.errors import InvalidInput
from production_server.models.importing.described import Described
from production_server.models.importing.operations import Cast, Operation, Reshape, Standardize, Transpose
from production_server.models.manifest import TensorSpec

_CHANNELS = (1, 3)
_TO_CHANNELS_FIRST = (0, 3, 1, 2)
_PIXELS = ("float16", "float32", "float64", "uint8")


@dataclass(frozen=True)
class ImageFitting:
    """What images are served as, and what the manifest says of them."""

    served: TensorSpec
    before: Mapping[str, Sequence[Operation]]
    fields: dict[str, Any]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Layout:
    """How a graph's input has an image: its sizes, and the steps from `[height, width, channels]` to it."""

    height: int | None
    width: int | None
    channels: int
    steps: tuple[Operation, ...]
    note: str | None = None


def looks_like_images(inputs: Sequence[TensorSpec]) -> bool:
    """Whether the only input has three dimensions of which one may be colours."""
    if len(inputs) != 1 or inputs[0].dtype not in _PIXELS or len(inputs[0].item_shape) != 3:
        return False
    shape = inputs[0].item_shape
    return shape[0] in _CHANNELS or shape[2] in _CHANNELS


def fit_images(inputs: Sequence[TensorSpec], described: Described) -> ImageFitting:
    """What a graph is served as that takes images, as it looks or as somebody says.

    Raises:
        InvalidInput: its input is no image, or what is said of the images contradicts it or leaves sizes open.
    """
    if len(inputs) != 1 or inputs[0].dtype not in _PIXELS:
        got = ", ".join(f"{spec.name} {spec.dtype}" for spec in inputs)
        raise InvalidInput.at("task", "another one than for images, which takes one input of numbers", got)
    (spec,), image = inputs, described.image
    layout = _layout_of(spec, described)
    height = _size("height", layout.height, image.height)
    width = _size("width", layout.width, image.width)
    mode = "L" if layout.channels == 1 else "RGB"
    if image.mode not in {None, mode}:
        raise InvalidInput.at("image.mode", f"{mode}, of which the input {spec.name} is", str(image.mode))
    scale, notes = image.scale, [layout.note] if layout.note else []
    if scale is None and spec.dtype == "uint8":
        scale = 1.0
    elif scale is None:
        scale = 1 / 255
        notes.append(
            "Pixels are divided by 255. Where training did otherwise, say so in model.yaml: "
            "image: {scale: 1, offset: 0, mean: [...], deviation: [...]}."
        )
    steps: list[Operation] = [*_standardize(described, layout.channels), *layout.steps]
    if spec.dtype != "float32":
        steps.append(Cast(spec.dtype))
    served = TensorSpec(name=spec.name, shape=(None, height, width, layout.channels), dtype="float32")
    fields = {
        "image": {
            "mode": mode,
            "width": width,
            "height": height,
            "scale": scale,
            "offset": image.offset,
            "invert": image.invert,
        }
    }
    return ImageFitting(served, {spec.name: steps}, fields, tuple(notes))


def _layout_of(spec: TensorSpec, described: Described) -> _Layout:
    shape, image = spec.item_shape, described.image
    if len(shape) == 3:
        return _with_channels(spec, described)
    if len(shape) == 2 and None not in shape:
        height, width = shape
        return _Layout(height, width, 1, (Reshape((int(height or 0), int(width or 0))),))
    if len(shape) == 1 and image.height and image.width:
        for channels in _CHANNELS:
            if shape[0] == image.height * image.width * channels:
                note = f"Pixels go in as {shape[0]} numbers: rows from the top, colours of a pixel together."
                return _Layout(image.height, image.width, channels, (Reshape((shape[0],)),), note)
    raise InvalidInput.at(
        f"inputs.{spec.name}",
        "an image: [height, width], [height, width, channels] or [channels, height, width]; "
        "flat pixels with their size, as image: {height: 28, width: 28}",
        f"{list(shape)}",
    )


def _with_channels(spec: TensorSpec, described: Described) -> _Layout:
    first, middle, last = spec.item_shape
    layout = described.image.layout
    if layout is None and (first in _CHANNELS) == (last in _CHANNELS):
        raise InvalidInput.at(
            "image.layout",
            "channels_last or channels_first",
            f"nothing, for an input {list(spec.item_shape)}",
        )
    is_first = layout == "channels_first" or (layout is None and first in _CHANNELS)
    channels = first if is_first else last
    if channels not in _CHANNELS:
        raise InvalidInput.at(f"inputs.{spec.name}", "1 or 3 channels", f"{list(spec.item_shape)}")
    if not is_first:
        return _Layout(first, middle, int(channels), ())
    note = "Its input has channels first; it is served with channels last, as image files have them."
    return _Layout(middle, last, int(channels), (Transpose(_TO_CHANNELS_FIRST),), note)


def _size(name: str, found: int | None, said: int | None) -> int:
    if found is None and said is None:
        raise InvalidInput.at(
            f"image.{name}", f"a size, as image: {{{name}: 224}}", "nothing: the file takes any"
        )
    if found is not None and said not in {None, found}:
        raise InvalidInput.at(f"image.{name}", f"{found}, as the model takes", str(said))
    return int(found or said or 0)


def _standardize(described: Described, channels: int) -> list[Operation]:
    mean, deviation = described.image.mean, described.image.deviation
    for name, numbers in (("mean", mean), ("deviation", deviation)):
        if numbers and len(numbers) != channels:
            raise InvalidInput.at(
                f"image.{name}", f"{channels} numbers, one for each channel", str(len(numbers))
            )
    if not mean and not deviation:
        return []
    return [Standardize(mean or (0.0,) * channels, deviation or (1.0,) * channels)]
