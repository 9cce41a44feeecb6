"""Use case: labels of people in, the file of a better image classifier out: for training runs (docs/learning.md).

`python -m production_server.training.again DATA MODEL TOLD`: the folder with the data, the ONNX file to write, and a
file with what else is told (`retraining.images.Told`). What was interrupted goes on when it is run again with the
same home, where its checkpoint is.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np

from production_server.errors import CeleriacError
from production_server.models.images import fit as fit_picture
from production_server.models.importing.opened import ONNX_FILE
from production_server.retraining.held_out import is_held_out
from production_server.retraining.images import Told
from production_server.training.description import Description
from production_server.training.errors import DataError, TrainingError
from production_server.training.image_files import LabelledFile, find_images, open_file, read_file
from production_server.training.image_set import ImageSet, hold_out
from production_server.training.progress import Reporter
from production_server.training.recipe import recipe_for

if TYPE_CHECKING:
    from production_server.models.manifest import ImagePreprocessing

TABLE = "labels.csv"
VALIDATION = 0.15
"""The share of the images by which the best epoch is chosen. What the version is measured on is not among the data."""
FEWEST = 20
FAULTS_TO_NAME = 20


def main(data: Path, model: Path, told: Told, reporter: Reporter) -> None:
    """Train on the data, and write the model's file.

    Raises:
        DataError: there is too little to train on.
        ExportError: the exported model is not the trained one.
    """
    files = find_images(data / TABLE, reporter.say)
    if told.options.base is not None:
        files += base_files(told.options.base, told.labels, reporter)
    images = read_images(files, told.labels, told.image, reporter)
    train, validation = hold_out(images, round(len(images) * VALIDATION), seed=told.options.seed)

    # TensorFlow takes seconds to load: only now, when the data is known to be usable
    from production_server.training.image_training import fit_images
    from production_server.training.precision import dtype_policy

    recipe = recipe_for(
        len(train), epochs=told.options.epochs, seed=told.options.seed, flip=told.options.flip
    )
    description = Description(
        told.model, told.title, told.description, told.labels, data="", training_data=(), image=told.image
    )
    trained = fit_images(
        description, train, validation, recipe, dtype=dtype_policy("auto"), reporter=reporter
    )
    with TemporaryDirectory(dir=Path.cwd()) as folder:
        difference = trained.export(Path(folder), validation.scaled()).max_abs_difference
        reporter.say(
            f"the ONNX model answers {len(validation)} images as Keras does, within {difference:.1e}"
        )
        (Path(folder) / ONNX_FILE).replace(model)


def base_files(base: Path, labels: tuple[str, ...], reporter: Reporter) -> list[LabelledFile]:
    """The images of a folder for each label, without those that are kept from all training by their SHA-256.

    Raises:
        DataError: it has no images, or cannot be read.
    """
    # As in archives of labels: what cannot be a folder's name is written with percent signs.
    found = [LabelledFile(file.path, unquote(file.label)) for file in find_images(base, reporter.say)]
    known = [file for file in found if file.label in labels]
    if others := sorted({file.label for file in found} - set(labels)):
        reporter.say(f"left out of {base}, since the model has no such labels: {', '.join(others)}")
    seen = [file for file in known if not _is_held_out(file.path)]
    reporter.say(f"{len(seen)} images of {base}; {len(known) - len(seen)} of it are kept from training")
    return seen


def read_images(
    files: list[LabelledFile], labels: tuple[str, ...], image: ImagePreprocessing, reporter: Reporter
) -> ImageSet:
    """Read files as a server would; those that cannot be read are said and left out.

    Raises:
        DataError: fewer than two labels, or fewer than `FEWEST` images, are left.
    """
    read, classes, bad = [], [], 0
    for file in files:
        try:
            read.append(fit_picture(open_file(file.path, image.mode), image))
        except DataError as exc:
            bad += 1
            if bad <= FAULTS_TO_NAME:
                reporter.say(f"left out: {exc}")
        else:
            classes.append(labels.index(file.label))
    if bad:
        reporter.say(f"{bad} of {len(files)} files could not be read and were left out")
    if len(set(classes)) < 2 or len(read) < FEWEST:
        raise DataError(
            f"expected at least {FEWEST} images of two labels to learn from, got {len(read)} of {len(set(classes))}"
        )
    return ImageSet(np.stack(read), np.array(classes, np.int32))


def _is_held_out(path: Path) -> bool:
    try:
        return is_held_out(hashlib.sha256(read_file(path)).digest())
    except DataError:
        return False  # It is told when it is read.


if __name__ == "__main__":
    try:
        main(
            Path(sys.argv[1]),
            Path(sys.argv[2]),
            Told.model_validate_json(Path(sys.argv[3]).read_bytes()),
            Reporter(),
        )
    except (CeleriacError, TrainingError) as error:
        sys.exit(str(error))
