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
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
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


def topics() -> None:
    """Several labels at once: one input [None, 6]; a matrix of labels, and one of probabilities [None, 4]."""
    words, topics = make_multilabel_classification(
        n_samples=400, n_features=6, n_classes=4, n_labels=2, random_state=1
    )
    model = OneVsRestClassifier(LogisticRegression(max_iter=500)).fit(words, topics)
    onnx = to_onnx(model, initial_types=[("words", FloatTensorType([None, 6]))], options={"zipmap": False})
    (FOLDER / "topics_one_vs_rest.onnx").write_bytes(onnx.SerializeToString())


def topics_network() -> None:
    """The same from a network, as it is written by default."""
    words, topics = make_multilabel_classification(
        n_samples=400, n_features=6, n_classes=4, n_labels=2, random_state=1
    )
    model = MLPClassifier(hidden_layer_sizes=(8,), max_iter=3000, random_state=1).fit(words, topics)
    onnx = to_onnx(model, initial_types=[("words", FloatTensorType([None, 6]))])
    (FOLDER / "topics_network.onnx").write_bytes(onnx.SerializeToString())


def digit_regressor() -> None:
    """Images of 8 x 8 pixels from 0 to 16 as rows of 64; the number that is written on them, as a value."""
    digits = load_digits()
    network = MLPRegressor(hidden_layer_sizes=(16,), max_iter=400, random_state=1).fit(
        digits.data, digits.target.astype(float)
    )
    onnx = to_onnx(network, initial_types=[("pixels", FloatTensorType([None, 64]))])
    (FOLDER / "digit_regressor.onnx").write_bytes(onnx.SerializeToString())


if __name__ == "__main__":
    iris_classifier()
    iris_columns()
    disease_regressor()
    topics()
    topics_network()
    digit_regressor()
