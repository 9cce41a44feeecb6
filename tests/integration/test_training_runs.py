"""From labels to a version that serves: a model that is trained again, by a program of the operator's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.blobs import blobs, label, latest_run, prepare
from testing.celeriac import Celeriac, celeriac
from testing.pictures import png
from testing.processes import wait_until

ROOT = Path(__file__).parents[2]
LEARNING = """
policies:
  - model: fashion_mnist
    train:
      command:
        [{python}, -c, "import shutil, sys; shutil.copy(sys.argv[3], sys.argv[2])", "{{data}}", "{{model}}", "{file}"]
      describe:
        labels: [T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot]
        image: {{mode: L, width: 28, height: 28, scale: 0.00392156862745098, invert: auto}}
"""


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


def test_pictures_in_buckets_are_answered_again_behind_those_that_are_stored(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    for seed in range(20):
        (tmp_path / "bucket" / f"{seed}.png").write_bytes(png(seed))
    (file,) = (ROOT / "production_server" / "model_store" / "fashion_mnist").glob("*/model.onnx")
    learning = tmp_path / "learning.yaml"
    learning.write_text(LEARNING.format(python=sys.executable, file=file))
    settings = {"STORAGE_ALLOW": f"file://{tmp_path}/bucket", "GATE_LATENCY": "1000", "CHUNK_ITEMS": "8"}
    with celeriac(tmp_path, LEARNING_FILE=str(learning), **settings) as service:
        files = [("file", (f"{seed}.png", png(seed), "image/png")) for seed in range(100, 130)]
        sent = service.web.post("/api/jobs", data={"model": "fashion_mnist"}, files=files).json()
        asked = {"url": f"file://{tmp_path}/bucket", "model": "fashion_mnist"}
        scan = service.web.post("/api/scans", json=asked).json()
        place = f"/api/jobs/{scan['id']}"
        wait_until(lambda: service.web.get(place).json().get("state") == "finished", what="it is scanned")
        service.wait_for(sent)
        table = f"job,index,label\n{scan['id']},3,Bag\n{sent['id']},4,Bag\n{sent['id']},5,Coat\n"
        brought = {"file": ("labels.csv", table.encode())}
        assert service.web.post("/api/labels/fashion_mnist/import", files=brought).json()["stored"] == 3

        begun = service.web.post("/api/training-runs", json={"model": "fashion_mnist"}).json()

        here = begun["links"]["self"]
        wait_until(lambda: service.web.get(here).json()["state"] != "open", what="the end of the training")
        run = service.web.get(here).json()
        assert (run["state"], run["error"]) == ("succeeded", None), run
        assert run["changed"] == {"answered": 50, "changed": 0, "agree_now": 0, "agree_no_more": 0}
        job = service.web.get(run["links"]["job"]).json()
        assert (job["total"], job["succeeded"], job["version"]) == (50, 50, run["version"])
