"""What travels over the API about the gate."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import WithJsonSchema

from production_server.learning.report import CheckName, Report, Verdict
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


class ReportBody(Schema):
    """What the gate says of a version; `against` is the one that served then, null: there was none."""

    against: str | None
    passed: bool
    at: datetime
    seconds: float
    checks: list[CheckBody]

    @classmethod
    def of(cls, report: Report) -> Self:
        """The API's view of a report."""
        return cls(
            against=report.against,
            passed=report.has_passed,
            at=report.at,
            seconds=report.seconds,
            checks=[CheckBody(**dict(check)) for check in report.checks],
        )
