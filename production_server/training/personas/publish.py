"""Use case: the latest classifier of personas in, a version of it as a Keras model out, which judges as the service."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import layers

from production_server.learning.persona_means import judge
from production_server.models import manifest as card
from production_server.models.drafts import draft_version
from production_server.training.errors import ExportError
from production_server.training.export import FEWEST_INPUTS, declare, export_model
from production_server.training.gate_check import pass_gate
from production_server.training.revision import code_revision

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from production_server.learning.persona_means import PersonaMeans
    from production_server.learning.report import CheckName
    from production_server.training.personas.learnt import Learnt
    from production_server.training.progress import Reporter

PERSONAS_FILE = "personas.json"
LARGEST_DIFFERENCE = 1e-4
"""Between probabilities: a cosine's last digits are multiplied by a scale of 60 and more."""


def publish_personas(
    learnt: Learnt, *, name: str, store: Path, reporter: Reporter, allowed: Collection[CheckName] = ()
) -> Path:
    """Build, export, compare and publish; returns the new version's folder. Nothing is trained.

    Raises:
        TrainingError: the model does not judge as the service does, or the store cannot be written.
        GateClosed: it fails a check of the gate that is not `allowed`.
    """
    model = build(learnt.means)
    check_judges_alike(model, learnt)
    signature = declare(model, "embedding")
    with draft_version(store, name) as draft:
        count = len(learnt.embeddings)
        reporter.say(f"Exporting {name} version {draft.version}, comparing on {count} faces")
        parity = export_model(
            model,
            draft.folder,
            signature,
            learnt.embeddings,
            fewest=min(count, FEWEST_INPUTS),
            allowed=LARGEST_DIFFERENCE,
        )
        reporter.say(f"Keras and ONNX Runtime differ by at most {parity.max_abs_difference:.1e}")
        _write_told(learnt, draft.folder / PERSONAS_FILE)
        manifest = card.Manifest(
            schema_version=1,
            name=name,
            version=draft.version,
            title=f"Personas by {learnt.embedder.model}/{learnt.embedder.version}",
            description=(
                f"How likely a face is each of {len(learnt.means.personas)} personas, by its embedding. "
                f"{PERSONAS_FILE} has their ids, and from which probability on a face has a name."
            ),
            created=datetime.now(UTC).replace(microsecond=0),
            task="tensors",
            inputs=signature.inputs,
            outputs=signature.outputs,
            metrics=None,
            training_data=(),
            code_revision=code_revision(),
            parity=parity,
            files=draft.digests(),
        )
        return draft.publish(
            manifest, check=lambda folder: pass_gate(folder, store, allowed=allowed, reporter=reporter)
        )


def build(means: PersonaMeans) -> keras.Model:
    """The classifier as a network: an embedding float32 [n, 128] to a probability for each persona [n, personas].

    Each is sigmoid(scale × cosine + bias), with one scale and one bias for all personas.
    """
    taken = keras.Input((means.means.shape[1],), name="embedding", dtype="float32")
    cosines = layers.Dense(len(means.personas), use_bias=False, name="means")
    found = cosines(layers.UnitNormalization(name="length_1")(taken))
    found = layers.Rescaling(means.scale, offset=means.bias, name="scale_and_bias")(found)
    model = keras.Model(taken, layers.Activation("sigmoid", name="probabilities")(found), name="personas")
    cosines.set_weights([means.means.T])
    return model


def check_judges_alike(model: keras.Model, learnt: Learnt) -> None:
    """Whether real faces get the same names from the network as from the service's own classifier.

    Raises:
        ExportError: one does not.
    """
    means = learnt.means
    chances = np.asarray(model.predict(learnt.embeddings, batch_size=1024, verbose=0))
    least = means.probability(means.threshold)
    for place, verdict in enumerate(judge(means, learnt.embeddings)):
        best = int(chances[place].argmax())
        expected = means.probability(verdict.cosine)
        is_as_sure = abs(float(chances[place, best]) - expected) <= LARGEST_DIFFERENCE
        # At the threshold, and between two that are as near, the last digit decides.
        is_close = abs(expected - least) <= LARGEST_DIFFERENCE
        name = means.personas[best] if chances[place, best] >= least else None
        second = np.partition(chances[place], -2)[-2] if chances.shape[1] > 1 else -1.0
        is_tied = float(chances[place, best] - second) <= LARGEST_DIFFERENCE
        if not is_as_sure or (name != verdict.persona and not is_close and not is_tied):
            raise ExportError(
                f"face {place} of {len(chances)}: the network says {name} ({chances[place, best]:.4f}), "
                f"the service {verdict.persona} ({expected:.4f})"
            )


def _write_told(learnt: Learnt, path: Path) -> None:
    """Who the outputs are, by ids of personas; names are not written, so that what is deleted stays in no version."""
    means = learnt.means
    told = {
        "embedder": f"{learnt.embedder.model}/{learnt.embedder.version}",
        "classifier": learnt.number,
        "personas": [int(each) for each in means.personas],
        "least_cosine": means.threshold,
        "least_probability": means.probability(means.threshold),
    }
    path.write_text(json.dumps(told) + "\n", encoding="utf-8")
