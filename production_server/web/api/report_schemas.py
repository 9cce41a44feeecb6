"""What travels over the API about the gate."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, WithJsonSchema

from production_server.learning.report import CheckName, Measured, Report, Verdict
from production_server.models.manifest import Metric
from production_server.web.api.schemas import Schema

AnyCheck = Annotated[
    CheckName, WithJsonSchema({"type": "string", "enum": [each.value for each in CheckName]})
]
AnyVerdict = Annotated[Verdict, WithJsonSchema({"type": "string", "enum": [each.value for each in Verdict]})]


class CheckBody(Schema):
    """One check of the gate; `numbers` are what `found` is made of."""

    name: AnyCheck
    verdict: AnyVerdict
    expected: str
    found: str
    numbers: dict[str, float]


class MeasuredBody(Schema):
    """How good a version is on the sample that it came with; `sha256` tells one sample from another.

    `std` is the standard error of the mean; null of a single item.
    """

    data: str = Field(examples=["150 rows of the sample"])
    sha256: str
    items: int = Field(examples=[150])
    values: dict[str, Metric]

    @classmethod
    def of(cls, measured: Measured | None) -> Self | None:
        """The API's view of it; null: nobody has tried it on a sample."""
        return None if measured is None else cls(**dict(measured))


class ReportBody(Schema):
    """What the gate says of a version; `against` is the one that served then, null: there was none."""

    against: str | None
    passed: bool
    at: datetime
    seconds: float
    checks: list[CheckBody]
    measured: MeasuredBody | None

    @classmethod
    def of(cls, report: Report) -> Self:
        """The API's view of a report."""
        return cls(
            against=report.against,
            passed=report.has_passed,
            at=report.at,
            seconds=report.seconds,
            checks=[CheckBody(**dict(check)) for check in report.checks],
            measured=MeasuredBody.of(report.measured),
        )
