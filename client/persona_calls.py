"""What the server is asked about personas and faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from client.answers import (
    ClassifierList,
    Deleted,
    FaceDecision,
    FaceDecisions,
    FaceGroups,
    FacePage,
    Persona,
    PersonaList,
    Tried,
)
from client.api import checked_model
from client.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.answers import Face
    from client.api import Server

MOST_AT_ONCE = 500
"""Faces that are decided, or listed, in one request."""


class Personas:
    """The personas of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def all(self) -> list[Persona]:
        """Every one, by name."""
        return self._server.ask(PersonaList, "GET", "/api/personas").personas

    def find(self, who: str) -> Persona:
        """The one of an id or, if there is none, of a name.

        Raises:
            InputError: nobody is called so.
        """
        every = self.all()
        for found in (
            [each for each in every if str(each.id) == who],
            [each for each in every if each.name == who],
        ):
            if found:
                return found[0]
        raise InputError(f"nobody has the name or the id {who!r}: `personas list` lists all")

    def add(self, name: str) -> Persona:
        """Somebody new."""
        return self._server.ask_once(Persona, "POST", "/api/personas", json={"name": name})

    def rename(self, persona_id: int, name: str) -> Persona:
        """Give another name."""
        return self._server.ask(Persona, "PUT", f"/api/personas/{persona_id}/name", json={"name": name})

    def merge(self, persona_id: int, into: int) -> Persona:
        """Have one count as another, who is answered."""
        path = f"/api/personas/{persona_id}/merge"
        return self._server.ask_once(Persona, "POST", path, json={"into": into})

    def split(self, persona_id: int) -> Persona:
        """Have one that was merged stand for itself again."""
        return self._server.ask_once(Persona, "POST", f"/api/personas/{persona_id}/split")

    def delete(self, persona_id: int, *, with_faces: bool) -> Deleted:
        """Delete all that is known of one."""
        params = {"faces": "true" if with_faces else "false"}
        return self._server.ask_once(Deleted, "DELETE", f"/api/personas/{persona_id}", params=params)

    def export(self, persona_id: int, into: BinaryIO) -> None:
        """Write all that is known of one into a file."""
        self._server.save(f"/api/personas/{persona_id}/export.jsonl", into)

    def faces(self, persona_id: int | None, *, kind: str, offset: int, limit: int) -> list[Face]:
        """Faces of one; of None those that nobody is known for, whatever their kind."""
        path = "/api/faces" if persona_id is None else f"/api/personas/{persona_id}/faces"
        more: dict[str, Any] = {} if persona_id is None else {"kind": kind}
        found: list[Face] = []
        while len(found) < limit:
            params = {"offset": offset + len(found), "limit": min(limit - len(found), MOST_AT_ONCE), **more}
            page = self._server.ask(FacePage, "GET", path, params=params)
            found += page.faces
            if page.next is None:
                break
        return found

    def groups(self) -> list[list[Face]]:
        """Faces of nobody that are alike."""
        return self._server.ask(FaceGroups, "GET", "/api/faces/groups").groups

    def say(self, faces: Sequence[int], *, kind: str, persona: int | None) -> list[FaceDecision]:
        """Say what faces are, at most `MOST_AT_ONCE`: all or none. What counts already is not said again."""
        about: dict[str, Any] = {"faces": list(faces), "kind": kind}
        said = about if persona is None else about | {"persona": persona}
        return self._server.ask(FaceDecisions, "POST", "/api/faces/decisions", json=said).decisions

    def undo(self, decision_id: int | None) -> list[FaceDecision]:
        """Take back what was said last at once, or one decision. A second try would take back another one."""
        which = "last" if decision_id is None else str(decision_id)
        path = f"/api/faces/decisions/{which}"
        return self._server.ask_once(FaceDecisions, "DELETE", path).decisions

    def classifiers(self) -> ClassifierList:
        """What judges faces, and what is to be learnt yet."""
        return self._server.ask(ClassifierList, "GET", "/api/personas/classifiers")

    def set_promise(self, model: str, one_in: int) -> ClassifierList:
        """Have at most one stranger in so many get a name."""
        path = f"/api/personas/classifiers/{checked_model(model)}/promise"
        return self._server.ask(ClassifierList, "PUT", path, json={"one_in": one_in})

    def try_promise(self, model: str, version: str, one_in: int, *, limit: int) -> Tried:
        """What would change; nothing does."""
        path = f"/api/personas/classifiers/{checked_model(model)}/{checked_model(version)}/promise"
        return self._server.ask(Tried, "GET", path, params={"one_in": one_in, "limit": limit})
