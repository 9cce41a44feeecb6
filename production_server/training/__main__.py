"""The command line: python -m production_server.training diabetes | fashion_mnist | mobilenet | faces | personas."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from production_server.errors import GateClosed, SettingsError, StoreNotWritable
from production_server.learning.report import DESPITE, allowed_by
from production_server.models.manifest import is_model_name
from production_server.training.errors import TrainingError
from production_server.training.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable

BUILT_IN_STORE = Path(__file__).parent.parent / "model_store"


def _check_name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_model_name(value):
        raise click.BadParameter("use lower case letters, digits, '_', '.' and '-', at most 64 of them")
    return value


def _check_store(_context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    # click has made one slash of two.
    if re.match(r"[a-z0-9]+:/", str(value)):
        raise click.BadParameter(
            f"a folder, not {value}: train into one (--store FOLDER), and have `models import` bring the model's file "
            "into the store in the bucket"
        )
    return value


def _check_data(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | Path | None:
    if value is None or value.startswith("labels:"):
        return value
    if not Path(value).exists():
        raise click.BadParameter(f"expected a path, or labels:NAME; '{value}' does not exist")
    return Path(value)


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every training has."""
    for option in (
        click.option(
            "--breaking",
            is_flag=True,
            help="Take other inputs or answers than the model's versions now have.",
        ),
        click.option(
            "--despite",
            multiple=True,
            type=click.Choice([check.value for check in DESPITE]),
            help="A check of the gate that it may fail; may come several times.",
        ),
        click.option("--quiet", is_flag=True, help="Say nothing but the new version's folder."),
        click.option(
            "--seed",
            default=1,
            show_default=True,
            type=click.IntRange(0, 2**31 - 1),
            help="Fixes every random choice.",
        ),
        click.option(
            "--store",
            type=click.Path(file_okay=False, path_type=Path),
            default=BUILT_IN_STORE,
            envvar="MODEL_STORE",
            callback=_check_store,
            show_envvar=True,
            help="Folder that the version is written into. [default: the built-in store]",
        ),
        click.option(
            "--clone",
            type=click.Path(file_okay=False, exists=True, path_type=Path),
            envvar="MODELS_CLONE",
            show_envvar=True,
            help="Clone of a repository of models: the version takes the place of what it has, and is committed there, "
            "instead of being written into a store.",
        ),
    ):
        command = option(command)
    return command


_parity_images = click.option(
    "--parity-images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of photos on whose crops Keras and ONNX Runtime are compared.  "
    "[default: MODEL_DATA_DIR/photos; without it, Fashion-MNIST's images, enlarged]",
)


def _publish(model: str, store: Path, clone: Path | None, train: Callable[[Path], Path]) -> None:
    """Have a version trained into the store, or into a clone, and print where it is."""
    if clone is None:
        click.echo(train(store))
        return
    from production_server.training.clone import ModelsClone

    models = ModelsClone(clone)
    click.echo(models.take(train(models.store_for(model))))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Train a model and write it to a model store as a new version.

    A version is a folder that never changes: model.keras, model.onnx, manifest.json and plots. Its ONNX model has
    answered at least 1,000 real inputs like the Keras model, or nothing is written. Public datasets are downloaded once
    to ~/.cache/celeriac, or read from MODEL_DATA_DIR.

    \b
    Examples:
      python -m production_server.training diabetes
      python -m production_server.training fashion_mnist
      python -m production_server.training fashion_mnist --data photos/ --name my_model
      python -m production_server.training mobilenet
      python -m production_server.training faces
      python -m production_server.training personas
      python -m production_server.training fashion_mnist --clone ../models && git -C ../models push production
    """


@cli.command()
@_common
@click.option(
    "--folds", default=10, show_default=True, type=click.IntRange(2, 50), help="Folds of a cross-validation."
)
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1, 50), help="Repeats of it.")
def diabetes(
    *,
    folds: int,
    repeats: int,
    store: Path,
    clone: Path | None,
    seed: int,
    quiet: bool,
    breaking: bool,
    despite: tuple[str, ...],
) -> None:
    """Train on Pima Indians Diabetes: eight clinical values to the probability of diabetes.

    Takes a few minutes: the metrics come from a repeated stratified cross-validation.

    \b
    Example:
      python -m production_server.training diabetes --store ./models
    """
    from production_server.training.diabetes import train_diabetes

    reporter = Reporter(is_quiet=quiet)
    allowed = allowed_by(breaking=breaking, despite=despite)
    train = partial(
        train_diabetes, seed=seed, folds=folds, repeats=repeats, reporter=reporter, allowed=allowed
    )
    _publish("diabetes", store, clone, lambda into: train(store=into))


@cli.command("fashion_mnist")
@_common
@click.option(
    "--data",
    metavar="PATH|labels:NAME",
    callback=_check_data,
    help="Your own images: a folder with one folder per class, a CSV with the columns path and label, or a set of "
    "labels of the service on this machine.",
)
@click.option(
    "--name", callback=_check_name, help="Name of the model; needed with --data.  [default: fashion_mnist]"
)
@click.option(
    "--epochs",
    type=click.IntRange(1, 1000),
    help="Passes over the training images.  [default: 44; with --data, enough for 2,000 steps]",
)
@click.option(
    "--size",
    type=click.IntRange(8, 256),
    help="Height and width in pixels, with --data.  [default: from the images]",
)
@click.option("--flip/--no-flip", default=True, show_default=True, help="Mirrored images mean the same.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the training; the model that is written is float32 in any case.",
)
def fashion_mnist(  # noqa: PLR0913  # one argument per option
    *,
    data: Path | str | None,
    name: str | None,
    epochs: int | None,
    size: int | None,
    flip: bool,
    precision: str,
    store: Path,
    clone: Path | None,
    seed: int,
    quiet: bool,
    breaking: bool,
    despite: tuple[str, ...],
) -> None:
    """Train the image classifier on Fashion-MNIST, or on your own labelled images (--data).

    An interrupted training goes on when the same command is run again. Fashion-MNIST takes 40 to 60 minutes on two
    cores. Your own images are parted into 70 % training, 15 % validation and 15 % test; their size and colour decide
    the model's input, their folders or labels its classes. A file that cannot be read is reported and left out.

    \b
    Examples:
      python -m production_server.training fashion_mnist
      python -m production_server.training fashion_mnist --data photos/ --name my_model
      python -m production_server.training fashion_mnist --data labels.csv --name parts --size 64 --no-flip
      python -m production_server.training fashion_mnist --data labels:november --name clothes
    """
    if data is not None and name is None:
        raise click.UsageError("--data needs --name: what shall the model be called?")
    if data is None and size is not None:
        raise click.UsageError("--size only goes with --data: Fashion-MNIST's images are 28x28")
    from production_server.training import fashion_mnist as clothes
    from production_server.training.recipe import recipe_for
    from production_server.training.user_images import prepare

    reporter = Reporter(is_quiet=quiet)
    if data is None:
        description, split = clothes.describe(name or clothes.NAME), clothes.load_split(seed, reporter)
        epochs = epochs or clothes.EPOCHS
    elif isinstance(data, Path):
        description, split = prepare(data, str(name), size=size, seed=seed, reporter=reporter)
    else:
        from production_server.training.label_sets import PREFIX, obtain

        kept = obtain(data.removeprefix(PREFIX), reporter)
        description, split = prepare(kept.table, str(name), size=size, seed=seed, reporter=reporter)
        description = kept.told_in(description)

    # TensorFlow takes seconds to load: only now, when the data is known to be usable
    from production_server.training.image_training import train_images
    from production_server.training.precision import dtype_policy

    recipe = recipe_for(len(split.train), epochs=epochs, seed=seed, flip=flip)
    dtype = dtype_policy(precision)
    allowed = allowed_by(breaking=breaking, despite=despite)
    train = partial(train_images, description, split, recipe, dtype=dtype, reporter=reporter, allowed=allowed)
    _publish(description.name, store, clone, lambda into: train(store=into))


@cli.command()
@_common
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own file of weights (.h5) for ImageNet's classes, with the last layers.  [default: Keras']",
)
@click.option(
    "--variant",
    type=click.Choice(["mobilenet", "mobilenet_v2"]),
    help="Which network your weights are for.  [default: mobilenet_v2]",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0.1, 2),
    help="How wide the network is that your weights are for.  [default: 1]",
)
@_parity_images
@click.option(
    "--name", callback=_check_name, default="mobilenet", show_default=True, help="Name of the model."
)
def mobilenet(  # noqa: PLR0913  # one argument per option
    *,
    weights: Path | None,
    variant: Literal["mobilenet", "mobilenet_v2"] | None,
    alpha: float | None,
    parity_images: Path | None,
    name: str,
    store: Path,
    clone: Path | None,
    seed: int,
    quiet: bool,
    breaking: bool,
    despite: tuple[str, ...],
) -> None:
    """Make a classifier of photos from MobileNet weights that were trained on ImageNet: 1,000 classes.

    Nothing is trained. Keras' published MobileNetV2 weights (14 MB) are downloaded once to ~/.cache/celeriac, or read
    from MODEL_DATA_DIR, and exported.

    \b
    Examples:
      python -m production_server.training mobilenet
      python -m production_server.training mobilenet --parity-images photos/
      python -m production_server.training mobilenet --weights small.h5 --alpha 0.25 --variant mobilenet
    """
    if weights is None and (variant, alpha) != (None, None):
        raise click.UsageError("--variant and --alpha only go with --weights: Keras' are mobilenet_v2, 1")
    from production_server.training import mobilenet_weights as known
    from production_server.training.parity_inputs import gather

    reporter = Reporter(is_quiet=quiet)
    if weights is None:
        chosen = known.published_weights(reporter)
    else:
        chosen = known.own_weights(weights, known.Network(variant or "mobilenet_v2", alpha or 1.0))
    inputs = gather(parity_images, known.PREPROCESSING, seed=seed, reporter=reporter)

    # TensorFlow takes seconds to load: only now, when the data is known to be usable
    from production_server.training.mobilenet import publish_mobilenet

    allowed = allowed_by(breaking=breaking, despite=despite)
    make = partial(publish_mobilenet, chosen, inputs, name=name, reporter=reporter, allowed=allowed)
    _publish(name, store, clone, lambda into: make(store=into))


@cli.command()
@_common
@_parity_images
@click.option("--name", callback=_check_name, default="faces", show_default=True, help="Name of the model.")
def faces(
    *,
    parity_images: Path | None,
    name: str,
    store: Path,
    clone: Path | None,
    seed: int,
    quiet: bool,
    breaking: bool,
    despite: tuple[str, ...],
) -> None:
    """Make a model that finds faces in pictures, and gives numbers for each by which people are told apart.

    Nothing is trained. The networks are MTCNN, from the Python package mtcnn, and dlib's ResNet, from the npm package
    @vladmandic/face-api (13 MB), which npm brings once to ~/.cache/celeriac. Both are pinned by SHA-256.

    \b
    Examples:
      python -m production_server.training faces
      python -m production_server.training faces --parity-images photos/
    """
    reporter = Reporter(is_quiet=quiet)
    from production_server.training.faces.publish import publish_faces

    allowed = allowed_by(breaking=breaking, despite=despite)
    make = partial(publish_faces, parity_images, name=name, seed=seed, reporter=reporter, allowed=allowed)
    _publish(name, store, clone, lambda into: make(store=into))


@cli.command()
@_common
@click.option(
    "--of",
    metavar="MODEL/VERSION",
    help="Whose faces it is to judge, such as faces/1.  [default: those of the latest classifier]",
)
@click.option(
    "--name", callback=_check_name, default="personas", show_default=True, help="Name of the model."
)
def personas(
    *,
    of: str | None,
    name: str,
    store: Path,
    clone: Path | None,
    seed: int,
    quiet: bool,
    breaking: bool,
    despite: tuple[str, ...],
) -> None:
    """Make a model of the classifier that tells who faces are, as the service on this machine has learnt it.

    Nothing is trained: its columns are the means of what people labelled. STATE_DIR, or DATABASE_URL, says where the
    service's database is. The version keeps these means: delete it when one of these people is to be forgotten.

    \b
    Examples:
      python -m production_server.training personas --store ./models
      python -m production_server.training personas --of faces/2
    """
    del seed  # Nothing is drawn.
    reporter = Reporter(is_quiet=quiet)
    from production_server.training.personas.learnt import read_learnt

    learnt = read_learnt(of)
    from production_server.training.personas.publish import publish_personas

    allowed = allowed_by(breaking=breaking, despite=despite)
    make = partial(publish_personas, learnt, name=name, reporter=reporter, allowed=allowed)
    _publish(name, store, clone, lambda into: make(store=into))


def main() -> None:
    """Run the command line; a fault is one line on standard error and exit code 1."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        cli(prog_name="python -m production_server.training", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit("Interrupted; run the same command again to go on.")
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (TrainingError, GateClosed, StoreNotWritable, SettingsError, OSError) as exc:
        sys.exit(f"Error: {exc}")
    except ImportError as exc:
        sys.exit(f"Error: {exc}; training needs the packages in requirements/training.txt")


if __name__ == "__main__":
    main()
