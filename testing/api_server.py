"""A real HTTP server that speaks the jobs API from memory, and misbehaves when it is told to.

The client's tests run against it. It accepts what the contract allows and answers in the contract's shapes; what it
"predicts" is a rule: a diabetes row is positive from glucose 126, an image is what its file name says.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Iterator

FEATURES = (
    "pregnancies",
    "glucose",
    "blood_pressure",
    "skin_thickness",
    "insulin",
    "bmi",
    "diabetes_pedigree",
    "age",
)
RESULTS_IN_ANSWER = 100
"""The answer to a submission has the results of a job that is over, up to so many."""
LABELS = {"diabetes": ["negative", "positive"], "fashion_mnist": ["shirt", "shoe", "bag"]}


def job_id(number: int) -> str:
    """The ID of the job that is made as the so manieth."""
    return f"00000000-0000-7000-8000-{number:012}"


class Problem(Exception):
    """What the server refuses, as it goes into the answer."""

    def __init__(
        self, status: int, code: str, detail: str, faults: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.content = {"title": code.replace("_", " "), "status": status, "code": code, "detail": detail}
        if faults:
            self.content["faults"] = faults


@dataclass
class StoredJob:
    """One job and its results; `done` of them are final."""

    id: str
    model: str
    fields: dict[str, str]
    results: list[dict[str, Any]]
    table: dict[str, Any] | None = None
    """How the server read the table that it is of."""
    done: int = 0
    is_cancelled: bool = False

    def as_json(self) -> dict[str, Any]:
        failed = sum(result["state"] == "failed" for result in self.results[: self.done])
        is_finished = self.done == len(self.results)
        return {
            "id": self.id,
            "state": "cancelled" if self.is_cancelled else "finished" if is_finished else "running",
            "model": self.model,
            "version": self.fields.get("version", "1"),
            "source": "api",
            "priority": self.fields.get("priority", "normal"),
            "total": len(self.results),
            "succeeded": self.done - failed,
            "failed": failed,
            "cancelled": len(self.results) - self.done if self.is_cancelled else 0,
            "created": "2026-01-02T03:04:05Z",
            "started": "2026-01-02T03:04:05Z",
            "finished": "2026-01-02T03:04:06Z" if is_finished else None,
            "links": {"self": f"/api/jobs/{self.id}", "page": f"/predictions/{self.id}"},
            "not_yet_known": "a newer server's field",
        }

    def result(self, index: int) -> dict[str, Any]:
        if index < self.done:
            return self.results[index]
        state = "cancelled" if self.is_cancelled else "queued"
        return {"index": index, "name": self.results[index]["name"], "state": state}


@dataclass
class ApiServer:
    """The server's memory, and what a test may tell it to do."""

    url: str = ""
    jobs: dict[str, StoredJob] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    items_per_look: int = 1_000_000
    """How many items become final each time that somebody asks for the job."""
    problems: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses and headers with which the next requests are answered instead."""
    lost_answers: int = 0
    """How many of the next submissions are taken, but their connection breaks before the answer."""
    size_limit_bytes: int = 10_000_000
    tells_tables: bool = True
    """Whether it says how it read a table; servers of before did not."""

    def find(self, job_id: str) -> StoredJob:
        if job_id not in self.jobs:
            raise Problem(404, "job_not_found", f"there is no job {job_id}")
        return self.jobs[job_id]

    def submit(self) -> StoredJob:
        """Take a job, or find the one that this idempotency key made before."""
        key = request.headers.get("Idempotency-Key", "")
        if key in self.keys:
            return self.jobs[self.keys[key]]
        fields, results, table = _read_form() if request.files else (*_read_json(), None)
        job = StoredJob(job_id(len(self.jobs) + 1), fields["model"], fields, results, table)
        self.jobs[job.id] = job
        self.keys[key] = job.id
        return job


@contextlib.contextmanager
def api_server(tls: tuple[str, str] | None = None) -> Iterator[ApiServer]:
    """A running server on a port of its own; with TLS where there are files of a certificate and its key."""
    memory = ApiServer()
    server = make_server("127.0.0.1", 0, create_app(memory), threaded=True, ssl_context=tls)
    memory.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield memory
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def create_app(memory: ApiServer) -> Flask:
    """The API over one memory."""
    app = Flask(__name__)

    @app.errorhandler(Problem)
    def refuse(problem: Problem) -> tuple[Response, int]:
        answer = jsonify(problem.content)
        answer.content_type = "application/problem+json"
        return answer, problem.status

    @app.before_request
    def misbehave() -> tuple[str, int, dict[str, str]] | None:
        memory.requests.append(f"{request.method} {request.path}")
        if memory.problems:
            status, headers = memory.problems.pop(0)
            return "out of order", status, headers
        return None

    _add_job_routes(app, memory)
    _add_reading_routes(app, memory)
    _add_model_routes(app)
    return app


def _add_job_routes(app: Flask, memory: ApiServer) -> None:
    @app.post("/api/jobs")
    def submit() -> tuple[dict[str, Any], int]:
        if (request.content_length or 0) > memory.size_limit_bytes:
            raise Problem(
                413, "body_too_large", f"the body is over the limit of {memory.size_limit_bytes} bytes"
            )
        job = memory.submit()
        if memory.lost_answers:
            memory.lost_answers -= 1
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        if "wait=" in request.headers.get("Prefer", "") and memory.items_per_look >= len(job.results):
            job.done = len(job.results)
        is_told = memory.tells_tables and job.table is not None
        told = job.as_json() | ({"table": job.table} if is_told else {})
        if job.done < len(job.results):
            return told, 202
        early = job.results if len(job.results) <= RESULTS_IN_ANSWER else None
        return told | {"results": early}, 200


def _add_reading_routes(app: Flask, memory: ApiServer) -> None:
    @app.get("/api/jobs")
    def list_jobs() -> dict[str, Any]:
        wanted = {name: request.args[name] for name in ("model", "state") if name in request.args}
        jobs = [job.as_json() for job in reversed(memory.jobs.values())]
        found = [job for job in jobs if all(job[name] == value for name, value in wanted.items())]
        return {"jobs": found[: int(request.args.get("limit", 100))], "next": None}

    @app.get("/api/jobs/<job_id>")
    def show(job_id: str) -> dict[str, Any]:
        job = memory.find(job_id)
        if not job.is_cancelled:
            job.done = min(len(job.results), job.done + memory.items_per_look)
        return job.as_json()

    @app.delete("/api/jobs/<job_id>")
    def cancel(job_id: str) -> dict[str, Any]:
        job = memory.find(job_id)
        job.is_cancelled = job.done < len(job.results)
        return job.as_json()

    @app.get("/api/jobs/<job_id>/results")
    def results(job_id: str) -> dict[str, Any]:
        job = memory.find(job_id)
        first = int(request.args.get("after", -1)) + 1
        page = range(first, min(len(job.results), first + int(request.args.get("limit", 1000))))
        is_more = page.stop < len(job.results)
        return {"results": [job.result(index) for index in page], "next": page.stop - 1 if is_more else None}


def _add_model_routes(app: Flask) -> None:
    def describe(name: str) -> dict[str, Any]:
        manifest: dict[str, Any] = {
            "labels": LABELS[name],
            "metrics": {"data": "a test", "values": {"auc": {"mean": 0.8}}},
        }
        if name == "diabetes":
            numbers = {"minimum": 0, "maximum": 200, "example": 50, "missing": None}
            manifest["features"] = [
                {"name": each, "label": each, "unit": "mg/dL", **numbers} for each in FEATURES
            ]
        task = "tabular_classification" if name == "diabetes" else "image_classification"
        title = name.replace("_", " ").title()
        card = {"name": name, "title": title, "task": task, "versions": ["1"], "channels": {"stable": "1"}}
        return {**card, "manifest": manifest}

    @app.get("/api/models")
    def models() -> dict[str, Any]:
        return {"models": [describe(name) for name in LABELS]}

    @app.get("/api/models/<name>")
    def model(name: str) -> dict[str, Any]:
        _check_model(name)
        return describe(name)


def _check_model(name: str) -> None:
    if name not in LABELS:
        known = ", ".join(LABELS)
        raise Problem(
            404,
            "model_not_found",
            f"there is no model {name}",
            [{"field": "model", "expected": known, "got": name}],
        )


def _read_json() -> tuple[dict[str, str], list[dict[str, Any]]]:
    body = request.get_json()
    fields = {name: value for name, value in body.items() if name != "inputs"}
    _check_model(fields["model"])
    rows = [list(row.values()) if isinstance(row, dict) else row for row in body["inputs"]]
    return fields, [_diabetes(index, row, place=f"inputs[{index}]") for index, row in enumerate(rows)]


def _read_form() -> tuple[dict[str, str], list[dict[str, Any]], dict[str, Any] | None]:
    """Fields, results, and how a table was read."""
    fields = dict(request.form)
    _check_model(fields["model"])
    if "csv" in request.files:
        text = io.StringIO(request.files["csv"].read().decode("utf-8-sig"))
        lines = [(number, row) for number, row in enumerate(csv.reader(text), start=1) if row]
        has_header = not lines[0][1][0].replace(".", "").isdigit()
        names = lines[0][1] if has_header else [*FEATURES, "outcome"][: len(lines[0][1])]
        table = {"encoding": "utf-8", "delimiter": ",", "skips_spaces": False, "columns": names}
        header = lines.pop(0)[0] if has_header else None
        reading = table | {"header": header, "rows": [[number, 1] for number, _ in lines]}
        numbers = itertools.count()
        results = [_diabetes(next(numbers), row, place=f"csv line {number}") for number, row in lines]
        return fields, results, reading
    files = request.files.getlist("file")
    if "truths" in request.files:
        fields["truths"] = request.files["truths"].read().decode()
    return fields, [_image(index, file.filename or "", file.read()) for index, file in enumerate(files)], None


def _diabetes(index: int, row: list[Any], *, place: str) -> dict[str, Any]:
    if len(row) < len(FEATURES):
        fault = {"field": place, "expected": f"{len(FEATURES)} values", "got": str(len(row))}
        raise Problem(422, "invalid_input", "the inputs do not fit the model", [fault])
    values = []
    for column, value in enumerate(row, start=1):
        try:
            values.append(float(value))
        except ValueError as error:
            fault = {"field": f"{place}, column {column}", "expected": "a number", "got": repr(value)}
            raise Problem(422, "invalid_input", "the inputs do not fit the model", [fault]) from error
    probability = 0.75 if values[1] >= 126 else 0.25
    outside = [name for name, value in zip(FEATURES, values, strict=False) if value > 200]
    output = [1 - probability, probability]
    label = LABELS["diabetes"][probability > 0.5]
    common = {"index": index, "name": None, "state": "succeeded", "version": "1", "ms": 0.5}
    told = {"label": label, "score": 0.75, "output": output, "top": _top("diabetes", output)}
    return {**common, **told, "outside_training_range": outside}


def _image(index: int, name: str, content: bytes) -> dict[str, Any]:
    common = {"index": index, "name": name, "version": "1", "ms": 0.5, "size": len(content)}
    if not content.startswith(b"\x89PNG"):
        error = {"code": "not_an_image", "message": "this file is not an image"}
        nothing = dict.fromkeys(("label", "score", "output", "top"))
        return {**common, "state": "failed", **nothing, "error": error}
    label = next((label for label in LABELS["fashion_mnist"] if label in name), "shirt")
    output = [0.9 if label == each else 0.05 for each in LABELS["fashion_mnist"]]
    told = {"label": label, "score": 0.9, "output": output, "top": _top("fashion_mnist", output)}
    return {**common, "state": "succeeded", **told}


def _top(model: str, output: list[float]) -> list[dict[str, Any]]:
    """The best labels, best first."""
    best = sorted(zip(LABELS[model], output, strict=True), key=lambda entry: -entry[1])
    return [{"label": label, "score": score} for label, score in best]
