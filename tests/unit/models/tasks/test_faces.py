"""What is kept and told of the faces in a picture."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from production_server.models.manifest import Manifest
from production_server.models.runners.faces import OUTPUTS, PICTURE
from production_server.models.tasks import task_of
from production_server.models.tasks.faces import NO_FACE, Faces, embedding_of
from production_server.models.tensors import Tensors

RNG = np.random.default_rng(1)


def manifest(**changes: Any) -> Manifest:
    known: dict[str, Any] = {
        "schema_version": 1, "name": "faces", "version": "1", "title": "Faces", "created": datetime.now(UTC),
        "task": "faces", "inputs": (PICTURE,), "outputs": OUTPUTS, "metrics": None, "training_data": (),
        "code_revision": None, "parity": None, "runner": "faces", "files": {},
    }  # fmt: skip
    return Manifest(**known | changes)


def task() -> Faces:
    found = task_of(manifest())
    assert isinstance(found, Faces)
    return found


def outputs(*counts: int) -> Tensors:
    """Of pictures with so many faces."""
    most = max(counts)
    found: dict[str, np.ndarray] = {"count": np.array(counts)}
    for spec in OUTPUTS[1:]:
        shape = (len(counts), most, *spec.shape[2:])
        found[spec.name] = RNG.random([size or 1 for size in shape], np.float32).reshape(shape)  # type: ignore[arg-type]
    return found


def test_how_many_faces_there_are_is_the_answer_and_none_is_one() -> None:
    none, one, three = task().predict(outputs(0, 1, 3))

    assert [each.label for each in (none, one, three)] == [NO_FACE, "1 face", "3 faces"]
    assert (none.score, none.output) == (None, ())
    assert [len(each.output) for each in (none, one, three)] == [0, 1, 3]
    assert one.score == one.output[0]["score"]
    assert task().show(none).answer == NO_FACE


def test_what_is_kept_of_a_face_survives_json_and_its_numbers_are_exact() -> None:
    found = outputs(2)

    (prediction,) = task().predict(found)

    kept = json.loads(json.dumps(prediction.output))
    for place, face in enumerate(kept):
        assert np.array_equal(embedding_of(face), found["embeddings"][0, place])
        assert np.allclose(face["box"], found["boxes"][0, place], atol=5e-5)
        assert np.allclose(face["landmarks"], found["landmarks"][0, place], atol=5e-5)
    assert task().cells(prediction) == [2]
    assert [name for name, _ in task().values(prediction)] == ["face 1", "face 2"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"outputs": OUTPUTS[:-1]}, "embeddings"),
        ({"labels": ("a", "b")}, "labels"),
        ({"inputs": (PICTURE.model_copy(update={"dtype": "float32"}),)}, "uint8"),
    ],
)
def test_a_manifest_that_lacks_what_faces_need_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        task_of(manifest(**changes))
