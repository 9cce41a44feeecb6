"""`models quantize`: from a version to one in whole numbers that waits, and what is refused on the way."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import helper, numpy_helper

from production_server.errors import (
    BrokenVersion,
    ImportFailed,
    InvalidInput,
    NotFound,
    StoreNotWritable,
)
from production_server.inference import Engine
from production_server.jobs.claim import claim, finish
from production_server.jobs.records import NewItem, NewJob, Success
from production_server.jobs.submit import submit
from production_server.models.images import as_png
from production_server.models.manifest import Quantized, read_manifest
from production_server.models.registry import Registry
from production_server.models.tensors import only
from production_server.run.model_commands import model_commands
from production_server.run.opened_serving import opened_serving
from production_server.settings import Settings, read_settings
from testing.foreign_graphs import FOREIGN_MODELS, model_of, write
from testing.small_models import write_convolution_model, write_quantity_model, write_table_model

COUNT = 40


def pictures() -> np.ndarray:
    """Grey ones of 16 × 16 pixels, from dark to bright: the first half is dark."""
    noise = np.random.default_rng(3).integers(-20, 21, (COUNT, 16, 16))
    return (np.linspace(30, 225, COUNT).reshape(-1, 1, 1) + noise).astype(np.uint8)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    for place, picture in enumerate(pictures()):
        folder = tmp_path / "sample" / ("dark" if place < COUNT // 2 else "bright")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place:02}.png").write_bytes(as_png(picture))
    return tmp_path / "sample"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """`lights` has a version that is stable because somebody said so."""
    settings = read_settings({"STATE_DIR": str(tmp_path / "state"), "GATE_LATENCY": "1000"})
    write_convolution_model(settings.model_stores[-1])
    assert models(settings, "promote", "lights", "1").exit_code == 0
    return settings


def models(settings: Settings, *arguments: str | Path) -> Result:
    return CliRunner().invoke(model_commands, list(map(str, arguments)), obj=settings, catch_exceptions=False)


def quantized(settings: Settings, *arguments: str | Path) -> dict[str, Any]:
    done = models(settings, "quantize", *arguments, "--json")
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def answers(settings: Settings, version: str, pixels: np.ndarray) -> np.ndarray:
    engine = Engine(Registry(settings.model_stores), threads=1)
    try:
        return only(engine.run("lights", version, {"image": pixels}, max_pixels=10_000).values)
    finally:
        engine.close()


def numbers(settings: Settings, name: str = "lights") -> list[str]:
    found = json.loads(models(settings, "list", "--json").stdout)
    return next(each["versions"] for each in found if each["name"] == name)


def test_a_version_in_whole_numbers_passes_the_gate_and_waits(settings: Settings, sample: Path) -> None:
    told = quantized(settings, "lights", "--sample", sample)

    store = settings.model_stores[-1] / "lights"
    before, after = read_manifest(store / "1"), read_manifest(store / "2")
    assert (told["version"], told["serves"]) == ("2", False)
    assert models(settings, "show", "lights").stdout.startswith("lights version 1")
    with opened_serving(settings) as serving:
        digest = serving.registry.version("lights", "1").sha256
    assert isinstance(after.quantized, Quantized)
    assert (after.quantized.version, after.quantized.sha256) == ("1", digest)
    assert (after.quantized.calibration, after.quantized.items) == ("40 images of the sample", 40)
    assert (after.quantized.agreeing or 0) >= 38 and after.quantized.apart < 0.1
    for field in ("task", "inputs", "outputs", "labels", "image", "title", "training_data"):
        assert getattr(after, field) == getattr(before, field)
    # What was measured, and compared, was so of the other one.
    assert (after.metrics, after.parity, sorted(after.files)) == (None, None, ["model.onnx", "report.json"])
    assert after.files["model.onnx"].size_bytes < before.files["model.onnx"].size_bytes / 2
    verdicts = {each["name"]: each["verdict"] for each in told["report"]["checks"]}
    assert verdicts == dict.fromkeys(
        ("signature", "loads", "parity", "edges", "metrics", "latency", "memory"), "passed"
    )
    assert told["notes"][0] == "Calibrated on 40 images of the sample."
    pixels = pictures().astype(np.float32)[..., None] / 255
    assert np.abs(answers(settings, "2", pixels) - answers(settings, "1", pixels)).max() < 0.1
    assert not list(store.glob(".draft-*"))


def test_people_are_told_what_it_gains_and_how_to_have_it_serve(settings: Settings, sample: Path) -> None:
    told = models(settings, "quantize", "lights/stable", "--sample", sample).stdout
    shown = models(settings, "show", "lights", "--version", "2").stdout

    assert "µs of the processor for an item, in batches.\n  The file has" in told
    assert "promote it (models promote lights 2)" in told.splitlines()[-1]
    assert (
        "  int8      of version 1, weights of 7 bits, by 40 images of the sample\n  beside it the same label for"
        in shown
    )
    assert "version 1, as int8" in models(settings, "compare", "lights", "1", "2").stdout


def answered(settings: Settings, count: int) -> None:
    """Have a job of so many pictures stored, which version 1 has answered."""
    items = [NewItem(as_png(picture)) for picture in np.resize(pictures(), (count, 16, 16))]
    with opened_serving(settings) as serving:
        new = NewJob(model="lights", version="1", items=items, source="test", client="anna")
        job, _ = submit(serving.database, new)
        held = claim(serving.database, job.id, 0, count, lease_s=60, max_attempts=3)
        assert held is not None
        done = [
            Success(index=place, label="dark", score=1.0, output=(1.0, 0.0), ms=1.0) for place in range(count)
        ]
        finish(serving.database, held, done)


def test_what_is_stored_of_jobs_will_do_and_the_last_of_it_is_used(settings: Settings) -> None:
    answered(settings, 50)

    told = quantized(settings, "lights", "--stored", "35")

    assert told["manifest"]["quantized"]["calibration"] == (
        "the last 35 items of jobs that version 1 has answered"
    )
    (metrics,) = (each for each in told["report"]["checks"] if each["name"] == "metrics")
    assert metrics["verdict"] == "not done"


def test_too_few_inputs_are_refused(settings: Settings, sample: Path) -> None:
    answered(settings, 7)
    for path in sorted((sample / "dark").iterdir())[9:]:
        path.unlink()

    with pytest.raises(InvalidInput, match=r"at least 32 inputs, .* got the last 7 items of jobs"):
        models(settings, "quantize", "lights", "--stored", "100")
    with pytest.raises(InvalidInput, match=r"at least 32 inputs, .* got 29 images of the sample"):
        models(settings, "quantize", "lights", "--sample", sample)


def test_weights_have_the_bits_that_are_asked_for(settings: Settings, sample: Path) -> None:
    told = [
        quantized(settings, "lights", "--sample", sample, "--weight-bits", bits)["manifest"]["quantized"]
        for bits in ("7", "8")
    ]

    assert [each["weight_bits"] for each in told] == [7, 8]
    largest = []
    for version in ("2", "3"):
        graph = onnx.load(settings.model_stores[-1] / "lights" / version / "model.onnx").graph
        weights = [
            numpy_helper.to_array(each)
            for each in graph.initializer
            if each.data_type == onnx.TensorProto.INT8
        ]
        largest.append(max(int(np.abs(each.astype(int)).max()) for each in weights))
    assert largest == [64, 127]


def test_a_dry_run_publishes_nothing(settings: Settings, sample: Path) -> None:
    told = quantized(settings, "lights", "--sample", sample, "--dry-run")

    assert told["version"] is None
    assert numbers(settings) == ["1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "got neither: no version keeps its sample"),
        (("--stored", "50", "--sample", __file__), "got both"),
        (("--stored", "50", "--target", "kind"), "target: expected a column of --sample"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    settings: Settings, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        models(settings, "quantize", "lights", *arguments)


@pytest.mark.parametrize("named", ["nothing", "lights/7", "lights/qa"])
def test_what_there_is_not_is_not_found(settings: Settings, named: str) -> None:
    with pytest.raises(NotFound):
        models(settings, "quantize", named, "--stored", "50")


def test_while_nobody_has_said_what_serves_it_would_serve_at_once(settings: Settings, sample: Path) -> None:
    write_convolution_model(settings.model_stores[-1], "lamps")

    with pytest.raises(InvalidInput, match=r"stable: .*models promote lamps 1, got none: the newest serves"):
        models(settings, "quantize", "lamps", "--sample", sample)


def test_whole_numbers_are_not_made_of_whole_numbers(settings: Settings, sample: Path) -> None:
    quantized(settings, "lights", "--sample", sample)

    with pytest.raises(
        InvalidInput, match="floating-point numbers, such as 1, got version 2, which is in whole"
    ):
        models(settings, "quantize", "lights/2", "--sample", sample)


def test_what_gains_nothing_is_told_and_not_published(settings: Settings, sample: Path) -> None:
    done = models(settings, "import", FOREIGN_MODELS / "fashion_cnn.onnx", "--name", "tiny")
    assert done.exit_code == 0
    models(settings, "promote", "tiny", "1")
    for name, label in (("dark", "0"), ("bright", "1")):
        (sample / name).rename(sample / label)

    with pytest.raises(InvalidInput, match=r"^gain: .* got [\d.]+ instead of [\d.]+ µs$"):
        models(settings, "quantize", "tiny", "--sample", sample)

    assert numbers(settings, "tiny") == ["1"]


def test_what_answers_otherwise_is_refused(settings: Settings, tmp_path: Path) -> None:
    kernel = {"kernel": np.array([[0], [1]], np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "kernel"], ["y"])]
    file = write(model_of(nodes, [("x", [None, 2])], [("y", [None, 1])], kernel), tmp_path / "a.onnx")
    rows = tmp_path / "rows.csv"
    # Both columns get the same 256 numbers, between which all of the second one lies.
    rows.write_text("a,b,c\n" + "".join(f"{place * 1e6},{place % 7},{place % 7}\n" for place in range(COUNT)))
    models(settings, "import", file, "--name", "sums", "--task", "tabular_regression", "--features", "a,b")
    models(settings, "promote", "sums", "1")

    with pytest.raises(
        InvalidInput, match=r"^parity: .* version 1, but for 15%, got numbers 1\d\d\.\d% of their spread"
    ):
        models(settings, "quantize", "sums", "--sample", rows, "--target", "c")


def test_what_keras_runs_is_refused(settings: Settings) -> None:
    write_table_model(settings.model_stores[-1], runner="keras")

    with pytest.raises(InvalidInput, match="a version that ONNX Runtime runs, got one that keras runs"):
        models(settings, "quantize", "table", "--stored", "50")


def test_a_graph_without_products_has_nothing_to_gain(settings: Settings, tmp_path: Path) -> None:
    write_table_model(settings.model_stores[-1])
    models(settings, "promote", "table", "1")
    rows = tmp_path / "rows.csv"
    rows.write_text("index,weight,outcome\n" + "3,7,no\n" * COUNT)

    with pytest.raises(InvalidInput, match="one without: there is nothing to gain"):
        models(settings, "quantize", "table", "--sample", rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("length,size\n1,2\n", "columns length, width, got length, size"),
        ("length,width\n1,two\n", "sample line 2, width: expected a number"),
        ("", "sample: expected"),
    ],
)
def test_a_sample_of_something_else_is_refused(
    settings: Settings, tmp_path: Path, text: str, message: str
) -> None:
    write_quantity_model(settings.model_stores[-1])
    models(settings, "promote", "area", "1")
    rows = tmp_path / "rows.csv"
    rows.write_text(text)

    with pytest.raises(InvalidInput, match=message):
        models(settings, "quantize", "area", "--sample", rows)


def test_rows_for_pictures_and_pictures_for_rows_are_refused(
    settings: Settings, tmp_path: Path, sample: Path
) -> None:
    write_quantity_model(settings.model_stores[-1])
    models(settings, "promote", "area", "1")
    rows = tmp_path / "rows.csv"
    rows.write_text("length,width\n1,2\n")

    with pytest.raises(InvalidInput, match="this model takes images, got a table"):
        models(settings, "quantize", "lights", "--sample", rows)
    with pytest.raises(InvalidInput, match="this model takes no images, got a folder of images"):
        models(settings, "quantize", "area", "--sample", sample)


def test_labels_that_the_model_does_not_know_are_refused(settings: Settings, sample: Path) -> None:
    (sample / "dark").rename(sample / "gloomy")

    with pytest.raises(InvalidInput, match=r"target, item 21 of the sample: .* got \"gloomy\""):
        models(settings, "quantize", "lights", "--sample", sample)

    assert numbers(settings) == ["1"]


def test_damaged_files_are_not_read(settings: Settings, sample: Path) -> None:
    file = settings.model_stores[-1] / "lights" / "1" / "model.onnx"
    file.write_bytes(file.read_bytes() + b" ")

    with pytest.raises(BrokenVersion, match=r"model\.onnx has SHA-256"):
        models(settings, "quantize", "lights", "--sample", sample)


def test_a_store_that_cannot_be_written_is_told(settings: Settings, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    broken = read_settings(
        {
            "STATE_DIR": str(settings.state_dir),
            "MORE_MODELS": str(settings.model_stores[-1]),
            "MODEL_STORE": str(tmp_path / "file" / "models"),
        }
    )

    with pytest.raises(StoreNotWritable):
        models(broken, "quantize", "lights", "--sample", sample)


WITHOUT_ONNX = f"""#!{sys.executable}
import runpy, sys
sys.modules["onnx"] = None
runpy.run_module(sys.argv[3], run_name="__main__")
"""


def test_a_python_without_onnx_is_told(settings: Settings, sample: Path, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(WITHOUT_ONNX)
    program.chmod(0o755)
    told = {"STATE_DIR": str(settings.state_dir), "IMPORT_PYTHON": str(program)}

    with pytest.raises(
        ImportFailed, match=r"has no package onnx; requirements\.txt and requirements/training\.txt"
    ):
        models(read_settings(told), "quantize", "lights", "--sample", sample)
