"""The requirement sets agree with pyproject.toml, with each other, and with any mirror."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import grimp
import pytest

from production_server.storage.extras import PACKAGES

ROOT = Path(__file__).parents[2]
SETS = {
    "serving": ROOT / "requirements.txt",
    **{
        name: ROOT / "requirements" / f"{name}.txt"
        for name in (
            "serving-gs",
            "serving-az",
            "serving-kafka",
            "serving-pubsub",
            "client",
            "client-notify",
            "client-streams",
            "launcher",
            "training",
            "development",
        )
    },
}
# In two parts, for this file must not name them either.
REGISTRY_HOSTS = [
    f"{name}.{domain}"
    for name, domain in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("anaconda", "org"),
    )
]

TRAINING_RUNS = (
    "production_server.training.__main__",
    "production_server.models.importing.__main__",
    "production_server.learning.probe",
)
"""What runs in the environment of training."""
PEERS = {f"peer-{path.stem}": path for path in (ROOT / "requirements" / "peers").glob("*.txt")}
"""Environments of their own: they agree with the others in nothing but the engine."""


def wanted(name: str) -> set[str]:
    """The packages that pyproject.toml asks for directly."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    serving, *extras = name.split("-")
    if serving == "serving":
        needed = [project["project"]["optional-dependencies"][extra] for extra in extras]
        return _names(project["project"]["dependencies"]).union(*map(_names, needed))
    groups: dict[str, list[Any]] = project["dependency-groups"]
    included = [each["include-group"] for each in groups[name] if isinstance(each, dict)]
    own = _names([each for each in groups[name] if isinstance(each, str)])
    return own.union(*(wanted(group) for group in included))


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;! ]", requirement)[0].lower() for requirement in requirements}


def pinned(path: Path) -> dict[str, set[str]]:
    """The versions of each package in a compiled set: more than one if they differ by Python version."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9_.-]+)(?:\[\S+\])?==(\S+)", path.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("name", SETS | PEERS)
def test_a_compiled_set_holds_what_pyproject_asks_for(name: str) -> None:
    assert wanted(name) <= pinned((SETS | PEERS)[name]).keys()


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_measured_with_the_engine_that_serves(name: str) -> None:
    assert pinned(PEERS[name])["onnxruntime"] == pinned(SETS["serving"])["onnxruntime"]


@pytest.mark.parametrize("name", SETS)
def test_all_sets_agree_on_versions(name: str) -> None:
    everything = pinned(SETS["development"])

    assert {package: everything[package] for package in pinned(SETS[name])} == pinned(SETS[name])


@pytest.mark.parametrize("name", SETS | PEERS)
def test_every_package_is_pinned_by_its_hashes(name: str) -> None:
    for block in re.split(r"\n(?=[a-z])", (SETS | PEERS)[name].read_text())[1:]:
        assert "--hash=sha256:" in block


@pytest.mark.parametrize("name", [name for name in SETS if name.startswith("serving")])
def test_a_serving_machine_installs_no_tensorflow(name: str) -> None:
    assert not pinned(SETS[name]).keys() & {"tensorflow", "tensorflow-cpu", "keras"}


def test_a_serving_machine_installs_extras_only_where_it_is_asked_to() -> None:
    extras = {*PACKAGES.values(), "confluent-kafka", "google-cloud-pubsub"}

    assert not pinned(SETS["serving"]).keys() & extras


def test_the_development_set_has_all_extras() -> None:
    assert wanted("serving-gs-az-kafka-pubsub") <= pinned(SETS["development"]).keys()


def test_the_training_set_holds_what_trains_and_what_reads_files() -> None:
    graph = grimp.build_graph("production_server", include_external_packages=True)
    modules = set(TRAINING_RUNS).union(*map(graph.find_upstream_modules, TRAINING_RUNS))
    # Buckets are left to whoever started it.
    own = {each for each in modules if re.match(r"production_server\.(?!storage\b)", each)}
    imported = {
        name.partition(".")[0] for each in own for name in graph.find_modules_directly_imported_by(each)
    }
    packages = imported - {"production_server"} - sys.stdlib_module_names
    providers = importlib.metadata.packages_distributions()

    held = pinned(SETS["training"]).keys()
    lacking = {
        package
        for package in packages
        if not {name.lower().replace("_", "-") for name in providers[package]} & held
    }

    assert "onnxruntime" in packages
    assert lacking == set()


def test_no_tracked_file_names_a_package_registry() -> None:
    pattern = "|".join(re.escape(host) for host in REGISTRY_HOSTS)

    found = subprocess.run(
        ["git", "grep", "--cached", "-IlE", pattern], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (found.returncode, found.stdout) == (1, "")
