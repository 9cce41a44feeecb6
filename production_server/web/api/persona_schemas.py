"""What travels over the API about personas and faces."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field

from production_server.learning.persona_means import Promise
from production_server.personas.decisions import MOST_FACES
from production_server.personas.people import MAX_NAME
from production_server.personas.promises import FEWEST_ONE_IN, MOST_ONE_IN
from production_server.personas.records import Classifier, Decision, Face, Kind, Persona, Said
from production_server.personas.shown import OfPersona
from production_server.personas.trying import Tries
from production_server.web.api.schemas import MAX_INDEX, Schema, to_time
from production_server.web.api.stats_schemas import NO_NUL, page_of

MOST_SHOWN = 500
Id = Annotated[int, Field(strict=True, ge=1, le=MAX_INDEX)]
"""Of a face or a persona."""


class NameRequest(Schema):
    """What a persona is called; no other one is called so."""

    name: str = Field(min_length=1, max_length=MAX_NAME, pattern=NO_NUL)


class MergeRequest(Schema):
    """Whom the persona turned out to be."""

    into: Id


class PersonaBody(Schema):
    """Somebody that faces may be of, with how many are `labelled`, and `predicted` beside these."""

    id: int
    name: str
    made_at: datetime
    made_by: str
    labelled: int
    predicted: int

    @classmethod
    def of(cls, known: Persona) -> Self:
        """The API's view of a persona."""
        return cls(
            id=known.id,
            name=known.name,
            made_at=to_time(known.made_at),
            made_by=known.made_by,
            labelled=known.labelled,
            predicted=known.predicted,
        )


class PersonasBody(Schema):
    """All of them, by name."""

    personas: list[PersonaBody]


class DeleteQuery(Schema):
    """`faces=true`: also the faces that are labelled or predicted as this persona, with their embeddings."""

    faces: Literal["true", "false"] = "false"


class DeletedBody(Schema):
    """How many faces were deleted with the persona."""

    faces: int


class PageQuery(Schema):
    """Which of them: so many, after so many."""

    offset: int = Field(default=0, ge=0, le=MAX_INDEX)
    limit: int = Field(default=100, ge=1, le=MOST_SHOWN)


class FacesQuery(PageQuery):
    """Which faces of a persona.

    Those that people `labelled` (the latest first), that are `predicted` (the surest first), or the labelled ones that
    are least like the others (`outliers`).
    """

    kind: OfPersona = "labelled"


class FaceLinks(Schema):
    """Where the face is seen: cut out, and in its picture on its job's page."""

    picture: str
    page: str


class FaceBody(Schema):
    """A face in a picture: `box` is left, top, right and bottom as shares of its width and height.

    `predicted` is the persona that the classifier says it is, `nearest` the one that it is most like, with that
    `cosine`; all are null where somebody has said who it is. `learnt_from` is false for what is blurred or tiny.
    """

    id: int
    job: UUID
    index: int
    place: int
    model: str
    version: str
    box: list[float]
    score: float
    side: int
    sharpness: float
    learnt_from: bool
    predicted: int | None
    nearest: int | None
    cosine: float | None
    links: FaceLinks

    @classmethod
    def of(cls, found: Face) -> Self:
        """The API's view of a face."""
        return cls(
            id=found.id,
            job=found.job_id,
            index=found.idx,
            place=found.place,
            model=found.embedder.model,
            version=found.embedder.version,
            box=list(found.box),
            score=found.score,
            side=found.side,
            sharpness=found.sharpness,
            learnt_from=found.is_learnt_from,
            predicted=found.predicted,
            nearest=found.nearest,
            cosine=found.cosine,
            links=FaceLinks(
                picture=f"/api/faces/{found.id}/picture.png", page=page_of(found.job_id, found.idx)
            ),
        )


class FacesBody(Schema):
    """A page of faces; `next` is the offset of the page behind it, null if there is none."""

    faces: list[FaceBody]
    next: int | None


class GroupsBody(Schema):
    """Faces of nobody that may be of one person each; of the largest groups at most a hundred faces are told."""

    groups: list[list[FaceBody]]


class FaceDecisionRequest(Schema):
    """What these faces are: a persona (`label`), not this one (`reject`), or nobody that is named here."""

    faces: list[Id] = Field(min_length=1, max_length=MOST_FACES)
    kind: Said
    persona: Id | None = None


class FaceDecisionBody(Schema):
    """What somebody said of a face. `batch` is the same for all that was said at once.

    `predicted`, `cosine` and `classifier` are what had been told of it then; `replaces` is what was said before, or, of
    an undo, what is undone. `origin` is what was said of the same face as another version has found it, from where this
    was carried over.
    """

    id: int
    face: int
    batch: UUID
    kind: Kind
    persona: int | None
    who: str
    at: datetime
    predicted: int | None
    cosine: float | None
    classifier: int | None
    replaces: int | None
    origin: int | None

    @classmethod
    def of(cls, made: Decision) -> Self:
        """The API's view of a decision."""
        return cls(
            id=made.id,
            face=made.face,
            batch=made.batch,
            kind=made.kind,
            persona=made.persona,
            who=made.who,
            at=to_time(made.at),
            predicted=made.predicted,
            cosine=made.cosine,
            classifier=made.classifier,
            replaces=made.replaces,
            origin=made.origin,
        )


class FaceDecisionsBody(Schema):
    """Decisions; `next` asks for those before them, null if there are none or they are all that was added."""

    decisions: list[FaceDecisionBody]
    next: int | None = None


class FaceDecisionsQuery(Schema):
    """Those before this one, and how many."""

    before: int | None = Field(default=None, ge=1, le=MAX_INDEX)
    limit: int = Field(default=100, ge=1, le=MOST_SHOWN)


OneIn = Annotated[int, Field(ge=FEWEST_ONE_IN, le=MOST_ONE_IN)]


class PromiseRequest(Schema):
    """At most one stranger in so many gets a name."""

    one_in: Annotated[int, Field(strict=True, ge=FEWEST_ONE_IN, le=MOST_ONE_IN)]


class TryQuery(PageQuery):
    """What is tried, and which of the faces between are told."""

    one_in: OneIn


class PromiseBody(Schema):
    """Of so many `strangers` so many would get a name; between what shares that lies, 95 times in a hundred."""

    named: int
    strangers: int
    low: float
    high: float

    @classmethod
    def of(cls, promise: Promise) -> Self:
        """The API's view of a promise."""
        low, high = promise.bounds
        return cls(named=promise.named, strangers=promise.strangers, low=low, high=high)


class ClassifierBody(Schema):
    """What judges the faces of a version, and what it has changed: `said` tells that in words.

    `done`: it has judged all faces that were there when it was made. It was made so that one stranger in `one_in` may
    get a name; `promise` is what came of that. `promised_by` and `promised_at` say who has set that, if anybody.
    """

    number: int
    model: str
    version: str
    personas: int
    threshold: float
    one_in: int
    promised_by: str | None
    promised_at: datetime | None
    promise: PromiseBody
    made_at: datetime
    done: bool
    changed: int
    gained: int
    lost: int
    said: str

    @classmethod
    def of(cls, known: Classifier) -> Self:
        """The API's view of a classifier."""
        change, promised = known.change, known.promised
        return cls(
            number=change.number,
            model=change.embedder.model,
            version=change.embedder.version,
            personas=known.personas,
            threshold=known.threshold,
            one_in=known.one_in,
            promised_by=None if promised is None else promised.who,
            promised_at=None if promised is None else to_time(promised.at),
            promise=PromiseBody.of(known.promise),
            made_at=to_time(known.made_at),
            done=change.is_done,
            changed=change.changed,
            gained=change.gained,
            lost=change.lost,
            said=str(change),
        )


class ClassifiersBody(Schema):
    """Those that judge; `waiting` changes of what people said are not learnt yet."""

    classifiers: list[ClassifierBody]
    waiting: int


class TriedBody(Schema):
    """What another promise would change.

    `named` of the faces that nobody has labelled would have a name, `named_now` have one. `faces` are those in between,
    the surest first; they `gain` a name, or lose it.
    """

    one_in: int
    threshold: float
    promise: PromiseBody
    named: int
    named_now: int
    gain: bool
    faces: list[FaceBody]
    next: int | None

    @classmethod
    def of(cls, found: Tries, *, after: int | None) -> Self:
        """The API's view of what was tried."""
        (tried,) = found.tried
        return cls(
            one_in=tried.one_in,
            threshold=tried.threshold,
            promise=PromiseBody.of(tried.promise),
            named=tried.named,
            named_now=found.now_named,
            gain=found.would_gain,
            faces=[FaceBody.of(each) for each in found.between],
            next=after,
        )
