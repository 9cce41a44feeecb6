"""What the server is asked about labels."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, BinaryIO

from client.answers import (
    Decision,
    ImportedLabels,
    LabelProgress,
    LabelSet,
    LabelSetList,
    Question,
    QuestionList,
)
from client.api import checked_id, checked_model, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from client.api import Server
    from client.uploads import Upload


class Labels:
    """The labels of one model on a server. What is said is sent again where its answer is lost, and stored once."""

    def __init__(self, server: Server, model: str) -> None:
        self._server = server
        self.model = model
        self._path = f"/api/labels/{checked_model(model)}"

    def progress(self) -> LabelProgress:
        """How far it is."""
        return self._server.ask(LabelProgress, "GET", self._path)

    def next(self, *, order: str, count: int) -> list[Question]:
        """Questions for whoever has the key."""
        params = {"order": order, "count": count}
        return self._server.ask(QuestionList, "GET", f"{self._path}/next", params=params).questions

    def decide(self, job_id: str, index: int, *, kind: str, label: str | None, is_new: bool) -> Decision:
        """Say what an item is; without a label, what the model has answered."""
        about = {"job": str(checked_id(job_id, of="job")), "index": index, "kind": kind, "new": is_new}
        said = about if label is None else about | {"label": label}
        return self._server.ask(Decision, "POST", f"{self._path}/decisions", json=said, headers=_once())

    def undo(self) -> Decision:
        """Take back what was said last."""
        return self._server.ask(Decision, "DELETE", f"{self._path}/decisions/last", headers=_once())

    def export(self, file: str, into: BinaryIO, *, of_set: str | None) -> None:
        """Write labels into a file; `file` is what the server calls it, such as `labels.csv`."""
        self._server.save(f"{self._path}/{file}", into, params={} if of_set is None else {"set": of_set})

    def bring(self, upload: Upload, fields: Mapping[str, str]) -> ImportedLabels:
        """Send a file of labels."""
        content = {"data": dict(fields), "files": parts_of([upload])}
        return self._server.ask(ImportedLabels, "POST", f"{self._path}/import", headers=_once(), **content)

    def keep(self, name: str) -> LabelSet:
        """Keep the labels as they stand as a set."""
        return self._server.ask(LabelSet, "POST", "/api/label-sets", json={"name": name, "model": self.model})


def label_sets(server: Server) -> list[LabelSet]:
    """All sets that whoever has the key may see."""
    return server.ask(LabelSetList, "GET", "/api/label-sets").sets


def _once() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}
