# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = ["numpy==2.4.6", "onnx==1.23.2", "pandas==3.1.1", "scikit-learn==1.9.1", "skl2onnx==1.20.0"]
# ///
"""Makes the scikit-learn pipelines of tests/data/models: `uv run testing/foreign_models/scikit_learn.py`.

Written as users write it: whatever skl2onnx makes of it is what has to come in.
"""

from __future__ import annotations

from pathlib import Path

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDER = Path(__file__).parents[2] / "tests" / "data" / "models"


def iris_classifier() -> None:
    """One input [None, 4]; a label, and a sequence of maps by label."""
    flowers = load_iris()
    labels = flowers.target_names[flowers.target]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(flowers.data, labels)
    model = to_onnx(pipeline, initial_types=[("X", FloatTensorType([None, 4]))])
    (FOLDER / "iris_pipeline.onnx").write_bytes(model.SerializeToString())


def iris_columns() -> None:
    """One input [None, 1] for each column of a data frame; labels that are numbers."""
    flowers = load_iris(as_frame=True)
    frame = flowers.data.rename(columns=lambda name: name.replace(" (cm)", "").replace(" ", "_"))
    columns = list(frame.columns)
    pipeline = make_pipeline(
        ColumnTransformer([("scaled", StandardScaler(), columns[:2]), ("kept", "passthrough", columns[2:])]),
        GradientBoostingClassifier(n_estimators=10, random_state=1),
    ).fit(frame, flowers.target)
    model = to_onnx(pipeline, initial_types=[(name, FloatTensorType([None, 1])) for name in columns])
    (FOLDER / "iris_columns.onnx").write_bytes(model.SerializeToString())


def disease_regressor() -> None:
    """One input [None, 10]; a number [None, 1]."""
    patients = load_diabetes()
    pipeline = make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=40, random_state=1))
    pipeline.fit(patients.data, patients.target)
    model = to_onnx(pipeline, initial_types=[("X", FloatTensorType([None, 10]))])
    (FOLDER / "disease_regressor.onnx").write_bytes(model.SerializeToString())


if __name__ == "__main__":
    iris_classifier()
    iris_columns()
    disease_regressor()
