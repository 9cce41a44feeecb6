"""What the server answers, as frozen values, which msgspec reads. Fields that a newer server adds are ignored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from client.errors import Fault, Refused, Unavailable

FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})

T = TypeVar("T")

# A document nested a hundred thousand times is refused by the depth of the interpreter's stack.
_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True)
class Waiting:
    """Which bucket does not answer, what was said of the last try, and when the next one is; None: now."""

    bucket: str
    message: str
    next_try: str | None = None

    def __str__(self) -> str:
        again = f"asked again at {self.next_try}" if self.next_try else "being asked again"
        return f"{self.bucket}: {self.message}; {again}"


@dataclass(frozen=True)
class Job:
    """What was submitted and how far it has come."""

    id: str
    state: str
    model: str
    version: str
    total: int
    succeeded: int
    failed: int
    cancelled: int = 0
    source: str = ""
    priority: str = ""
    created: str | None = None
    started: str | None = None
    finished: str | None = None
    waiting: Waiting | None = None
    links: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many items will not change any more."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def has_ended(self) -> bool:
        return self.state in ("finished", "cancelled")


@dataclass(frozen=True)
class ItemError:
    """Why one item failed."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True)
class Result:
    """One input of a job and what became of it."""

    index: int
    state: str
    name: str | None = None
    url: str | None = None
    answer: str | None = None
    label: str | None = None
    labels: list[str] | None = None
    score: float | None = None
    output: list[int | float] | dict[str, Any] | None = None
    top: list[dict[str, Any]] | None = None
    error: ItemError | None = None
    expected: str | None = None
    outside_training_range: list[str] = field(default_factory=list)
    version: str | None = None
    ms: float | None = None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def label_text(self) -> str | None:
        """The label, or several as tables have them: `cat|dog`, `none`; None of what has no labels."""
        return self.label if self.labels is None else "|".join(self.labels) or "none"


@dataclass(frozen=True, kw_only=True)
class StreamResult(Result):
    """What became of an item of a message, or of a message that nothing could be made of: `state` is `refused`.

    `id` is that of the request, which was `sent` then. A message of several items has a result for each of them: `row`
    says which, from 0; `index` is its place in the job.
    """

    index: int = 0
    row: int | None = None
    sent: str | None = None
    stream: str
    id: str | None = None
    job: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class TableReading:
    """How the server read a table: what stands between cells, what the columns are, and which lines are rows.

    `header` is the line that it begins in, from 1; `rows` are runs: the line of the first row, and how many follow line
    by line.
    """

    encoding: str
    delimiter: str
    columns: list[str | None]
    rows: list[tuple[int, int]]
    header: int | None = None
    skips_spaces: bool = False


@dataclass(frozen=True)
class SaidAtOnce:
    """What the answer to a submission has beside the job: all results, if they are few; how a table was read."""

    results: list[Result] | None = None
    table: TableReading | None = None


@dataclass(frozen=True)
class Submitted:
    """A job that was accepted; `results` are all of them, if they came with the answer; `table` is how one was read."""

    job: Job
    results: list[Result] | None = None
    table: TableReading | None = None


@dataclass(frozen=True)
class Scan:
    """A listing of a bucket: objects looked at, those that became items, those that were done before; and its job."""

    id: str
    state: str
    url: str
    pattern: str
    model: str
    version: str
    dry_run: bool
    listed: int
    matched: int
    skipped: int
    created: str | None = None
    finished: str | None = None
    error: ItemError | None = None
    job: Job | None = None
    links: dict[str, str | None] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is listed, and nothing more classified."""
        return self.state != "listing" and (self.job is None or self.job.done == self.job.total)

    @property
    def is_success(self) -> bool:
        return self.state == "listed" and (self.job is None or self.job.succeeded == self.job.total)


@dataclass(frozen=True)
class Model:
    """A model that the server has; the manifest (model card) is passed on as it came."""

    name: str
    title: str
    task: str
    versions: list[str]
    channels: dict[str, str]
    manifest: dict[str, Any]
    retired: list[str] = field(default_factory=list)

    @property
    def versions_in_words(self) -> str:
        """Its versions, with which of them are retired: `1 (retired), 2`."""
        return ", ".join(
            f"{version} (retired)" if version in self.retired else version for version in self.versions
        )

    @property
    def labels(self) -> list[str]:
        return [str(label) for label in self.manifest.get("labels", ())]

    @property
    def top(self) -> int | None:
        """How many of its best labels it keeps; None: the probabilities of all."""
        top = self.manifest.get("top")
        return None if top is None else int(top)

    @property
    def quantity(self) -> dict[str, Any] | None:
        """What it answers if that is a value: name, label, unit, and the range that training saw."""
        return self.manifest.get("quantity")

    @property
    def answer_columns(self) -> list[str]:
        """What the columns of a table of results are called that hold its probabilities, its value, or its tensors."""
        if self.quantity is not None:
            unit = f" ({self.quantity['unit']})" if self.quantity.get("unit") else ""
            return [f"predicted {self.quantity['name']}{unit}"]
        if self.top is not None:
            return [f"{what} {place}" for place in range(1, self.top + 1) for what in ("label", "score")]
        if self.labels:
            return [f"probability {label}" for label in self.labels]
        return [str(output.get("name")) for output in self.manifest.get("outputs", ())]

    @property
    def columns(self) -> list[str]:
        """What the columns of a table for this model are called: the features, then the true label."""
        names = [str(feature.get("name")) for feature in self.manifest.get("features", ())]
        return [*names, str(self.manifest.get("target", "label"))]


@dataclass(frozen=True)
class AnswersChanged:
    """What a new version answers otherwise than what answered before it."""

    answered: int
    changed: int
    agree_now: int
    agree_no_more: int


@dataclass(frozen=True)
class TrainingRun:
    """A model that is trained again, and what has come of it."""

    id: str
    model: str
    state: str
    step: str
    began: str
    why: str = ""
    doing: str = ""
    labels: int = 0
    held_out: int = 0
    version: str | None = None
    changed: AnswersChanged | None = None
    error: ItemError | None = None
    ended: str | None = None
    links: dict[str, str | None] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state != "open"

    @property
    def is_success(self) -> bool:
        return self.state == "succeeded"


@dataclass(frozen=True)
class TrainingRuns:
    """Training runs, newest first."""

    runs: list[TrainingRun]


@dataclass(frozen=True)
class ModelImport:
    """A file on its way to being a version, and what it has become, or why not."""

    id: str
    state: str
    model: str
    file: str
    doing: str = ""
    dry_run: bool = False
    version: str | None = None
    created: str | None = None
    finished: str | None = None
    notes: list[str] = field(default_factory=list)
    manifest: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    error: ItemError | None = None
    links: dict[str, str | None] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_success(self) -> bool:
        return self.state == "succeeded"


@dataclass(frozen=True)
class ImportList:
    """A page of imports."""

    imports: list[ModelImport]


@dataclass(frozen=True)
class JobPage:
    """Some jobs, newest first, and where the next page begins."""

    jobs: list[Job]
    next: str | None


@dataclass(frozen=True)
class ResultPage:
    """Some results in order, and after which index the next page begins."""

    results: list[Result]
    next: int | None


@dataclass(frozen=True)
class ModelList:
    """All models."""

    models: list[Model]


@dataclass(frozen=True)
class ScanList:
    """Some scans, newest first."""

    scans: list[Scan]


@dataclass(frozen=True)
class LabelChoice:
    """A label that an item may have, and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Question:
    """An item that nobody else is asked about until then; `row` is what went in, by feature."""

    job: str
    index: int
    version: str
    answer: str
    chosen: str
    until: str
    name: str | None = None
    url: str | None = None
    score: float | None = None
    choices: list[LabelChoice] = field(default_factory=list)
    row: dict[str, float] | None = None


@dataclass(frozen=True)
class QuestionList:
    """Questions, the next one first."""

    questions: list[Question]


@dataclass(frozen=True)
class Decision:
    """What somebody has said of an item."""

    id: int
    job: str
    index: int
    kind: str
    who: str
    label: str | None = None
    predicted: str | None = None
    replaces: int | None = None


@dataclass(frozen=True)
class Accuracy:
    """How many answers of a version are right, and where the share of all lies."""

    version: str
    right: int
    of: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Items that two people have labelled, and how many of these alike."""

    items: int
    equal: int
    kappa: float | None = None


@dataclass(frozen=True)
class LabelProgress:
    """How far labelling is."""

    left: int
    is_all: bool
    labelled: int
    mine: int
    per_minute: int
    accuracy: list[Accuracy]
    agreement: Agreement


@dataclass(frozen=True)
class ImportedLabels:
    """What came of a file of labels; `faults` are the first hundred that were refused."""

    stored: int
    unchanged: int
    refused: int
    faults: list[Fault] = field(default_factory=list)
    job: str | None = None


@dataclass(frozen=True)
class LabelSet:
    """Labels of a model as they stood once."""

    name: str
    model: str
    items: int
    digest: str
    created: str


@dataclass(frozen=True)
class LabelSetList:
    """Sets of labels, newest first."""

    sets: list[LabelSet]


@dataclass(frozen=True)
class Persona:
    """Somebody that faces may be of, with how many are labelled, and predicted beside these."""

    id: int
    name: str
    made_at: str
    made_by: str
    labelled: int
    predicted: int


@dataclass(frozen=True)
class PersonaList:
    """All of them, by name."""

    personas: list[Persona]


@dataclass(frozen=True)
class Face:
    """A face in a picture: `box` is left, top, right and bottom as shares of its width and height."""

    id: int
    job: str
    index: int
    model: str
    version: str
    box: list[float]
    score: float
    side: int
    sharpness: float
    learnt_from: bool
    predicted: int | None = None
    nearest: int | None = None
    cosine: float | None = None
    links: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FacePage:
    """Some faces, and at which offset the next page begins."""

    faces: list[Face]
    next: int | None


@dataclass(frozen=True)
class FaceGroups:
    """Faces of nobody that are alike, the largest group first."""

    groups: list[list[Face]]


@dataclass(frozen=True)
class FaceDecision:
    """What somebody has said of a face."""

    id: int
    face: int
    kind: str
    who: str
    persona: int | None = None
    replaces: int | None = None


@dataclass(frozen=True)
class FaceDecisions:
    """Rows that were added."""

    decisions: list[FaceDecision]


@dataclass(frozen=True)
class Deleted:
    """How many faces were deleted with a persona."""

    faces: int


@dataclass(frozen=True)
class Promise:
    """Of so many strangers so many would get a name; between what shares that lies, 95 times in a hundred."""

    named: int
    strangers: int
    low: float
    high: float


@dataclass(frozen=True)
class Classifier:
    """What judges the faces of a version, and in words what it has changed."""

    number: int
    model: str
    version: str
    personas: int
    threshold: float
    promise: Promise
    made_at: str
    done: bool
    said: str
    one_in: int = 100
    promised_by: str | None = None
    promised_at: str | None = None


@dataclass(frozen=True)
class Tried:
    """What another promise would change: `faces` are those between, which `gain` a name or lose it."""

    one_in: int
    threshold: float
    promise: Promise
    named: int
    named_now: int
    gain: bool
    faces: list[Face]
    next: int | None = None


@dataclass(frozen=True)
class ClassifierList:
    """Those that judge; `waiting` changes of what people said are not learnt yet."""

    classifiers: list[Classifier]
    waiting: int

    @property
    def is_settled(self) -> bool:
        """Whether all that was said is learnt, and all faces are judged by it."""
        return not self.waiting and all(each.done for each in self.classifiers)


@dataclass(frozen=True)
class Problem:
    """Why a request was refused: problem details (RFC 9457) with the members that this service adds."""

    title: str = ""
    detail: str = ""
    code: str = ""
    faults: list[Fault] = field(default_factory=list)


def read(kind: type[T], body: bytes, *, url: str) -> T:
    """Make a value of a JSON document that `url` has answered.

    Raises:
        Unavailable: It is none, or not of that kind: what answered is not this service, or much newer.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Unavailable(f"the server's answer is not a {kind.__name__.lower()}: {error}") from error
    except _NO_JSON as error:
        raise Unavailable(f"{url} answered, but not as this service does") from error


def read_problem(body: bytes, *, status: int) -> Refused:
    """Make a refusal of problem details, or of whatever else came with the status."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except _NO_JSON:
        problem = Problem()
    detail = problem.detail or problem.title or f"the server refused the request (status {status})"
    return Refused(detail, code=problem.code, faults=tuple(problem.faults))
