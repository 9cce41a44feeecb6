"""What the server is asked about training runs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from client.answers import TrainingRun, TrainingRuns
from client.api import checked_id, checked_model

if TYPE_CHECKING:
    from client.api import Server

_PATH = "/api/training-runs"


class Trainings:
    """The training runs of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def begin(self, model: str) -> TrainingRun:
        """Have a model be trained again, now. A second try would be refused, because of the first."""
        return self._server.ask_once(TrainingRun, "POST", _PATH, json={"model": checked_model(model)})

    def all(self, *, model: str | None, limit: int) -> list[TrainingRun]:
        """Runs, newest first."""
        params: dict[str, str | int] = {"limit": limit}
        if model is not None:
            params["model"] = model
        return self._server.ask(TrainingRuns, "GET", _PATH, params=params).runs

    def run(self, run_id: str) -> TrainingRun:
        """One as it stands."""
        return self._server.ask(TrainingRun, "GET", _path(run_id))

    def cancel(self, run_id: str) -> TrainingRun:
        """Have one not go on."""
        return self._server.ask(TrainingRun, "DELETE", _path(run_id))

    def resume(self, run_id: str) -> TrainingRun:
        """Have one go on that failed or was cancelled."""
        return self._server.ask(TrainingRun, "POST", f"{_path(run_id)}/resume")

    def log(self, run_id: str) -> str:
        """The end of what its program has written."""
        written = io.BytesIO()
        self._server.save(f"{_path(run_id)}/log", written)
        return written.getvalue().decode(errors="replace")


def _path(run_id: str) -> str:
    return f"{_PATH}/{checked_id(run_id, of='training run')}"
