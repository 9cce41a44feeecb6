"""What travels over the API about labels: questions, decisions, and how far it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import Field

from production_server.labels.measures import Share
from production_server.labels.progress import Progress
from production_server.labels.records import Chosen, Decision, ItemId, Kind, Order, Question, Said
from production_server.labels.sets import LabelSet
from production_server.models.tasks.task import LabelScore, Task
from production_server.web.api.schemas import MAX_INDEX, MAX_PAGE, FaultBody, Schema, to_time
from production_server.web.api.stats_schemas import NO_NUL, page_of

MAX_LABEL = 1_000
MAX_SITTING = 64
SET_NAME = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
ImportFormat = Literal["csv", "jsonl", "zip", "coco", "label-studio"]
RUNNERS_UP = 3
"""Labels that are offered beside the answer."""


class SittingQuery(Schema):
    """`sitting` is a text of your own that tells your windows apart: no two of them are asked the same."""

    sitting: str = Field(default="", max_length=MAX_SITTING, pattern=NO_NUL)


class NextQuery(SittingQuery):
    """Which questions: the least sure answer first (`margin`, each tenth at random), at `random`, the `newest`.

    `second` asks for a second opinion, about what somebody else has labelled.
    """

    order: Order = "margin"
    count: int = Field(default=1, ge=1, le=10)


class QuestionLinks(Schema):
    """Where the item is seen: its picture, if it is one, and its place on its job's page."""

    picture: str | None
    page: str


class QuestionBody(Schema):
    """An item that nobody else is asked about until `until`.

    `answer` is what the model says, `choices` are its best labels, the answer first. `row` is what went in, by feature;
    null for an image. `chosen` is how the question came: `random` ones tell how good the model is.
    """

    job: UUID
    index: int
    version: str
    name: str | None
    url: str | None
    answer: str
    score: float | None
    choices: list[LabelScore]
    row: dict[str, float] | None
    chosen: Chosen
    until: datetime
    links: QuestionLinks

    @classmethod
    def of(cls, asked: Question, task: Task, row: dict[str, float] | None) -> Self:
        """The API's view of a question; `task` is that of the version that has answered."""
        job_id, index = asked.item
        picture = f"/predictions/{job_id}/pictures/{index}.png" if task.inputs.takes_files else None
        return cls(
            job=job_id,
            index=index,
            version=asked.version,
            name=asked.name,
            url=asked.url,
            answer=asked.prediction.label or "",
            score=asked.prediction.score,
            choices=choices_of(asked, task),
            row=row,
            chosen=asked.chosen,
            until=to_time(asked.until),
            links=QuestionLinks(picture=picture, page=page_of(job_id, index)),
        )


class QuestionsBody(Schema):
    """Questions, the next one first; none where nothing is left."""

    questions: list[QuestionBody]


class DecisionRequest(Schema):
    """What an item is: a `label`; not this one (`reject`); to be left out (`ignore`); or nothing (`skip`).

    Without `label` what the model has answered is meant. One that the model does not have is refused, unless `new` says
    that it is to be added. Of a model with two labels, what is not the one is the other.
    """

    job: UUID
    index: int = Field(ge=0, le=MAX_INDEX)
    kind: Said = "label"
    label: str | None = Field(default=None, min_length=1, max_length=MAX_LABEL, pattern=NO_NUL)
    new: bool = False
    sitting: str = Field(default="", max_length=MAX_SITTING, pattern=NO_NUL)

    @property
    def item(self) -> ItemId:
        return ItemId(self.job, self.index)


class DecisionBody(Schema):
    """What somebody has said of an item. Rows never change: `undo` is one that takes back what `replaces` names.

    `label` is the label that it is, or, of a rejection, that it is not; `predicted` what the model had answered then.
    `replaces` is what was said of the item before. `chosen` is how the item came to be decided.
    """

    id: int
    job: UUID
    index: int
    version: str
    who: str
    at: datetime
    kind: Kind
    label: str | None
    predicted: str | None
    score: float | None
    chosen: Chosen
    replaces: int | None

    @classmethod
    def of(cls, made: Decision) -> Self:
        """The API's view of a decision."""
        return cls(
            id=made.id,
            job=made.item.job_id,
            index=made.item.idx,
            version=made.version,
            who=made.who,
            at=to_time(made.at),
            kind=made.kind,
            label=made.answer,
            predicted=made.predicted,
            score=made.score,
            chosen=made.chosen,
            replaces=made.replaces,
        )


class DecisionsQuery(Schema):
    """Which page of decisions; `before` is `next` of the page before."""

    before: int | None = Field(default=None, ge=1, le=MAX_INDEX)
    limit: int = Field(default=100, ge=1, le=MAX_PAGE)


class DecisionsBody(Schema):
    """A page of decisions, newest first; `next` is the `before` of the next page, or null."""

    decisions: list[DecisionBody]
    next: int | None


class AccuracyBody(Schema):
    """How many answers of a version are right of those that were drawn at random and are labelled.

    `low` and `high` are where the share of all lies, with 95 % confidence.
    """

    version: str
    right: int
    of: int
    share: float
    low: float
    high: float

    @classmethod
    def of_share(cls, version: str, share: Share) -> Self:
        """The API's view of it."""
        return cls(
            version=version,
            right=share.hits,
            of=share.of,
            share=share.share,
            low=share.low,
            high=share.high,
        )


class AgreementBody(Schema):
    """Items that two people have labelled, how many of these alike, and Cohen's kappa, where there is one."""

    items: int
    equal: int
    kappa: float | None


class ProgressBody(Schema):
    """How far it is for you: what is `left`, of all or of the latest; `per_minute` are your last minute's decisions."""

    left: int
    is_all: bool
    labelled: int
    mine: int
    per_minute: int
    accuracy: list[AccuracyBody]
    agreement: AgreementBody

    @classmethod
    def of(cls, progress: Progress) -> Self:
        """The API's view of it."""
        agreement = progress.agreement
        return cls(
            left=progress.left,
            is_all=progress.is_all,
            labelled=progress.labelled,
            mine=progress.mine,
            per_minute=progress.per_minute,
            accuracy=[AccuracyBody.of_share(*each) for each in progress.accuracy.items()],
            agreement=AgreementBody(items=agreement.items, equal=agreement.equal, kappa=agreement.kappa),
        )


def choices_of(asked: Question, task: Task) -> list[LabelScore]:
    """The answer, and the labels that come closest, with their probabilities."""
    answer = asked.prediction.label or ""
    others = [each for each in task.best_labels(asked.prediction) if each.label != answer]
    return [LabelScore(answer, asked.prediction.score or 0.0), *others[:RUNNERS_UP]]


class LabelsQuery(Schema):
    """Which labels: as they stand now, or those of a set."""

    set: str | None = Field(default=None, max_length=64, pattern=NO_NUL)


class ImportForm(Schema):
    """What file it is, unless it is as it looks; `new`: labels that the model does not have are stored, too."""

    format: ImportFormat | None = None
    new: bool = False


class ImportedBody(Schema):
    """What came of a file of labels: decisions that were `stored`, lines that say nothing new, and those `refused`.

    `faults` tell why, of the first hundred. Pictures that came with it are items of `job`.
    """

    stored: int
    unchanged: int
    refused: int
    faults: list[FaultBody]
    job: UUID | None


class LabelSetRequest(Schema):
    """A name for the labels of a model as they stand now."""

    name: str = Field(pattern=SET_NAME, max_length=64, examples=["november"])
    model: str = Field(max_length=64, pattern=NO_NUL, examples=["fashion_mnist"])


class LabelSetBody(Schema):
    """A set of labels, which never changes; `digest` is over its inputs and their labels."""

    name: str
    model: str
    client: str
    created: datetime
    items: int
    digest: str

    @classmethod
    def of(cls, found: LabelSet) -> Self:
        """The API's view of a set."""
        return cls(
            name=found.name,
            model=found.model,
            client=found.client,
            created=to_time(found.created_at),
            items=found.items,
            digest=found.digest,
        )


class LabelSetsBody(Schema):
    """Sets of labels, the newest first."""

    sets: list[LabelSetBody]
