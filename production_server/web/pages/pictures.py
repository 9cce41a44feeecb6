"""Copies of items' pictures, and the faces that are framed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from production_server.access.scopes import Scope
from production_server.errors import InvalidInput, NotFound
from production_server.jobs.read import get_input
from production_server.models.images import thumbnail
from production_server.models.tasks.task import Box
from production_server.personas.pictured import Picture, Pictured, faces_in
from production_server.web.api.objects import fetch
from production_server.web.api.persona_switch import keeps_faces
from production_server.web.edge.flask_door import asking_client
from production_server.web.edge.parts import WebParts

THUMBNAIL_SIDE = 112
PICTURE_SIDE = 800
"""Of a picture that somebody looks at closely."""


@dataclass(frozen=True, slots=True)
class Framed:
    """A frame in a picture, with the face that it is around where faces are kept, and shown to whoever asks."""

    box: Box
    face: Pictured | None = None

    @property
    def text(self) -> str:
        """Who it is, in a word or two."""
        if self.face is None:
            return "a face"
        if self.face.name is not None:
            return f"{self.face.name}, it seems" if self.face.is_predicted else self.face.name
        words = {"stranger": "a stranger", "not_a_face": "no face", "ignore": "ignored"}
        return words.get(self.face.said or "", "nobody known")


def copy_of(parts: WebParts, job_id: UUID, index: int, *, max_side: int) -> bytes:
    """An item's image, made anew as a PNG of at most so many pixels a side.

    Raises:
        NotFound: it is no image (code `item_not_found`). Others as `fetch`.
    """
    found = get_input(parts.database, job_id, index)
    data = found if isinstance(found, bytes) else fetch(parts, found)
    try:
        with parts.checks.place():
            return thumbnail(data, max_side=max_side, max_pixels=parts.settings.max_image_pixels)
    except InvalidInput as exc:
        raise NotFound(f"item {index} of job {job_id} is no image", code="item_not_found") from exc


def frames_of(parts: WebParts, boxes: Mapping[Picture, Sequence[Box]]) -> dict[Picture, list[Framed]]:
    """What is framed in pictures, by what their answers say; with names for whoever may see who faces are."""
    wanted = [picture for picture, some in boxes.items() if some]
    may_see = keeps_faces() and asking_client().may(Scope.PERSONAS)
    known = faces_in(parts.database, wanted) if wanted and may_see else {}
    places = {picture: {each.place: each for each in known.get(picture, ())} for picture in wanted}
    return {
        picture: [Framed(box, places[picture].get(place)) for place, box in enumerate(boxes[picture])]
        for picture in wanted
    }
