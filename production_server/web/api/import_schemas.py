"""What travels over the API about imports."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import Field

from production_server.intake.imports import URL_FIELDS
from production_server.jobs.imports import ModelImport
from production_server.jobs.records import ImportState
from production_server.learning.report import Report
from production_server.models.importing.uploads import Part
from production_server.web.api.report_schemas import ReportBody
from production_server.web.api.schemas import MAX_PAGE, Schema, to_time

COMMAS = "with commas between them"


class ImportForm(Schema):
    """A file that is to become a version of a model, and what it cannot tell: whatever is left out is found out.

    `describe` is a JSON object with all that a `model.yaml` may hold; the fields beside it stand above it.
    """

    name: str = Field(max_length=64, examples=["iris"])
    url: str | None = Field(
        default=None,
        description="Where the file lies, instead of `file`; a place that STORAGE_ALLOW names.",
        examples=["s3://bucket/models/iris.onnx"],
    )
    weights_url: str | None = Field(default=None, description="The same for `weights`.")
    sample_url: str | None = Field(default=None, description="The same for `sample`.")
    title: str | None = Field(default=None, max_length=200)
    task: str | None = Field(default=None, max_length=64, examples=["tabular_classification"])
    labels: str | None = Field(default=None, description=f"Names of what it chooses from, {COMMAS}.")
    features: str | None = Field(default=None, description=f"Names of the columns, {COMMAS}.")
    target: str | None = Field(default=None, description="Column of the sample that holds what is true.")
    output: str | None = Field(default=None, description="Which of several outputs is the answer.")
    activation: str | None = Field(default=None, description="softmax, sigmoid or none.")
    threshold: str | None = Field(
        default=None, description="From which probability on label 2 is the answer."
    )
    top: str | None = Field(default=None, description="How many of its best labels a job keeps of an item.")
    quantity: str | None = Field(default=None, description="Name of what a regression answers.")
    unit: str | None = Field(default=None, description="Its unit.")
    describe: str | None = Field(default=None, max_length=2**20)
    signature: str | None = Field(default=None, max_length=200, description="Which one of a SavedModel.")
    despite: str | None = Field(
        default=None, max_length=200, description=f"Checks of the gate that it may fail, {COMMAS}."
    )
    breaking: bool = False
    dry_run: bool = False

    def urls(self) -> dict[Part, str]:
        """Where files lie that do not come with the form."""
        given = {part: getattr(self, field) for part, field in URL_FIELDS.items()}
        return {part: url for part, url in given.items() if url is not None}

    def options(self) -> dict[str, str | None]:
        """What is said beside `describe`."""
        return {name: getattr(self, name) for name in OPTIONS}


OPTIONS = (
    "title", "task", "labels", "features", "target", "output", "activation", "threshold", "top", "quantity", "unit",
)  # fmt: skip


class ImportFault(Schema):
    """What is wrong, and where."""

    field: str
    expected: str
    got: str


class ImportProblem(Schema):
    """Why there is no version."""

    code: str
    message: str
    faults: list[ImportFault]


class ImportLinks(Schema):
    """Where to go on from an import."""

    self: str
    model: str | None


class ImportBody(Schema):
    """An import as it stands. `version` is what it has become; `manifest` also tells what a dry run would have.

    `doing` says how far it is, or what it waits for; `report` what the gate says of it.
    """

    id: UUID
    state: ImportState
    doing: str
    model: str
    file: str
    dry_run: bool
    created: datetime
    finished: datetime | None
    version: str | None
    notes: list[str]
    manifest: dict[str, Any] | None
    report: ReportBody | None
    error: ImportProblem | None
    links: ImportLinks

    @classmethod
    def of(cls, found: ModelImport, *, waits_for: str = "") -> Self:
        """The API's view of an import; `waits_for` is why nobody has begun."""
        error = None
        if found.error_code is not None:
            faults = [
                ImportFault(field=each.field, expected=each.expected, got=each.got) for each in found.faults
            ]
            error = ImportProblem(code=found.error_code, message=found.error_message or "", faults=faults)
        is_dry, is_there = bool(found.asked.get("dry_run")), found.manifest is not None
        version = found.manifest["version"] if found.manifest is not None and not is_dry else None
        return cls(
            id=found.id,
            state=found.state,
            doing=found.said or waits_for,
            model=found.model,
            file=found.file,
            dry_run=is_dry,
            created=to_time(found.created_at),
            finished=None if found.finished_at is None else to_time(found.finished_at),
            version=version,
            notes=list(found.notes),
            manifest=dict(found.manifest) if is_there and found.manifest is not None else None,
            report=None if found.report is None else ReportBody.of(Report.model_validate(found.report)),
            error=error,
            links=ImportLinks(
                self=f"/api/imports/{found.id}", model=f"/api/models/{found.model}" if version else None
            ),
        )


class ImportsQuery(Schema):
    """Which imports to list; `after` is the last one of the page before."""

    after: UUID | None = None
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)


class ImportsBody(Schema):
    """A page of imports, newest first; `next` is the `after` of the next page, or null."""

    imports: list[ImportBody]
    next: UUID | None
