"""Files that the installed Keras and TensorFlow write, all the way into versions that are loaded and answer."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.core.protobuf import saved_model_pb2

from production_server.errors import InferenceFailed, InvalidInput, TooLarge
from production_server.models.importing.described import Described
from production_server.models.importing.formats import SAVED_MODEL_FILE
from production_server.models.importing.importer import Imported
from production_server.models.loaded import LoadedVersions
from production_server.models.store import ModelVersion
from production_server.models.tensors import Tensors, only
from testing.foreign_models.keras3 import classifier, of_rows_and_image
from testing.importing import import_here

pytestmark = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore"),
]  # inside Keras, TensorFlow and tf2onnx

ROWS = np.random.default_rng(1).standard_normal((7, 4)).astype(np.float32)
SHIFT = np.array([1, 2, 3, 4], np.float32)
IMAGES = np.random.default_rng(2).random((7, 8, 8, 1), np.float32)


@pytest.fixture
def imports(tmp_path: Path) -> Callable[..., tuple[ModelVersion, Imported]]:
    return partial(import_here, tmp_path / "store")


def answers(version: ModelVersion, inputs: Tensors) -> Tensors:
    """What a worker gets."""
    loaded = LoadedVersions(threads=1)
    try:
        with loaded.use(version) as runner:
            return runner.run(inputs)
    finally:
        loaded.close()


def assert_is_served(version: ModelVersion, runner: str, largest: float = 1e-5) -> None:
    parity = version.manifest.parity
    assert version.manifest.runner == runner
    assert parity is not None and parity.max_abs_difference <= largest and parity.inputs > 7
    assert (parity.original, parity.drawn) == ("keras", "random")


def test_rows_and_an_image_come_in_as_tensors(imports: Any, tmp_path: Path) -> None:
    model = of_rows_and_image()
    model.save(tmp_path / "model.keras")

    version, _ = imports(tmp_path / "model.keras")

    assert_is_served(version, "onnx")
    assert version.manifest.task == "tensors"
    assert [each.name for each in version.manifest.inputs] == ["rows", "image"]
    found = answers(version, {"image": IMAGES, "rows": ROWS})
    assert found["kind"] == pytest.approx(model.predict([ROWS, IMAGES], verbose=0), abs=1e-5)


def test_rows_and_an_image_are_no_classification_though_their_answer_is(imports: Any, tmp_path: Path) -> None:
    of_rows_and_image().save(tmp_path / "model.keras")

    with pytest.raises(InvalidInput, match="task: expected tensors: neither rows nor images go in"):
        imports(tmp_path / "model.keras", Described(task="tabular_classification"))


def test_inputs_and_outputs_by_name_keep_their_names_and_order(imports: Any, tmp_path: Path) -> None:
    """Keras sorts a dictionary by its keys, whatever order it was written in."""
    second, first = keras.Input((4,), name="b"), keras.Input((2,), name="a")
    summed = layers.Dense(1, name="last")(second)
    model = keras.Model({"b": second, "a": first}, {"z": summed, "y": layers.Dense(2, name="first")(first)})
    model.save(tmp_path / "model.keras")

    version, _ = imports(tmp_path / "model.keras")

    given = {"a": ROWS[:, :2], "b": ROWS}
    found, expected = answers(version, given), model.predict(given, verbose=0)
    assert {name: value.shape for name, value in found.items()} == {"y": (7, 2), "z": (7, 1)}
    for name in ("y", "z"):
        assert found[name] == pytest.approx(expected[name], abs=1e-5)


def test_a_model_that_does_not_export_is_run_by_keras_and_it_is_said(imports: Any, tmp_path: Path) -> None:
    """tf2onnx has no Expm1, which celu needs."""
    model = classifier("celu")
    model.save(tmp_path / "model.keras")

    version, imported = imports(tmp_path / "model.keras", Described(labels=("a", "b", "c")))

    assert_is_served(version, "keras")
    assert version.manifest.task == "tabular_classification"
    assert [path.name for path in sorted(version.folder.iterdir())] == ["manifest.json", "model.keras"]
    assert any("is run by Keras: No Op registered for Expm1" in note for note in imported.notes)
    found = answers(version, {"rows": ROWS})
    assert only(found) == pytest.approx(model.predict(ROWS, verbose=0), abs=1e-6)


def test_a_batch_of_one_size_becomes_one_of_any_and_it_is_said(imports: Any, tmp_path: Path) -> None:
    rows = keras.Input(batch_shape=(2, 4), name="rows")
    model = keras.Model(rows, layers.Dense(3, activation="softmax")(rows))
    model.save(tmp_path / "model.keras")

    version, imported = imports(tmp_path / "model.keras")

    assert any("took batches of 2; it takes any now" in note for note in imported.notes)
    found = only(answers(version, {"rows": ROWS}))
    assert found[:6] == pytest.approx(np.concatenate([model(ROWS[n : n + 2]) for n in (0, 2, 4)]), abs=1e-5)


def test_answers_that_hang_on_the_size_of_the_batch_are_refused(imports: Any, tmp_path: Path) -> None:
    rows = keras.Input(batch_shape=(2, 4), name="rows")
    model = keras.Model(rows, layers.Dense(3)(keras.ops.reshape(rows, (1, 8))))
    model.save(tmp_path / "model.keras")

    with pytest.raises(InvalidInput, match=r"outputs\.dense\w*: expected a tensor of items"):
        imports(tmp_path / "model.keras", Described(task="tensors"))


def test_answers_that_hang_on_the_rest_of_the_batch_are_refused(imports: Any, tmp_path: Path) -> None:
    rows = keras.Input((4,), name="rows")
    model = keras.Model(rows, layers.Dense(3)(rows - keras.ops.mean(rows, axis=0, keepdims=True)))
    model.save(tmp_path / "model.keras")

    with pytest.raises(
        InvalidInput, match=r"outputs\.dense\w*: expected an answer that depends on its own item alone"
    ):
        imports(tmp_path / "model.keras", Described(task="tensors"))


def test_a_model_that_fails_on_what_it_declares_is_told_in_a_sentence(imports: Any, tmp_path: Path) -> None:
    """Places that no item has."""
    words = keras.Input((3,), dtype="int32", name="words")
    found = keras.ops.take_along_axis(
        layers.Dense(2)(layers.Embedding(4, 2)(words)), words[:, :, None] + 9, axis=1
    )
    keras.Model(words, layers.Flatten()(found)).save(tmp_path / "model.keras")

    with pytest.raises(InferenceFailed, match=r"^the original failed: [^\x1b]*= 9 is not in[^\x1b]*$"):
        imports(tmp_path / "model.keras", Described(task="tensors"))


def saved_for_batches_of(size: int, compute: Callable[[Any], Any], folder: Path) -> Path:
    """A SavedModel whose signature takes so many rows, and no other number."""

    class Fixed(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3) / 10)

        @tf.function(input_signature=[tf.TensorSpec([size, 4], tf.float32, name="rows")])  # type: ignore[untyped-decorator]
        def serve(self, rows: Any) -> dict[str, Any]:
            return {"answers": compute(tf.matmul(rows, self.weights))}

    module = Fixed()
    tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
    return folder


@pytest.mark.parametrize("size", [1, 3])
def test_a_saved_model_for_a_fixed_batch_is_made_to_take_any(imports: Any, tmp_path: Path, size: int) -> None:
    """Seven rows: of three at a time the last ones fill no batch."""
    saved = saved_for_batches_of(size, lambda rows: tf.reshape(rows, [size, 3, 1]), tmp_path / "saved")

    version, imported = imports(saved, Described(task="tensors"))

    assert_is_served(version, "onnx")
    assert any("it answers the same in batches of any size" in note for note in imported.notes)
    expected = (ROWS @ (np.arange(12, dtype=np.float32).reshape(4, 3) / 10))[:, :, None]
    assert np.allclose(answers(version, {"rows": ROWS})["answers"], expected, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3])
def test_a_saved_model_whose_answers_hang_on_its_batch_is_refused(
    imports: Any, tmp_path: Path, size: int
) -> None:
    saved = saved_for_batches_of(
        size, lambda rows: rows - tf.reduce_mean(rows, axis=0, keepdims=True), tmp_path / "saved"
    )

    with pytest.raises(InvalidInput, match="answers otherwise in larger batches") as caught:
        imports(saved, Described(task="tensors"))

    assert caught.value.faults[0].field == "inputs"


def test_words_are_looked_up_by_keras(imports: Any, tmp_path: Path) -> None:
    words = layers.TextVectorization(vocabulary=["good", "bad"], output_sequence_length=3)
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="string", name="text"),
            words,
            layers.Embedding(4, 2),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.save(tmp_path / "model.keras")

    version, _ = imports(tmp_path / "model.keras")

    assert_is_served(version, "keras")
    texts = np.array([["a good one"], ["bad"], [""]], object)
    found = only(answers(version, {"text": texts}))
    assert found == pytest.approx(model(tf.constant(texts.tolist())).numpy(), abs=1e-6)
    assert len(set(found.ravel().tolist())) == 3


@pytest.mark.parametrize("keras_version", [3, 2])
def test_an_architecture_with_its_weights(imports: Any, tmp_path: Path, keras_version: int) -> None:
    model = classifier()
    architecture, weights = tmp_path / "model.json", tmp_path / "model.weights.h5"
    architecture.write_text(model.to_json())
    if keras_version == 3:
        model.save_weights(weights)
    else:
        weights = tmp_path / "model.h5"
        model.save(weights)

    version, _ = imports(architecture, weights=weights)

    assert_is_served(version, "onnx")
    assert only(answers(version, {"rows": ROWS})) == pytest.approx(model.predict(ROWS, verbose=0), abs=1e-5)
    listed = sorted(
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in (architecture, weights)
    )
    lines = "".join(f"{digest}  {name}\n" for name, digest in listed)
    source = version.manifest.source
    assert source is not None
    assert (source.format, source.producer) == ("keras_json", "keras 3")
    assert source.sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_weights_of_keras_3_that_are_another_models_are_refused(imports: Any, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(classifier().to_json())
    of_rows_and_image().save_weights(tmp_path / "other.weights.h5")

    with pytest.raises(InvalidInput, match="weights: expected those of the model, got "):
        imports(tmp_path / "model.json", weights=tmp_path / "other.weights.h5")


class Shifted(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Two signatures, of which neither is the default one."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = tf.Variable(SHIFT)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="rows")])  # type: ignore[untyped-decorator]
    def shifted(self, rows: Any) -> dict[str, Any]:
        return {"shifted": rows + self.shift}

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="rows")])  # type: ignore[untyped-decorator]
    def total(self, rows: Any) -> dict[str, Any]:
        return {"total": tf.reduce_sum(rows + self.shift, axis=1, keepdims=True)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A SavedModel by `tf.saved_model.save`."""
    module, folder = Shifted(), tmp_path / "saved"
    tf.saved_model.save(module, folder, signatures={"shift": module.shifted, "sum": module.total})
    return folder


def zipped(folder: Path, *, inside: str = ".") -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder.parent if inside != "." else folder, inside))


@pytest.mark.parametrize("is_zip", [False, True])
def test_a_saved_model_by_keras(imports: Any, tmp_path: Path, is_zip: bool) -> None:
    model = classifier()
    folder = tmp_path / "exported"
    model.export(folder, verbose=False)

    version, _ = imports(zipped(folder, inside="exported") if is_zip else folder)

    assert_is_served(version, "onnx")
    assert version.manifest.source is not None and version.manifest.source.format == "savedmodel"
    assert version.manifest.task == "tabular_classification"
    given = {version.manifest.inputs[0].name: ROWS}
    assert only(answers(version, given)) == pytest.approx(model.predict(ROWS, verbose=0), abs=1e-5)


def test_the_digest_of_a_saved_model_is_that_of_all_its_files(imports: Any, saved: Path) -> None:
    first, _ = imports(saved, Described(task="tensors"), signature="sum")
    (data,) = (saved / "variables").glob("*.data-*")
    shutil.copy(data, saved / "variables" / "copy")

    second, _ = imports(saved, Described(task="tensors"), signature="sum")

    assert first.manifest.source is not None and second.manifest.source is not None
    assert second.manifest.source.sha256 != first.manifest.source.sha256
    assert second.manifest.source.size_bytes - first.manifest.source.size_bytes == data.stat().st_size


@pytest.mark.parametrize(
    ("signature", "expected"),
    [("shift", ROWS + SHIFT), ("sum", (ROWS + SHIFT).sum(axis=1, keepdims=True))],
)
def test_a_signature_of_a_saved_model_is_served_by_its_name(
    imports: Any, saved: Path, signature: str, expected: np.ndarray
) -> None:
    version, _ = imports(saved, Described(task="tensors"), signature=signature)

    assert_is_served(version, "onnx")
    assert f"signature {signature}" in version.manifest.source.producer
    assert only(answers(version, {"rows": ROWS})) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("signature", [None, "other"])
def test_a_signature_has_to_be_named_where_there_are_several(
    imports: Any, saved: Path, signature: str | None
) -> None:
    with pytest.raises(InvalidInput, match=r"signature: expected one of shift, sum, got (None|other)"):
        imports(saved, signature=signature)


def test_an_archive_of_two_saved_models_is_refused(imports: Any, saved: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(saved, both / "a")
    shutil.copytree(saved, both / "b")

    with pytest.raises(InvalidInput, match="file: expected an archive of one SavedModel, got 2: a, b"):
        imports(zipped(both))


@pytest.mark.parametrize("name", ["../variables/x", "/tmp/x", "a\\..\\x"])
def test_a_path_out_of_the_archive_of_a_saved_model_is_refused(
    imports: Any, saved: Path, tmp_path: Path, name: str
) -> None:
    archive = zipped(saved)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, b"x")

    with pytest.raises(InvalidInput, match="file: expected an archive whose files stay in its folder"):
        imports(archive)


def test_an_archive_that_says_it_unpacks_to_gigabytes_is_refused(imports: Any, tmp_path: Path) -> None:
    """What is more than it says: tests of archives."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
        archive.writestr(SAVED_MODEL_FILE, b"")
        archive.getinfo(SAVED_MODEL_FILE).file_size = 2**32 + 1  # the directory is written at the end

    with pytest.raises(TooLarge, match="when it is unpacked"):
        imports(tmp_path / "bomb.zip")


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index"])
@pytest.mark.parametrize("length", [0, 40])
def test_a_saved_model_that_is_cut_off_is_refused(imports: Any, saved: Path, file: str, length: int) -> None:
    whole = (saved / file).read_bytes()
    (saved / file).write_bytes(whole[:length])

    with pytest.raises(InvalidInput, match=r"file: expected a (whole )?SavedModel"):
        imports(saved, signature="sum")


def test_a_saved_model_that_reads_files_is_refused(imports: Any, tmp_path: Path) -> None:
    class Reads(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def read(self, x: Any) -> dict[str, Any]:
            return {"y": x + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32)}

    module = Reads()
    tf.saved_model.save(module, tmp_path / "saved", signatures={"serving_default": module.read})

    with pytest.raises(InvalidInput, match=r"operations\.\w+: expected an operation that exports.*ReadFile"):
        imports(tmp_path / "saved")


def test_a_saved_model_with_a_table_or_a_file_of_words_is_refused(imports: Any, tmp_path: Path) -> None:
    """TensorFlow fills tables while it loads."""
    (tmp_path / "words.txt").write_text("a\nb\n")

    class Knows(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            values = tf.lookup.TextFileInitializer(
                str(tmp_path / "words.txt"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )  # fmt: skip
            self.table = tf.lookup.StaticHashTable(values, -1)

        @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.string, name="x")])  # type: ignore[untyped-decorator]
        def find(self, x: Any) -> dict[str, Any]:
            return {"y": self.table.lookup(x)}

    module = Knows()
    tf.saved_model.save(module, tmp_path / "saved", signatures={"serving_default": module.find})

    with pytest.raises(InvalidInput, match=r"file: expected a SavedModel without tables and files of words"):
        imports(tmp_path / "saved")


def test_a_saved_model_with_a_saver_of_its_own_is_refused(imports: Any, saved: Path) -> None:
    graph = saved_model_pb2.SavedModel.FromString((saved / SAVED_MODEL_FILE).read_bytes())
    graph.meta_graphs[0].object_graph_def.nodes[0].registered_saver = "mine"
    (saved / SAVED_MODEL_FILE).write_bytes(graph.SerializeToString())

    with pytest.raises(
        InvalidInput, match="file: expected variables that TensorFlow itself saved, got a saver"
    ):
        imports(saved, signature="sum")
