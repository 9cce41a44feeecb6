"""Training by this repository's own program for images: how it is run, and where it can be."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import production_server
from production_server.errors import Fault, SettingsError
from production_server.retraining.policies import DATA, MODEL, Policy
from production_server.settings import Settings


def command_of(settings: Settings, told: Path) -> tuple[str, ...]:
    """How the program is run, by the Python that has TensorFlow; `told` is the file with what it is told."""
    return (str(_python(settings)), "-P", "-m", "production_server.training.again", DATA, MODEL, str(told))


def environment() -> Mapping[str, str]:
    """What it finds in its environment beside what every command finds there."""
    return {
        "PYTHONPATH": str(Path(production_server.__file__).parents[1]),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Whether it may use a graphics card is the operator's to say.
        **{name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES",) if name in os.environ},
    }


def check_can_train(policies: Mapping[str, Policy], settings: Settings) -> None:
    """Whether this machine has what the policies train with.

    Raises:
        SettingsError: one wants TensorFlow, and no Python is named that may have it.
    """
    wants = sorted(model for model, policy in policies.items() if policy.train.images is not None)
    if wants and settings.import_python is None and find_spec("tensorflow") is None:
        expected = f"a Python with TensorFlow, by which {', '.join(wants)} can be trained (LEARNING_FILE: train.images)"
        raise SettingsError((Fault("IMPORT_PYTHON", expected, "nothing"),))


def _python(settings: Settings) -> Path:
    return settings.import_python or Path(sys.executable)
