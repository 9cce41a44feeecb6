"""`python -m production_server models quantize`: a version in whole numbers of 8 bits, of one that is there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import click

from production_server.errors import InvalidInput
from production_server.jobs.past_answers import past_answers
from production_server.learning.calibration import FEWEST_ITEMS, MOST_ITEMS, Calibration, of_sample, of_stored
from production_server.learning.imports import Destination
from production_server.learning.quantizing import Quantizing, check_quantizable, quantize_through_gate
from production_server.learning.report import allowed_by
from production_server.models.channels import STABLE
from production_server.models.importing.sample import sample_folder
from production_server.models.store import ModelVersion
from production_server.run.admitted_lines import how_it_serves, show_admitted, show_refused
from production_server.run.brought_files import FileOrAddress, brought, say
from production_server.run.opened_serving import opened_serving
from production_server.run.serving_commands import AS_JSON, BREAKING, DESPITE_CHECK, named_version
from production_server.serving.serving import Serving
from production_server.settings import Settings
from production_server.shown import describe


@click.command("quantize")
@click.argument("version", metavar="MODEL[/VERSION]")
@click.option(
    "--sample",
    type=FileOrAddress(exists=True),
    help="Rows in a CSV, or a folder (or a zip) with a folder of images for each label, as of `import`.",
)
@click.option(
    "--stored",
    type=click.IntRange(FEWEST_ITEMS, MOST_ITEMS),
    help="Instead of a sample: so many items, the last ones of jobs that the version has answered.",
)
@click.option("--target", help="Column of the sample that holds what is true.  [default: the model's]")
@click.option(
    "--weight-bits",
    type=click.Choice([7, 8]),
    default=7,
    show_default=True,
    help="8 is closer to the version, on processors that have VNNI, or ARM; on others sums overflow.",
)
@BREAKING
@DESPITE_CHECK
@click.option("--dry-run", is_flag=True, help="Do all of it, and publish nothing.")
@AS_JSON
@click.pass_obj
def quantize(  # noqa: PLR0913  # one argument per option
    settings: Settings,
    *,
    version: str,
    sample: Path | str | None,
    stored: int | None,
    target: str | None,
    weight_bits: Literal[7, 8],
    breaking: bool,
    despite: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the next version of MODEL out of one that is there, in whole numbers of 8 bits: half the work, if it gains.

    VERSION is a number, or the name of a channel; without it, it is what serves. The ranges of the numbers are found on
    a sample, or on what is stored. The version passes the gate, and waits until somebody promotes it.
    """
    _check_said(sample, stored, target)
    with brought(settings, {"sample": sample}) as found, opened_serving(settings) as serving:
        of = _version(serving, version)
        check_quantizable(of)
        name = of.manifest.name
        if not dry_run:
            _check_stable(serving, of)
        with sample_folder(found.get("sample"), settings.model_stores[-1] / name) as path:
            asked = Quantizing(
                version=of,
                calibration=_stored(settings, serving, of, stored)
                if path is None
                else of_sample(of, path, target),
                weight_bits=weight_bits,
                allowed=allowed_by(breaking=breaking, despite=despite),
                is_dry_run=dry_run,
            )
            admitted = quantize_through_gate(
                asked,
                Destination(
                    settings=settings, registry=serving.registry, above=serving.overview.highest_told(name)
                ),
                say,
                report_to=partial(show_refused, as_json=as_json),
            )
        serves = how_it_serves(serving, admitted)
    show_admitted(admitted, serves, as_json=as_json)


def _check_said(sample: Path | str | None, stored: int | None, target: str | None) -> None:
    """Whether it is said, and once, what inputs the ranges are found on.

    Raises:
        InvalidInput: it is not.
    """
    if (sample is None) == (stored is None):
        raise InvalidInput.at(
            "calibration",
            "either --sample, or --stored with how many items of jobs",
            "neither: no version keeps its sample" if sample is None else "both",
        )
    if target is not None and sample is None:
        raise InvalidInput.at("target", "a column of --sample", "one without a sample")


def _version(serving: Serving, text: str) -> ModelVersion:
    name, slash, which = text.partition("/")
    if slash and not which:
        raise InvalidInput.at("version", "MODEL/VERSION, or MODEL alone for what serves", describe(text))
    return named_version(serving.registry, name, which or STABLE)


def _check_stable(serving: Serving, of: ModelVersion) -> None:
    """Whether somebody has said what serves: else the newest does, and that would be the one that is made now.

    Raises:
        InvalidInput: nobody has (field `stable`).
    """
    name = of.manifest.name
    if serving.overview.channel(name, STABLE).set_at is None:
        serves = serving.registry.shown(name).key[1]
        raise InvalidInput.at(
            STABLE,
            f"a version that was promoted, so that the new one waits: models promote {name} {serves}",
            "none: the newest serves, and would be replaced at once",
        )


def _stored(settings: Settings, serving: Serving, of: ModelVersion, most: int | None) -> Calibration:
    with serving.database.read() as connection:
        past = past_answers(connection, *of.key, most=most or MOST_ITEMS)
    return of_stored(of, [each.payload for each in past], max_pixels=settings.max_image_pixels)
