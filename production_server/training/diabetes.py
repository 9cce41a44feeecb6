"""The built-in tabular model: diabetes within five years, after the Pima Indians Diabetes data.

Smith et al., "Using the ADAP learning algorithm to forecast the onset of diabetes mellitus" (1988); 768 women of Pima
heritage, at least 21 years old.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from production_server.models import manifest as card
from production_server.models.drafts import draft_version
from production_server.models.importing.keras_export import Signature
from production_server.training import plots
from production_server.training.cross_validation import (
    OutOfFold,
    choose_threshold,
    cross_validate,
    measure,
)
from production_server.training.datasets import PIMA, load_pima, obtain
from production_server.training.diabetes_model import CAN_BE_MISSING, Settings, fit_network
from production_server.training.export import declare, export_model
from production_server.training.gate_check import pass_gate
from production_server.training.revision import code_revision
from production_server.training.serving_check import check_table

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from production_server.learning.report import CheckName
    from production_server.training.progress import Reporter

    Rows = NDArray[np.float32]
    Outcome = NDArray[np.int32]

NAME = "diabetes"
LABELS = ("no diabetes", "diabetes")


@dataclass(frozen=True)
class Column:
    """What people call a column of the data."""

    name: str
    aliases: tuple[str, ...]
    """How the column is headed in copies of the data that go around."""
    label: str
    unit: str | None
    is_integer: bool
    example: float


COLUMNS = (
    Column("pregnancies", ("NumTimesPrg", "preg"), "Pregnancies", None, is_integer=True, example=6),
    Column(
        "glucose",
        ("PlGlcConc", "plas"),
        "Plasma glucose, 2 h after oral glucose",
        "mg/dL",
        is_integer=True,
        example=148,
    ),
    Column(
        "blood_pressure",
        ("BloodPressure", "BloodP", "pres"),
        "Diastolic blood pressure",
        "mmHg",
        is_integer=True,
        example=72,
    ),
    Column(
        "skin_thickness",
        ("SkinThickness", "SkinThick", "skin"),
        "Triceps skin fold thickness",
        "mm",
        is_integer=True,
        example=35,
    ),
    Column(
        "insulin",
        ("TwoHourSerIns", "insu"),
        "Serum insulin, 2 h after oral glucose",
        "µU/mL",
        is_integer=True,
        example=0,
    ),
    Column("bmi", ("mass",), "Body mass index", "kg/m²", is_integer=False, example=33.6),
    Column(
        "diabetes_pedigree",
        ("DiabetesPedigreeFunction", "DiPedFunc", "pedi"),
        "Diabetes pedigree function",
        None,
        is_integer=False,
        example=0.627,
    ),
    Column("age", (), "Age", "years", is_integer=True, example=50),
)
DESCRIPTIONS = {
    "diabetes_pedigree": "Weighs diabetes in relatives by how closely they are related.",
}


def train_diabetes(
    *,
    store: Path,
    seed: int,
    folds: int,
    repeats: int,
    reporter: Reporter,
    settings: Settings | None = None,
    allowed: Collection[CheckName] = (),
) -> Path:
    """Cross-validate, fit the final model to all rows, and publish it; returns the new version's folder.

    Raises:
        TrainingError: the data cannot be had, the export is not the trained model, or the store cannot be written.
        GateClosed: it fails a check of the gate that is not `allowed`.
    """
    settings = settings or Settings()
    revision = code_revision()
    rows, outcome = load_pima(reporter)

    def predict(train: NDArray[np.intp], held_out: NDArray[np.intp]) -> NDArray[np.float64]:
        model = fit_network(rows[train], outcome[train], settings, seed=seed)
        return np.asarray(model(rows[held_out]), np.float64)[:, 1]

    with reporter.steps("Cross-validation", folds * repeats) as advance:
        predictions = cross_validate(
            outcome, predict, folds=folds, repeats=repeats, seed=seed, advance=advance
        )
    values = measure(outcome, predictions)
    model = fit_network(rows, outcome, settings, seed=seed)
    threshold = _threshold(outcome, predictions)
    with draft_version(store, NAME) as draft:
        parity = export_model(model, draft.folder, declare(model, "features"), _with_gaps(rows))
        _draw(outcome, predictions, values, draft.folder / "plots", threshold.value)
        for name, each in values.items():
            reporter.say(f"{name}: {each.mean():.4f} ± {each.std():.4f}")
        manifest = _manifest(
            rows, declare(model, "features"), draft.version, _metrics(values, folds, repeats, seed), threshold, parity,
            revision, draft.digests(),
        )  # fmt: skip
        table, truth = obtain(PIMA, reporter).read_bytes(), [LABELS[each] for each in outcome]
        answers = np.asarray(model(rows))

        def check(folder: Path) -> None:
            check_table(folder, table, truth, answers)
            # The final model has learnt from all rows: none is held out to compare versions on.
            pass_gate(folder, store, allowed=allowed, reporter=reporter)

        return draft.publish(manifest, check=check)


def _with_gaps(rows: Rows) -> Rows:
    """The rows as they are, and again with each of the five values that may be missing left out."""
    gaps = [rows]
    for column in np.flatnonzero(CAN_BE_MISSING):
        copy = rows.copy()
        copy[:, column] = 0
        gaps.append(copy)
    return np.concatenate(gaps)


def _threshold(outcome: Outcome, predictions: OutOfFold) -> card.Threshold:
    value = choose_threshold(outcome, predictions.scores)
    found, found_at_half = ((predictions.scores[:, outcome == 1] >= cut).mean() for cut in (value, 0.5))
    right, right_at_half = (((predictions.scores >= cut) == outcome).mean() for cut in (value, 0.5))
    return card.Threshold(
        value=value,
        reason=(
            "Largest sum of sensitivity and specificity (Youden's index) over all out-of-fold predictions: it finds "
            f"{found:.0%} of the women with diabetes and {right:.0%} of its answers are right. At 0.5 they would be "
            f"{found_at_half:.0%} and {right_at_half:.0%}; a missed case costs more than a second test. The metrics of "
            "each fold use a threshold chosen on the other folds."
        ),
    )


def _metrics(values: dict[str, NDArray[np.float64]], folds: int, repeats: int, seed: int) -> card.Metrics:
    return card.Metrics(
        data="Pima Indians Diabetes, 768 rows",
        method=(
            f"Stratified {folds}-fold cross-validation, repeated {repeats} times (seed {seed}): mean and standard "
            f"deviation over the {folds * repeats} held-out folds; means for missing values and scaling are learnt "
            "within the training folds. The model that is served was fitted to all rows."
        ),
        values={
            name: card.Metric(mean=float(each.mean()), std=float(each.std())) for name, each in values.items()
        },
    )


def _draw(
    outcome: Outcome,
    predictions: OutOfFold,
    values: dict[str, NDArray[np.float64]],
    folder: Path,
    threshold: float,
) -> None:
    scores = predictions.scores.mean(axis=0)
    area = f"area {values['roc_auc'].mean():.3f} ± {values['roc_auc'].std():.3f} over folds"
    plots.draw_roc(outcome, scores, folder / "roc.svg", threshold=threshold, area=area)
    plots.draw_calibration(outcome, scores, folder / "calibration.svg")


def _features(rows: Rows) -> tuple[card.Feature, ...]:
    return tuple(_feature(column, rows[:, index], index) for index, column in enumerate(COLUMNS))


def _feature(column: Column, values: Rows, index: int) -> card.Feature:
    measured = values[values != 0] if CAN_BE_MISSING[index] else values
    return card.Feature(
        name=column.name,
        label=column.label,
        unit=column.unit,
        description=DESCRIPTIONS.get(column.name, ""),
        minimum=round(float(measured.min()), 4),
        maximum=round(float(measured.max()), 4),
        integer=column.is_integer,
        example=column.example,
        missing=0 if CAN_BE_MISSING[index] else None,
        aliases=column.aliases,
    )


def _manifest(
    rows: Rows,
    signature: Signature,
    version: str,
    measured: card.Metrics,
    threshold: card.Threshold,
    parity: card.Parity,
    revision: str,
    files: dict[str, card.FileDigest],
) -> card.Manifest:
    return card.Manifest(
        schema_version=1,
        name=NAME,
        version=version,
        title="Diabetes",
        description="Probability of diabetes within five years, from eight clinical values. For study, not for care.",
        created=datetime.now(UTC).replace(microsecond=0),
        task="tabular_classification",
        inputs=signature.inputs,
        outputs=signature.outputs,
        features=_features(rows),
        labels=LABELS,
        target="outcome",
        threshold=threshold,
        metrics=measured,
        training_data=(PIMA.describe(),),
        code_revision=revision,
        parity=parity,
        files=files,
    )
