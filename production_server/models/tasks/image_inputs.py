"""Image files, or their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from production_server.errors import CeleriacError, InvalidInput, Unavailable
from production_server.models.base64_images import image_of_base64
from production_server.models.images import check_image, encode_pixels, read_pixels, scaled
from production_server.models.manifest import ImagePreprocessing, Manifest, the_only
from production_server.models.table import Truth
from production_server.models.tasks.inputs import CheckedInput, CheckedTable, Decoded, Group, Inputs, gather
from production_server.shown import describe, describe_names

BASE64 = '{"b64": "an image file in Base64"}'


class ImageInputs(Inputs):
    """Files, {"b64": "…"}, or nested lists of pixels."""

    name, noun, plural, takes_files = "images", "image", "images", True

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    def check_manifest(self) -> None:
        tensor = the_only(self._manifest.inputs, "inputs")
        image = self._manifest.image
        shape = None if image is None else (image.height, image.width, image.channels)
        if self._manifest.features or tensor.item_shape != shape:
            raise ValueError("image: expected preprocessing that yields the declared input, and no features")

    @property
    def _image(self) -> ImagePreprocessing:
        image = self._manifest.image
        if image is None:
            raise ValueError("the manifest was not checked: it has no image")
        return image

    def check_json(self, inputs: Sequence[object], *, max_pixels: int, first: int = 0) -> list[CheckedInput]:
        return gather(
            partial(self._check_json, each, f"inputs[{index}]", max_pixels)
            for index, each in enumerate(inputs, first)
        )

    def check_file(self, data: bytes, *, field: str, max_pixels: int) -> None:
        check_image(data, field=field, max_pixels=max_pixels)

    def check_table(self, data: bytes, *, max_rows: int, truth: Truth) -> CheckedTable:  # noqa: ARG002
        raise InvalidInput.at("csv", f"image files: {self._manifest.name} takes no rows", "a table")

    def decode(self, payloads: Sequence[bytes | CeleriacError], *, max_pixels: int) -> Decoded:
        image = self._image
        read = partial(read_pixels, preprocessing=image, max_pixels=max_pixels)
        decoded, errors = decode_each(payloads, read)
        if not decoded:
            return Decoded((), errors)
        pixels = scaled(np.stack(list(decoded.values())), image)
        return Decoded((Group({self._manifest.inputs[0].name: pixels}, list(decoded)),), errors)

    def _check_json(self, item: object, field: str, max_pixels: int) -> CheckedInput:
        image = self._image
        if isinstance(item, list):
            return CheckedInput(encode_pixels(item, image, field=field))
        expected = f"pixels [{image.height}][{image.width}] or {BASE64}"
        return check_base64(item, field, expected=expected, max_pixels=max_pixels)


def check_base64(item: object, field: str, *, expected: str, max_pixels: int) -> CheckedInput:
    """An image file as JSON brings it.

    Raises:
        InvalidInput, TooLarge: it is none, which names what was `expected`, or as `check_image`.
    """
    if not isinstance(item, dict) or set(item) != {"b64"}:
        got = describe_names(item) if isinstance(item, dict) else describe(item)
        raise InvalidInput.at(field, expected, got)
    data = image_of_base64(item["b64"], field=f"{field}.b64")
    check_image(data, field=f"{field}.b64", max_pixels=max_pixels)
    return CheckedInput(data)


def decode_each(
    payloads: Sequence[bytes | CeleriacError], read: Callable[[bytes], np.ndarray]
) -> tuple[dict[int, np.ndarray], dict[int, CeleriacError]]:
    """The pixels of each file, and why there are none of the others, by their places."""
    decoded: dict[int, np.ndarray] = {}
    errors: dict[int, CeleriacError] = {}
    for place, payload in enumerate(payloads):
        if isinstance(payload, CeleriacError):
            errors[place] = payload
            continue
        try:
            decoded[place] = read(payload)
        except InvalidInput as exc:
            errors[place] = exc
        except Unavailable as exc:
            # Those behind it would wait as long, one after the other.
            errors |= dict.fromkeys(range(place, len(payloads)), exc)
            break
    return decoded, errors
