"""What this repository's own program for images is told: also read where TensorFlow is, and little else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from production_server.errors import Conflict
from production_server.models.importing.described import Described, DescribedImage
from production_server.models.manifest import ImagePreprocessing, Manifest

SCALE = 1 / 255
"""What its networks are trained with, whatever the version before took."""


def _absolute(written: Path) -> Path:
    if not written.is_absolute():
        raise PydanticCustomError("absolute", "a path from the root on, such as /srv/photos")
    return written


class Images(BaseModel):
    """How this repository's own program trains a classifier of images: from nothing, on labels and a base."""

    base: Annotated[Path, AfterValidator(_absolute)] | None = None
    """A folder, on the machine that trains, with a folder of images for each label, which are learnt from as well."""
    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Passes over the images; not given: enough for 2,000 steps."""
    flip: bool = True
    """Mirrored images mean the same."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1

    model_config = ConfigDict(frozen=True, extra="forbid")


class Told(BaseModel):
    """What the program is told beside the data; it makes an ONNX file, whose labels have this order."""

    model: str
    title: str
    description: str
    labels: tuple[str, ...]
    image: ImagePreprocessing
    options: Images

    model_config = ConfigDict(frozen=True)

    @classmethod
    def of(cls, manifest: Manifest, said: Iterable[str], options: Images) -> Self:
        """For the successor of a version: it takes the same images, and has its labels first, then new ones.

        Raises:
            Conflict: the version is no classifier of images (code `training_over`).
        """
        if manifest.task != "image_classification" or manifest.image is None:
            raise Conflict(
                f"{manifest.name} is a model of {manifest.task}: what trains it has to be a command, since "
                "train.images is for image_classification",
                code="training_over",
            )
        return cls(
            model=manifest.name,
            title=manifest.title,
            description=manifest.description,
            labels=(*manifest.labels, *sorted(set(said) - set(manifest.labels))),
            image=manifest.image.model_copy(update={"scale": SCALE, "offset": 0.0}),
            options=options,
        )

    @property
    def described(self) -> Described:
        """What the file cannot tell."""
        image = DescribedImage(
            mode=self.image.mode,
            width=self.image.width,
            height=self.image.height,
            scale=self.image.scale,
            invert=self.image.invert,
            layout="channels_last",
        )
        return Described(
            task="image_classification",
            title=self.title,
            description=self.description,
            labels=self.labels,
            image=image,
        )
