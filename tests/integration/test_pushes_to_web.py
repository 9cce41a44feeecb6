"""The web process alone, as an instance runs it, takes pushes of models as the whole service does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from testing.celeriac import Celeriac
from testing.model_repository import ModelRepository

IRIS = Path(__file__).parents[2] / "examples/iris.onnx"
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class WebAlone(Celeriac):
    """Without a broker it has a worker inside."""

    command = "web"


def test_what_is_pushed_to_a_web_process_that_runs_alone_serves(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path)
    web = WebAlone(tmp_path, MODELS_REPOSITORY=str(tmp_path / "state" / "models.git"))
    try:
        web.start()
        clone = repository.clone("clone")
        (clone.folder / "iris").mkdir()
        shutil.copy(IRIS, clone.folder / "iris")
        clone.commit("Tell irises apart")
        pushed = clone.push()

        assert pushed.code == 0, pushed.said
        answer = web.web.post("/v1/models/iris:predict", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
        assert answer.status_code == 200, answer.text
    finally:
        web.close()
