"""What the server answers, as frozen values. Fields that a newer server adds are ignored."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, TypeVar

from client.errors import Fault, Refused, Unavailable

FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})

T = TypeVar("T")


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
    label: str | None = None
    score: float | None = None
    output: list[float] | None = None
    top: list[dict[str, Any]] | None = None
    error: ItemError | None = None
    expected: str | None = None
    outside_training_range: list[str] = field(default_factory=list)
    version: str | None = None
    ms: float | None = None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES


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

    @property
    def labels(self) -> list[str]:
        return [str(label) for label in self.manifest.get("labels", ())]

    @property
    def top(self) -> int | None:
        """How many of its best labels it keeps; None: the probabilities of all."""
        top = self.manifest.get("top")
        return None if top is None else int(top)

    @property
    def score_columns(self) -> list[str]:
        """What the columns of a table of results are called that hold its probabilities."""
        if self.top is None:
            return [f"probability {label}" for label in self.labels]
        return [f"{what} {place}" for place in range(1, self.top + 1) for what in ("label", "score")]

    @property
    def columns(self) -> list[str]:
        """What the columns of a table for this model are called: the features, then the true label."""
        names = [str(feature.get("name")) for feature in self.manifest.get("features", ())]
        return [*names, str(self.manifest.get("target", "label"))]


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


def read(kind: type[T], answer: Any) -> T:
    """Make a value of a JSON object.

    Raises:
        Unavailable: It is not such an object: what answered is not this service, or much newer.
    """
    try:
        known = {
            each.name: answer[each.name]
            for each in fields(kind)  # type: ignore[arg-type] # every kind is a dataclass
            if each.name in answer or (each.default is MISSING and each.default_factory is MISSING)
        }
        return kind(**known)
    except (KeyError, TypeError) as error:
        raise Unavailable(f"the server's answer is not a {kind.__name__.lower()} ({error})") from error


def read_result(answer: Any) -> Result:
    """Make a result, and its error if there is one."""
    result = read(Result, answer)
    if result.error is None:
        return result
    return read(Result, {**answer, "error": read(ItemError, result.error)})


def read_scan(answer: Any) -> Scan:
    """Make a scan, its job and its error, as far as it has them."""
    scan = read(Scan, answer)
    job = None if scan.job is None else read(Job, scan.job)
    error = None if scan.error is None else read(ItemError, scan.error)
    return replace(scan, job=job, error=error)


def read_job_page(answer: Any) -> JobPage:
    """Make a page of jobs."""
    page = read(JobPage, answer)
    return JobPage([read(Job, job) for job in page.jobs], page.next)


def read_result_page(answer: Any) -> ResultPage:
    """Make a page of results."""
    page = read(ResultPage, answer)
    return ResultPage([read_result(result) for result in page.results], page.next)


def read_problem(answer: Any, *, status: int) -> Refused:
    """Make a refusal of problem details (RFC 9457), or of whatever else came with the status."""
    if not isinstance(answer, dict):
        return Refused(f"the server refused the request (status {status})")
    faults = tuple(
        Fault(str(fault.get("field", "")), str(fault.get("expected", "")), str(fault.get("got", "")))
        for fault in answer.get("faults") or ()
        if isinstance(fault, dict)
    )
    detail = (
        answer.get("detail") or answer.get("title") or f"the server refused the request (status {status})"
    )
    return Refused(str(detail), code=str(answer.get("code", "")), faults=faults)
