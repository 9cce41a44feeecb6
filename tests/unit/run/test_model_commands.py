"""`models` on the command line: the whole way of a file into a version, in the processes that users get."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from onnx import helper

from production_server.errors import GateClosed, ImportFailed, InvalidInput, SettingsError
from production_server.inference import Engine
from production_server.models.images import as_png
from production_server.models.manifest import Manifest, read_manifest
from production_server.models.registry import Registry
from production_server.models.tensors import only
from production_server.run.model_commands import model_commands
from production_server.settings import Settings, read_settings
from production_server.storage.locations import Location
from testing.foreign_graphs import FOREIGN_MODELS, dense, model_of, write


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"STATE_DIR": str(tmp_path / "state"), "GATE_LATENCY": "1000"})


def models(settings: Settings, *arguments: str | Path) -> Result:
    return CliRunner().invoke(model_commands, list(map(str, arguments)), obj=settings, catch_exceptions=False)


def imported(
    settings: Settings, file: Path | str, *arguments: str | Path, name: str = "mine"
) -> dict[str, Any]:
    done = models(settings, "import", file, "--name", name, "--json", *arguments)
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def manifest_of(told: dict[str, Any]) -> Manifest:
    return read_manifest(Path(told["folder"]))


def answers(settings: Settings, inputs: np.ndarray, *, name: str = "mine") -> np.ndarray:
    engine = Engine(Registry(settings.model_stores), threads=1)
    version = Registry(settings.model_stores).resolve(name)
    try:
        given = {version.manifest.inputs[0].name: inputs}
        return only(engine.run(*version.key, given, max_pixels=10_000).values)
    finally:
        engine.close()


IRIS = "sepal length,sepal width,petal length,petal width,species\n5.1,3.5,1.4,0.2,setosa\n6.7,3.0,5.2,2.3,virginica\n"


def test_a_scikit_learn_pipeline_serves_with_the_names_and_ranges_of_its_sample(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text(IRIS)

    told = imported(
        settings,
        FOREIGN_MODELS / "iris_pipeline.onnx",
        "--sample",
        tmp_path / "rows.csv",
        "--target",
        "species",
    )

    manifest = manifest_of(told)
    assert (manifest.task, manifest.labels) == (
        "tabular_classification",
        ("setosa", "versicolor", "virginica"),
    )
    assert [each.name for each in manifest.features] == [
        "sepal_length",
        "sepal_width",
        "petal_length",
        "petal_width",
    ]
    assert (manifest.features[0].minimum, manifest.features[0].maximum) == (5.1, 6.7)
    assert manifest.target == "species"
    assert manifest.parity is not None and manifest.source is not None
    assert (manifest.parity.drawn, manifest.parity.inputs, manifest.parity.original) == (
        "real",
        2,
        "plain_graph",
    )
    assert (manifest.source.file, manifest.source.format) == ("iris_pipeline.onnx", "onnx")
    found = answers(settings, np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32))
    assert found.argmax(axis=1).tolist() == [0, 2]


def test_columns_of_a_data_frame_are_served_as_one_row(settings: Settings) -> None:
    told = imported(settings, FOREIGN_MODELS / "iris_columns.onnx")

    rows = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)
    session = onnxruntime.InferenceSession(FOREIGN_MODELS / "iris_columns.onnx")
    columns = {each.name: rows[:, place : place + 1] for place, each in enumerate(session.get_inputs())}
    maps = session.run(None, columns)[1]
    assert [each.name for each in manifest_of(told).features] == list(columns)
    assert np.allclose(answers(settings, rows), [list(each.values()) for each in maps], atol=1e-6)


@pytest.mark.parametrize("sent_as", ["folder", "zip of the folder", "zip of what is in it"])
def test_a_pytorch_network_serves_pictures_as_the_labels_of_its_sample(
    settings: Settings, tmp_path: Path, sent_as: str
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (10, 28, 28), np.uint8)
    for place, picture in enumerate(pixels):
        folder = tmp_path / "pictures" / f"kind {place}"
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(as_png(picture))

    sample = tmp_path / "pictures"
    if sent_as != "folder":
        root = tmp_path if sent_as == "zip of the folder" else sample
        files = [path for path in sample.rglob("*") if path.is_file()]
        sample = tmp_path / "pictures.zip"
        with zipfile.ZipFile(sample, "w") as archive:
            for path in files:
                archive.write(path, path.relative_to(root))
                archive.writestr(f"__MACOSX/{path.relative_to(root).parent}/._a.png", b"none")
                archive.writestr(f"{path.relative_to(root).parent}/.DS_Store.png", b"none")

    told = imported(settings, FOREIGN_MODELS / "fashion_cnn.onnx", "--sample", sample)

    assert not list((settings.model_stores[-1] / "mine").glob(".draft-*"))
    manifest = manifest_of(told)
    session = onnxruntime.InferenceSession(FOREIGN_MODELS / "fashion_cnn.onnx")
    scaled = pixels.astype(np.float32)[..., None] / 255
    logits = session.run(None, {"pixels": scaled.transpose(0, 3, 1, 2)})[0]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert manifest.task == "image_classification"
    assert manifest.labels[:2] == ("kind 0", "kind 1")
    assert np.allclose(answers(settings, scaled), powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def test_a_file_comes_from_where_it_lies(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "iris.onnx").write_bytes((FOREIGN_MODELS / "iris_pipeline.onnx").read_bytes())
    allowed = replace(settings, storage_allow=(Location.parse(f"file://{tmp_path}/in"),))

    told = imported(allowed, f"file://{tmp_path}/in/iris.onnx")

    source = manifest_of(told).source
    assert source is not None and source.file == "iris.onnx"
    assert not list((settings.model_stores[-1] / ".imports").glob(".draft-*"))
    with pytest.raises(InvalidInput, match="a place that STORAGE_ALLOW names"):
        imported(settings, f"file://{tmp_path}/in/iris.onnx")


@pytest.mark.parametrize("name", ["fashion_cnn_batch_of_1", "fashion_cnn_torchscript"])
def test_other_exports_of_the_network_answer_the_same(settings: Settings, name: str) -> None:
    imported(settings, FOREIGN_MODELS / "fashion_cnn.onnx")
    imported(settings, FOREIGN_MODELS / f"{name}.onnx", name="other")

    pictures = np.random.default_rng(1).random((4, 28, 28, 1), np.float32)
    assert np.allclose(answers(settings, pictures), answers(settings, pictures, name="other"), atol=1e-5)


def test_what_model_yaml_says_is_taken(settings: Settings, tmp_path: Path) -> None:
    file = write(dense("Softmax"), tmp_path / "a.onnx")
    (tmp_path / "classes.txt").write_text("no\nyes\nmaybe\n")
    (tmp_path / "model.yaml").write_text(
        "title: Mine\nlabels: classes.txt\ntop: 2\n"
        "features: [{name: age, unit: years, minimum: 0, maximum: 120}, b, c, {name: d, missing: 0}]\n"
    )

    manifest = manifest_of(imported(settings, file, "--title", "Yours"))

    assert (manifest.title, manifest.labels, manifest.top) == ("Yours", ("no", "yes", "maybe"), 2)
    assert (manifest.features[0].unit, manifest.features[0].maximum, manifest.features[3].missing) == (
        "years",
        120,
        0,
    )


def test_a_description_of_its_own_stands_above_that_of_the_folder(settings: Settings, tmp_path: Path) -> None:
    file = write(dense("Softmax"), tmp_path / "a_0.25.onnx")
    (tmp_path / "model.yaml").write_text("title: Everybody's\nlabels: [a, b, c]\n")
    assert manifest_of(imported(settings, file)).title == "Everybody's"

    (tmp_path / "a_0.25.yaml").write_text("title: Mine\n")

    manifest = manifest_of(imported(settings, file, name="other"))
    assert (manifest.title, manifest.labels[0]) == ("Mine", "class_0")


def test_one_sigmoid_becomes_two_labels(settings: Settings, tmp_path: Path) -> None:
    file = write(dense("Sigmoid", answers=1), tmp_path / "a.onnx")

    manifest = manifest_of(imported(settings, file, "--labels", "no,yes", "--threshold", "0.3"))

    rows = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    (shares,) = onnxruntime.InferenceSession(file).run(None, {"x": rows})
    assert manifest.threshold is not None and manifest.threshold.value == 0.3
    assert np.allclose(answers(settings, rows), np.concatenate([1 - shares, shares], axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "arguments", "told"),
    [
        (dense("Softmax"), ["--labels", "a,b"], "labels: expected 3, one for each number of the output y, got 2: a, b"),
        (dense("Softmax"), ["--labels", "a,b,a"], "labels: expected names that differ, got a more than once"),
        (dense("Softmax"), ["--features", "a,b"], "features: expected 4 columns, as the model takes, got 2: a, b"),
        (dense("Softmax"), ["--features", "a,b,a,c"], "features: expected names that differ, got a, b, a, c"),
        (dense("Softmax"), ["--threshold", "0.5"], "threshold: expected none"),
        (dense("Softmax"), ["--top", "3"], "top: expected fewer than all 3 labels, got 3"),
        (dense("Softmax"), ["--output", "z"], "output: expected one of y, got z"),
        (dense("Softmax"), ["--task", "image_classification"], "inputs.x: expected an image"),
        (dense("Sigmoid", answers=1), [], "labels: expected two names, that of 0 first, as labels"),
        (dense(None), [], "task: expected what its answers are: give labels"),
        (dense(None), ["--labels", "a,b,c", "--activation", "none"], None),
    ],
)  # fmt: skip
def test_what_is_missing_or_does_not_fit_is_asked_for_by_name(
    settings: Settings, tmp_path: Path, model: Any, arguments: list[str], told: str | None
) -> None:
    with pytest.raises(InvalidInput) as caught:
        imported(settings, write(model, tmp_path / "a.onnx"), *arguments)

    assert str(caught.value).startswith(told or "activation: expected probabilities")
    assert not list((tmp_path / "state").rglob("*")) or not list((tmp_path / "state" / "models").iterdir())


def test_a_fault_in_model_yaml_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("titel: Mine\nfeatures: [{name: a, minimum: 2, maximum: 1}]\n")

    with pytest.raises(InvalidInput) as caught:
        imported(settings, write(dense("Softmax"), tmp_path / "a.onnx"))

    assert [each.field for each in caught.value.faults] == [
        f"{tmp_path / 'model.yaml'}:2: features[0]", f"{tmp_path / 'model.yaml'}:1: titel",
    ]  # fmt: skip


def test_a_fault_in_an_option_is_not_looked_for_in_model_yaml(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("title: Mine\ntop: 0\n")

    with pytest.raises(InvalidInput) as caught:
        imported(settings, write(dense("Softmax"), tmp_path / "a.onnx"), "--threshold", "2")

    assert [each.field for each in caught.value.faults] == ["threshold", f"{tmp_path / 'model.yaml'}:2: top"]


def test_a_tag_in_model_yaml_is_not_passed_over(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("title: Mine\nlabels: !!set {a, b, c}\n")

    with pytest.raises(SettingsError, match=r"model\.yaml:2: .*the tag !!set"):
        imported(settings, write(dense("Softmax"), tmp_path / "a.onnx"))


def test_a_sample_that_holds_no_number_is_told_by_line_and_column(settings: Settings, tmp_path: Path) -> None:
    for cell in ("nan", "inf", "1e39"):
        (tmp_path / "rows.csv").write_text(f"{IRIS}5.1,{cell},1.4,0.2,setosa\n")

        with pytest.raises(InvalidInput) as caught:
            imported(
                settings, FOREIGN_MODELS / "iris_pipeline.onnx", "--sample", tmp_path / "rows.csv",
                "--target", "species",
            )  # fmt: skip

        (fault,) = caught.value.faults
        assert (fault.field, fault.expected) == ("sample line 4, sepal width", "a finite number")


def test_a_graph_that_wants_too_much_memory_says_how_much(settings: Settings, tmp_path: Path) -> None:
    """Four numbers become four times 4e10 of them, and are summed up again."""
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["column"]),
        helper.make_node("Expand", ["column", "shape"], ["wide"]),
        helper.make_node("ReduceMax", ["wide"], ["y"], axes=[2], keepdims=0),
    ]
    numbers = [
        helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values)
        for name, values in (("axis", [2]), ("shape", [1, 4, 40_000_000_000]))
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", onnx.TensorProto.FLOAT, ["n", 4])],
        [value("y", onnx.TensorProto.FLOAT, ["n", 4])], numbers,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    with pytest.raises(
        ImportFailed, match=r"IMPORT_MEMORY_BYTES\): its operation Expand asks for .* GB of memory at once"
    ):
        imported(settings, write(model, tmp_path / "a.onnx"), "--task", "tensors")


def test_a_name_that_exists_gets_the_next_version_if_clients_can_go_on(
    settings: Settings, tmp_path: Path
) -> None:
    file = write(dense("Softmax"), tmp_path / "a.onnx")
    imported(settings, file)
    assert imported(settings, file)["version"] == "2"

    with pytest.raises(GateClosed, match="got something else than version 2 has: labels"):
        imported(settings, file, "--labels", "a,b,c")

    assert imported(settings, file, "--labels", "a,b,c", "--breaking")["version"] == "3"
    assert json.loads(models(settings, "list", "--json").stdout)[-1]["versions"] == ["1", "2", "3"]


def test_what_the_gate_says_is_shown_and_kept(settings: Settings, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b,c,d,kind\n5.1,3.5,1.4,0.2,setosa\n6.2,2.9,4.3,1.3,versicolor\n")
    file = FOREIGN_MODELS / "iris_pipeline.onnx"
    sample = ("--sample", str(rows), "--target", "kind")
    first = imported(settings, file, *sample)
    assert {each["name"]: each["verdict"] for each in first["report"]["checks"]}["metrics"] == "not done"

    second = imported(settings, file, *sample)

    verdicts = {each["name"]: each["verdict"] for each in second["report"]["checks"]}
    assert (verdicts["signature"], verdicts["metrics"]) == ("passed", "passed")
    assert "error rate 0 instead of 0 on 2 items" in models(settings, "show", "mine").stdout


def test_labels_that_the_file_holds_keep_their_order_and_may_be_called_otherwise(settings: Settings) -> None:
    file = FOREIGN_MODELS / "iris_pipeline.onnx"

    with pytest.raises(
        InvalidInput, match=r"labels: expected the file's own order .setosa, versicolor, virginica"
    ):
        imported(settings, file, "--labels", "virginica,versicolor,setosa")

    told = imported(settings, file, "--labels", "a,b,c")
    assert (
        "Its labels are called otherwise than in the file: a for setosa, b for versicolor, c for virginica."
        in (told["notes"])
    )


def test_of_imports_one_after_another_each_is_told_to_serve(settings: Settings) -> None:
    file = FOREIGN_MODELS / "iris_pipeline.onnx"

    assert [imported(settings, file)["serves"] for _ in range(3)] == [True] * 3


def turning_at(limit: float) -> onnx.ModelProto:
    """Two answers, of which the second one is larger where the first of two numbers is above the limit."""
    constants = {
        "kernel": np.array([[0, 10], [0, 0]], np.float32),
        "bias": np.array([0, -10 * limit], np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "kernel", "bias"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    return model_of(nodes, [("x", [None, 2])], [("y", [None, 2])], constants)


def test_a_version_that_is_worse_comes_in_only_if_somebody_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b,kind\n1,2,x\n3,1,y\n2,2,x\n")
    arguments = ("--sample", str(rows), "--target", "kind", "--labels", "x,y")
    imported(settings, write(turning_at(2.5), tmp_path / "a.onnx"), *arguments)
    worse = write(turning_at(9), tmp_path / "b.onnx")

    with pytest.raises(GateClosed, match="metrics: expected at most"):
        imported(settings, worse, *arguments)
    assert json.loads(models(settings, "list", "--json").stdout)[-1]["versions"] == ["1"]

    assert imported(settings, worse, *arguments, "--despite", "metrics")["version"] == "2"


FILE = str(FOREIGN_MODELS / "iris_pipeline.onnx")
IMPORT = [sys.executable, "-m", "production_server", "models", "import", FILE, "--name", "mine"]
HANGS = f"""#!{sys.executable}
import sys
sys.stdin.readline()
print('{{"say": "half way"}}', flush=True)
sys.stdin.read()  # until whoever asks is gone
"""


def test_imports_at_once_of_one_name_get_a_number_each(settings: Settings) -> None:
    environment = os.environ | {"STATE_DIR": str(settings.state_dir)}
    running = [subprocess.Popen(IMPORT, env=environment) for _ in range(2)]

    assert [process.wait(60) for process in running] == [0, 0]
    versions = Registry(settings.model_stores).versions("mine")
    assert [each.manifest.version for each in versions] == ["1", "2"]
    for each in versions:
        each.verified_file("model.onnx")


def test_an_import_that_is_killed_in_the_middle_leaves_nothing_to_the_next(
    settings: Settings, tmp_path: Path
) -> None:
    hanging = tmp_path / "python"
    hanging.write_text(HANGS)
    hanging.chmod(0o755)
    environment = os.environ | {"STATE_DIR": str(settings.state_dir), "IMPORT_PYTHON": str(hanging)}
    with subprocess.Popen(IMPORT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "half way\n"
        process.kill()
    assert "mine" not in Registry(settings.model_stores).model_names()

    told = imported(settings, FOREIGN_MODELS / "iris_pipeline.onnx")

    assert [path.name for path in Path(told["folder"]).parent.iterdir()] == ["1"]


def test_a_dry_run_does_all_and_publishes_nothing(settings: Settings) -> None:
    told = imported(settings, FOREIGN_MODELS / "iris_pipeline.onnx", "--dry-run")

    assert told["version"] is None
    assert told["manifest"]["parity"]["inputs"] == 1000
    assert "mine" not in Registry(settings.model_stores).model_names()


def test_show_tells_where_a_version_comes_from(settings: Settings) -> None:
    imported(settings, FOREIGN_MODELS / "iris_pipeline.onnx")

    told = models(settings, "show", "mine").output

    assert "iris_pipeline.onnx (skl2onnx 1.20.0, opset 21)" in told
    assert "on 1,000 random inputs" in told


def test_a_name_that_no_model_can_have_is_refused(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="name: expected small letters"):
        imported(settings, FOREIGN_MODELS / "iris_pipeline.onnx", name="../Mine")


def test_a_model_that_takes_no_negative_numbers_needs_ranges(settings: Settings, tmp_path: Path) -> None:
    logarithm = model_of(
        [helper.make_node("Log", ["x"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)],
        [("x", [None, 2])], [("y", [None, 2])],
    )  # fmt: skip
    file = write(logarithm, tmp_path / "a.onnx")

    with pytest.raises(
        InvalidInput, match="edges: expected finite answers for 1,000 random inputs: where such values"
    ):
        imported(settings, file)

    ranges = "[{name: a, minimum: 1, maximum: 9}, {name: b, minimum: 1, maximum: 9}]"
    (tmp_path / "model.yaml").write_text(f"features: {ranges}\n")
    assert imported(settings, file)["version"] == "1"


def test_answers_that_are_no_numbers_are_refused(settings: Settings, tmp_path: Path) -> None:
    undefined = model_of(
        [helper.make_node("Div", ["x", "x"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)],
        [("x", [None, 3])], [("y", [None, 3])],
    )  # fmt: skip

    with pytest.raises(InvalidInput, match="edges: expected finite answers"):
        imported(settings, write(undefined, tmp_path / "a.onnx"), "--features", "a,b,c", "--labels", "a,b,c")
