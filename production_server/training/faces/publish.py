"""Use case: the networks of two published packages in, a version that finds faces and embeds them out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from production_server.models import manifest as card
from production_server.models.drafts import draft_version
from production_server.models.importing.keras_export import DoesNotExport, Signature, served_graph, write_onnx
from production_server.models.importing.keras_model import Original
from production_server.models.importing.parity import batches_of, compare
from production_server.models.manifest import ImagePreprocessing, TensorSpec
from production_server.models.runners.faces import FILES, OUTPUTS, PICTURE
from production_server.training.errors import ExportError
from production_server.training.export import FEWEST_INPUTS
from production_server.training.faces import networks, packages
from production_server.training.gate_check import pass_gate
from production_server.training.parity_inputs import gather
from production_server.training.revision import code_revision

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import keras
    import numpy as np

    from production_server.learning.report import CheckName
    from production_server.models.tensors import Tensors
    from production_server.training.progress import Reporter

NAME = "faces"
LARGEST_DIFFERENCE = 1e-4
"""Between Keras' and ONNX Runtime's numbers, which are about 1 at the most."""
COMPARED_ON = ImagePreprocessing(mode="RGB", width=150, height=150, scale=1.0)
DESCRIPTION = (
    "Where faces are in a picture, and for each 128 numbers that lie near to those of the same person. MTCNN's weights "
    "were learnt from WIDER FACE and CelebA, which are for research; dlib's author gave his to the public."
)


def publish_faces(
    photos: Path | None,
    *,
    name: str,
    store: Path,
    seed: int,
    reporter: Reporter,
    allowed: Collection[CheckName] = (),
) -> Path:
    """Read, export, compare and publish; returns the new version's folder. Nothing is trained.

    Raises:
        TrainingError: a package cannot be had, the export is not the network, or the store cannot be written.
        GateClosed: it fails a check of the gate that is not `allowed`.
    """
    package = packages.face_api(reporter)
    nets = _networks(package)
    inputs = gather(photos, COMPARED_ON, seed=seed, reporter=reporter)
    with draft_version(store, name) as draft:
        reporter.say(f"Exporting {name} version {draft.version}, comparing on {inputs.origin}")
        differences = [
            _export(net, draft.folder / file, batch)
            for net, file, batch in zip(nets, FILES, _batches(inputs.pixels[:FEWEST_INPUTS]), strict=True)
        ]
        parity = card.Parity(max_abs_difference=max(differences), inputs=min(len(inputs), FEWEST_INPUTS))
        reporter.say(f"Keras and ONNX Runtime differ by at most {parity.max_abs_difference:.1e}")
        manifest = card.Manifest(
            schema_version=1,
            name=name,
            version=draft.version,
            title="Faces: MTCNN and dlib's ResNet",
            description=DESCRIPTION,
            created=datetime.now(UTC).replace(microsecond=0),
            task="faces",
            inputs=(PICTURE,),
            outputs=OUTPUTS,
            metrics=None,
            training_data=(*packages.MTCNN_ORIGINS, packages.FACE_API.describe()),
            code_revision=code_revision(),
            parity=parity,
            runner="faces",
            files=draft.digests(),
        )
        return draft.publish(
            manifest, check=lambda folder: pass_gate(folder, store, allowed=allowed, reporter=reporter)
        )


def _networks(package: Path) -> list[keras.Model]:
    """In the order of the runner's files."""
    return [
        networks.proposal_net(packages.mtcnn_weights("pnet")),
        networks.refinement_net(packages.mtcnn_weights("rnet")),
        networks.output_net(packages.mtcnn_weights("onet")),
        networks.embedding_net(packages.embedding_weights(package)),
    ]


def _batches(pixels: np.ndarray) -> Sequence[np.ndarray]:
    """What each network is compared on: uint8 [n, 150, 150, 3] as it takes them."""
    normalized = (pixels.astype("float32") - 127.5) / 128
    return normalized, normalized[:, :24, :24], normalized[:, :48, :48], pixels.astype("float32")


def _export(model: keras.Model, path: Path, inputs: np.ndarray) -> float:
    """Write the network, and say how far ONNX Runtime's numbers are from Keras' at the most.

    Raises:
        ExportError: it does not export, or they are too far apart.
    """
    signature = Signature((_spec(model.input),), tuple(map(_spec, model.outputs)))
    try:
        write_onnx(model, path, signature)
        served = served_graph(path, signature)
    except DoesNotExport as exc:
        raise ExportError(f"{path.name}: {exc}") from exc
    (taken,) = signature.inputs
    batches = batches_of(cast("Tensors", {taken.name: inputs}), signature.inputs)
    found = compare(Original(model, signature), served, batches, signature.outputs)
    if not found.is_within(LARGEST_DIFFERENCE):
        raise ExportError(
            f"{path.name}: the answers differ from Keras' by up to {found.difference:.1e} "
            f"(allowed: {LARGEST_DIFFERENCE:.0e})"
        )
    return found.difference


def _spec(tensor: keras.KerasTensor) -> TensorSpec:
    return TensorSpec(name=tensor.name, shape=(None, *tensor.shape[1:]), dtype="float32")
