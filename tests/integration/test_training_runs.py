"""From labels to a version that serves: a model that is trained again, by a program of the operator's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.blobs import blobs, label, latest_run, prepare
from testing.celeriac import Celeriac, celeriac
from testing.processes import wait_until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Celeriac]:
    learning = prepare(tmp_path, begin="{after_labels: 100, quiet_s: 0}")
    with celeriac(tmp_path, LEARNING_FILE=str(learning), CHUNK_ITEMS="64") as running:
        yield running


def test_labels_make_a_version_that_serves_and_answers_again(service: Celeriac) -> None:
    rows, truths = blobs(400, seed=2)
    job = service.wait_for(service.submit("blobs", rows.tolist()))
    before = [item["label"] for item in service.results(job)]

    label(service, job, truths[:200])
    wait_until(lambda: latest_run(service)["state"] != "open", what="the end of the training")
    run = latest_run(service)
    assert (run["state"], run["step"], run["version"], run["error"]) == ("succeeded", "done", "2", None), run
    assert (run["why"], run["labels"]) == ("labels", 200)
    assert 20 < run["held_out"] < 60
    trained = f"trained on {run['labels'] - run['held_out']} rows"
    assert trained in service.web.get(run["links"]["log"]).text
    told = run["changed"]
    assert told["answered"] == 350, "the labelled ones, and 150 of the others"
    wrong = sum(answered != truth for answered, truth in zip(before[:200], truths[:200], strict=True))
    assert told["agree_now"] >= 0.8 * wrong > 0
    assert told["agree_no_more"] <= 4
    page = service.web.get(run["links"]["page"]).text
    assert f"{told['changed']} of 350 answers changed" in page
    assert trained in page
    left = service.web.get("/api/labels/blobs").json()["left"]
    assert left == 200, "nobody is asked a second time about what was answered again"
    model = service.web.get("/api/models/blobs").json()
    assert model["channels"]["stable"] == "2", model
    assert [item["label"] for item in service.results(job)] == before, "what was answered stays"
    again = service.wait_for(service.submit("blobs", rows[200:].tolist()))
    right = [item["label"] == truth for item, truth in zip(service.results(again), truths[200:], strict=True)]
    assert sum(right) / len(right) > 0.95
