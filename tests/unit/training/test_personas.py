"""The classifier of personas as a Keras model: it judges as the service does, and names nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from production_server.inference import Engine
from production_server.jobs.database import Database
from production_server.learning.persona_means import judge
from production_server.models.manifest import read_manifest
from production_server.models.registry import Registry
from production_server.models.tasks.task import Prediction
from production_server.personas.decisions import decide
from production_server.personas.people import make
from production_server.personas.records import NewDecision
from production_server.training.errors import DataError, ExportError
from production_server.training.personas.learnt import Learnt, read_learnt
from tests.unit.personas.pictures import ANNA, answer, face_ids, find_all, learn, seen, somebody, told
from tests.unit.training.conftest import Transcript

PEOPLE, EACH = 8, 6


@pytest.fixture
def environment(sqlite_database: Database) -> dict[str, str]:
    return {"DATABASE_URL": sqlite_database.engine.url.render_as_string(hide_password=False)}


@pytest.fixture
def learnt(sqlite_database: Database, environment: dict[str, str]) -> Learnt:
    """Of eight people six are known by two faces each."""
    answer(
        sqlite_database,
        [
            [told(seen(somebody(p), 100 * p + n, spread=0.02 + 0.01 * n)) for n in range(EACH)]
            for p in range(PEOPLE)
        ],
    )
    find_all(sqlite_database)
    ids = face_ids(sqlite_database)
    for p in range(PEOPLE - 2):
        who = make(sqlite_database, f"Adelheid {p}", by=ANNA).id
        faces = tuple(ids[p * EACH : p * EACH + 2])
        decide(sqlite_database, NewDecision(faces=faces, kind="label", persona=who), by=ANNA)
    learn(sqlite_database)
    return read_learnt(environment=environment)


def test_the_latest_classifier_is_read_with_faces_of_its_version(
    learnt: Learnt, environment: dict[str, str]
) -> None:
    assert learnt.embeddings.shape == (PEOPLE * EACH, 128)
    assert len(learnt.means.personas) == PEOPLE - 2
    assert read_learnt("faces/1", environment=environment).number == learnt.number
    with pytest.raises(DataError, match="no classifier of faces of faces/2 knows anybody"):
        read_learnt("faces/2", environment=environment)


def test_without_a_database_or_a_label_it_says_where_to_look(
    sqlite_database: Database, environment: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="label some on /personas"):
        read_learnt(environment=environment)
    with pytest.raises(DataError, match="there is no such file"):
        read_learnt(environment={"DATABASE_URL": f"sqlite:///{tmp_path / 'none.sqlite3'}"})


@pytest.mark.training
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside Keras, TensorFlow and tf2onnx
def test_a_version_judges_as_the_service_and_names_nobody(
    learnt: Learnt, tmp_path: Path, transcript: Transcript
) -> None:
    from production_server.training.personas.publish import publish_personas

    folder = publish_personas(learnt, name="personas", store=tmp_path / "store", reporter=transcript)

    registry = Registry([tmp_path / "store"])
    inputs = registry.resolve("personas", "1").task.inputs
    checked = inputs.check_json([{"embedding": each.tolist()} for each in learnt.embeddings], max_pixels=1)
    found = Engine(registry, threads=1).predict_batch(
        "personas", "1", [each.payload for each in checked], max_pixels=1
    )
    told_of = json.loads((folder / "personas.json").read_text())
    for verdict, outcome in zip(judge(learnt.means, learnt.embeddings), found.outcomes, strict=True):
        assert isinstance(outcome.result, Prediction)
        chances = np.array(outcome.result.output["probabilities"])
        best = int(chances.argmax())
        name = str(told_of["personas"][best]) if chances[best] >= told_of["least_probability"] else None
        assert name == verdict.persona
    assert read_manifest(folder).parity is not None
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"Adelheid" not in everything


@pytest.mark.training
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside Keras, TensorFlow and tf2onnx
def test_a_network_that_judges_otherwise_is_no_version(
    learnt: Learnt, tmp_path: Path, transcript: Transcript
) -> None:
    from production_server.training.personas.publish import build, check_judges_alike

    other = replace(learnt.means, means=learnt.means.means[::-1].copy())

    check_judges_alike(build(learnt.means), learnt)
    with pytest.raises(ExportError, match="the network says"):
        check_judges_alike(build(other), learnt)
