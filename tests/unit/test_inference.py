from __future__ import annotations

import io
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from production_server import inference
from production_server.errors import BrokenVersion, CeleriacError, NotFound, ObjectOutOfReach
from production_server.inference import MOST_NUMBERS, Engine, PredictedBatch
from production_server.models.channels import Standing
from production_server.models.registry import Registry
from production_server.models.runners.onnx import OnnxRunner
from production_server.models.tasks.task import Prediction
from production_server.models.tensors import Tensors, count_items, only
from testing.small_models import write_image_model, write_shades_model, write_table_model


@pytest.fixture
def engine(small_registry: Registry) -> Engine:
    return Engine(small_registry, threads=1)


def classify(engine: Engine, model: str, payloads: list[bytes], *, batch_items: int = 64) -> list[str]:
    """Each input's label, or its error's code."""
    starts = range(0, len(payloads), batch_items)
    batches = [
        engine.predict_batch(model, "1", payloads[start : start + batch_items], max_pixels=10_000)
        for start in starts
    ]
    return [each for batch in batches for each in told(batch)]


def told(batch: PredictedBatch) -> list[str]:
    """Each input's label, or its error's code."""
    results = [outcome.result for outcome in batch.outcomes]
    return [str(result.label) if isinstance(result, Prediction) else result.code for result in results]


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


def test_rows_are_classified_in_order_whatever_the_batch(engine: Engine) -> None:
    rows = [b"[0,1]", b"[9,1]", b"[3,1]", b"[4,1]"]

    assert classify(engine, "table", rows, batch_items=64) == ["no", "yes", "no", "yes"]
    assert classify(engine, "table", rows, batch_items=3) == ["no", "yes", "no", "yes"]


def test_the_threshold_decides_and_the_score_is_the_answers_probability(engine: Engine) -> None:
    batch = engine.predict_batch("table", "1", [b"[4,1]"], max_pixels=1)
    (outcome,) = batch.outcomes

    assert outcome.result == Prediction("yes", 0.2, (0.8, 0.2))
    assert outcome.ms > 0


def test_a_model_of_many_labels_answers_with_its_best_ones(engine: Engine) -> None:
    batch = engine.predict_batch("shades", "1", [png(255), b"no image"], max_pixels=99)
    found, failed = (outcome.result for outcome in batch.outcomes)

    assert isinstance(found, Prediction) and isinstance(failed, CeleriacError)
    assert (found.label, [place for place, _ in found.output]) == ("shade 29", [29, 28, 27])
    assert found.output[0] == (29, found.score)


def test_an_item_on_which_the_model_fails_does_not_harm_its_neighbours(engine: Engine) -> None:
    rows = [b"[0,1]"] * 37 + [b"[10,1]"] + [b"[9,1]"] * 20 + [b"[-99,1]"]

    assert classify(engine, "table", rows) == ["no"] * 37 + ["inference_failed"] + ["yes"] * 20 + [
        "inference_failed"
    ]


def test_large_images_go_to_the_model_a_few_at_once_and_their_answers_come_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = math.isqrt(MOST_NUMBERS // 3)
    inputs = [{"name": "image", "shape": [None, side, side, 1], "dtype": "float32"}]
    image = {"mode": "L", "width": side, "height": side, "scale": 1 / 255}
    write_shades_model(tmp_path, inputs=inputs, image=image)
    values = [0, 88, 176, 255, 255, 176, 88, 0]
    sizes: list[int] = []
    engine = Engine(Registry([tmp_path]), threads=1)
    as_it_is = OnnxRunner.run

    def watched(runner: OnnxRunner, batch: Tensors) -> Tensors:
        sizes.append(count_items(batch))
        return as_it_is(runner, batch)

    engine.load("shades", "1")
    monkeypatch.setattr(OnnxRunner, "run", watched)
    pixels = np.repeat(np.array(values, np.float32) / 255, side * side).reshape(-1, side, side, 1)
    outputs = engine.run("shades", "1", {"image": pixels}, max_pixels=1)

    assert only(outputs.values).argmax(axis=1).tolist() == [0, 10, 20, 29, 29, 20, 10, 0]
    assert sizes == [2, 2, 2, 2]


def test_an_image_that_cannot_be_decoded_does_not_harm_its_neighbours(engine: Engine) -> None:
    images = [png(0), b"no image", png(255)]

    assert classify(engine, "picture", images) == ["dark", "not_an_image", "bright"]


def test_an_error_that_stands_for_an_input_is_its_outcome_and_its_neighbours_keep_their_places(
    engine: Engine,
) -> None:
    missed = ObjectOutOfReach("it did not come", code="object_missing")

    rows = engine.predict_batch("table", "1", [b"[0,1]", missed, b"[9,1]"], max_pixels=1)
    images = engine.predict_batch("picture", "1", [missed, png(255)], max_pixels=99)
    nothing = engine.predict_batch("table", "1", [missed], max_pixels=1)

    assert told(rows) == ["no", "object_missing", "yes"]
    assert told(images) == ["object_missing", "bright"]
    assert told(nothing) == ["object_missing"]


def test_a_model_that_answers_no_number_fails_that_item_alone(tmp_path: Path) -> None:
    write_image_model(tmp_path, image={"mode": "L", "width": 4, "height": 4, "scale": 1e36})
    engine = Engine(Registry([tmp_path]), threads=1)

    assert classify(engine, "picture", [png(0), png(255)]) == ["dark", "inference_failed"]


def test_a_version_whose_file_was_changed_is_not_loaded(tmp_path: Path) -> None:
    folder = write_table_model(tmp_path)
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"!")

    with pytest.raises(BrokenVersion, match="SHA-256"):
        classify(Engine(Registry([tmp_path]), threads=1), "table", [b"[1,1]"])


def test_a_version_whose_file_is_missing_or_no_model_is_not_loaded(tmp_path: Path) -> None:
    folder = write_table_model(tmp_path)
    engine = Engine(Registry([tmp_path]), threads=1)
    (folder / "model.onnx").unlink()

    with pytest.raises(BrokenVersion, match="cannot be read"):
        classify(engine, "table", [b"[1,1]"])


def test_a_graph_with_other_inputs_than_declared_is_not_loaded(tmp_path: Path) -> None:
    write_table_model(tmp_path, outputs=[{"name": "answer", "shape": [None, 2], "dtype": "float32"}])

    with pytest.raises(BrokenVersion, match=r"outputs probabilities: tensor\(float\); declared are answer"):
        classify(Engine(Registry([tmp_path]), threads=1), "table", [b"[1,1]"])


def test_one_broken_version_does_not_keep_the_others_from_warming_up(tmp_path: Path) -> None:
    broken = write_table_model(tmp_path)
    write_image_model(tmp_path)
    (broken / "model.onnx").write_bytes(b"")

    engine = Engine(Registry([tmp_path]), threads=1)

    engine.load_wanted()

    assert engine.loaded == [("picture", "1")]
    assert list(engine.failing) == ["table/1"]
    assert "SHA-256" in engine.failing["table/1"]


def test_what_a_channel_names_is_loaded_and_what_does_not_load_is_told_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1", "2", "3"):
        write_table_model(tmp_path, version=version)
    kept = (tmp_path / "table" / "1" / "model.onnx").read_bytes()
    (tmp_path / "table" / "1" / "model.onnx").write_bytes(b"")
    standings = {"table": Standing({"stable": "3"})}
    engine = Engine(Registry([tmp_path], known=lambda: standings), threads=1)
    engine.load_wanted()
    assert engine.loaded == [("table", "3")]

    standings["table"] = Standing({"stable": "1", "qa": "2"})
    engine.load_wanted()
    (tmp_path / "table" / "1" / "model.onnx").write_bytes(kept)
    engine.load_wanted()
    assert (engine.loaded, list(engine.failing)) == ([("table", "3"), ("table", "2")], ["table/1"])
    monkeypatch.setattr(inference, "TRY_AGAIN_S", 0.0)
    engine.load_wanted()

    assert (engine.loaded[-1], engine.failing) == (("table", "1"), {})


def test_what_does_not_load_is_forgotten_when_no_channel_names_it(tmp_path: Path) -> None:
    for version in ("1", "2"):
        write_table_model(tmp_path, version=version)
    (tmp_path / "table" / "2" / "model.onnx").write_bytes(b"")
    standings: dict[str, Standing] = {}
    engine = Engine(Registry([tmp_path], known=lambda: standings), threads=1)
    engine.load_wanted()
    assert list(engine.failing) == ["table/2"]

    standings["table"] = Standing({"stable": "1"})
    engine.load_wanted()

    assert (engine.loaded, engine.failing) == ([("table", "1")], {})


def test_a_retired_version_serves_its_jobs_and_is_let_go_when_none_has_come_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1", "2"):
        write_table_model(tmp_path, version=version)
    standings = {"table": Standing(retired=frozenset({"1"}))}
    engine = Engine(Registry([tmp_path], known=lambda: standings), threads=1)

    answered = classify(engine, "table", [b"[9,1]"])
    engine.release_unused()
    kept = engine.loaded
    monkeypatch.setattr(inference, "IDLE_S", -1.0)
    engine.release_unused()

    assert (answered, kept, engine.loaded) == (["yes"], [("table", "1")], [])


def test_what_no_channel_names_any_more_is_kept_for_who_goes_back_and_let_go_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1", "2"):
        write_table_model(tmp_path, version=version)
    standings = {"table": Standing({"stable": "1"})}
    engine = Engine(Registry([tmp_path], known=lambda: standings), threads=1)
    engine.load_wanted()
    standings["table"] = Standing({"stable": "2"})
    engine.load_wanted()

    engine.release_unused()
    kept = engine.loaded
    monkeypatch.setattr(inference, "KEPT_S", -1.0)
    engine.release_unused()

    assert (kept, engine.loaded) == ([("table", "1"), ("table", "2")], [("table", "2")])


def test_a_version_that_is_not_in_the_store_is_an_error_of_all_items(engine: Engine) -> None:
    with pytest.raises(NotFound) as caught:
        classify(engine, "nothing", [b"[1,1]"])

    assert isinstance(caught.value, CeleriacError)
    assert caught.value.code == "model_not_found"


def test_a_version_that_was_taken_away_is_let_go_and_the_others_serve_on(tmp_path: Path) -> None:
    write_table_model(tmp_path)
    newer = write_table_model(tmp_path, version="2")
    engine = Engine(Registry([tmp_path], look_again_s=0), threads=1)
    engine.load("table", "1")
    engine.load("table", "2")

    shutil.rmtree(newer)
    engine.release_unused()

    assert engine.loaded == [("table", "1")]
    assert classify(engine, "table", [b"[9,1]"]) == ["yes"]


def test_a_version_that_is_released_is_loaded_again_for_who_asks_for_it(engine: Engine) -> None:
    engine.load("table", "1")
    engine.release("table", "1")
    loaded = engine.loaded

    assert (loaded, classify(engine, "table", [b"[9,1]"])) == ([], ["yes"])
    assert engine.loaded == [("table", "1")]
