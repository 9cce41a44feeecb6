"""/label/<model>: one question at a time, with a key, a button or a tap for each answer."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from flask import Response, make_response, redirect, render_template, request, url_for
from pydantic import Field

from production_server.access.scopes import Scope
from production_server.errors import (
    CeleriacError,
    Conflict,
    InvalidInput,
    NotFound,
    TooManyRequests,
    VersionRetired,
)
from production_server.jobs.records import Job
from production_server.labels.bringing import Brought
from production_server.labels.decisions import undo
from production_server.labels.progress import read_progress
from production_server.labels.records import ORDERS, Decision, ItemId, Order, Question, Said
from production_server.labels.standing import current
from production_server.models.tasks.task import LabelScore
from production_server.web.api.label_files import bring_sent
from production_server.web.api.label_schemas import (
    MAX_LABEL,
    MAX_SITTING,
    DecisionRequest,
    choices_of,
)
from production_server.web.api.labelling import (
    decide_as_asked,
    labeller,
    row_of,
    task_to_label,
)
from production_server.web.api.requests import read_form
from production_server.web.api.schemas import MAX_INDEX, Schema
from production_server.web.api.stats_schemas import NO_NUL, page_of
from production_server.web.edge.flask_door import asking_client
from production_server.web.edge.parts import WebParts, current_parts
from production_server.web.edge.problems import status_of
from production_server.web.pages.login import local_path
from production_server.web.pages.shown_results import Value, values_of_row
from production_server.web.pages.trainings import training_of

ORDER_NAMES: dict[Order, str] = {
    "margin": "Least sure first",
    "random": "At random",
    "newest": "Newest first",
    "second": "Second opinion",
}
_KINDS: Mapping[str, Said] = {"yes": "label", "no": "reject", "skip": "skip", "ignore": "ignore"}
"""What buttons say that name no label."""
IS = "is:"
"""What a button says before a label."""
MOST_KNOWN = 1_000
"""Labels that a text field offers."""


class UndoForm(Schema):
    """Takes back what was said last."""

    sitting: str = Field(default="", max_length=MAX_SITTING, pattern=NO_NUL)
    key: str = Field(default="", max_length=64, pattern=r"^[\x21-\x7e]*$")
    order: Order = "margin"


class SaidForm(UndoForm):
    """What a button or a text field of the page says of an item."""

    job: UUID
    index: int = Field(ge=0, le=MAX_INDEX)
    new: bool = False
    say: str = Field(max_length=MAX_LABEL + len(IS), pattern=NO_NUL)
    label: str | None = Field(default=None, max_length=MAX_LABEL, pattern=NO_NUL)
    back: str = Field(default="", max_length=2_000)

    def asked(self) -> DecisionRequest:
        """As the API is asked.

        Raises:
            InvalidInput: it says none of what the page offers.
        """
        label = None if self.say in _KINDS else self._label()
        return DecisionRequest(
            job=self.job,
            index=self.index,
            kind=_KINDS.get(self.say, "label"),
            label=label,
            new=self.new,
            sitting=self.sitting,
        )

    def idempotency_key(self) -> str | None:
        """A form that is sent twice says the same once; whoever comes back to it may say something else."""
        told = hashlib.sha256(repr((self.say, self.label)).encode(errors="backslashreplace")).hexdigest()
        return f"{self.key}-{told[:16]}" if self.key else None

    def _label(self) -> str:
        label = self.say.removeprefix(IS) if self.say.startswith(IS) else (self.label or "").strip()
        if not label:
            raise InvalidInput.at("label", "a label", "nothing")
        return label


@dataclass(frozen=True, slots=True)
class ShownQuestion:
    """A question, ready to be shown."""

    asked: Question
    choices: list[LabelScore]
    has_image: bool
    values: tuple[Value, ...]
    page: str
    key: str


@dataclass(frozen=True, slots=True)
class Labelling:
    """What a page of results needs to have people say what an item is."""

    token: str
    said: dict[ItemId, Decision]


def show(name: str) -> Response:
    """The next question, and the one behind it, so that nobody waits for it."""
    order = request.args.get("order", "margin")
    sitting = request.args.get("sitting", "")[:MAX_SITTING]
    if order not in ORDERS or not (sitting.isprintable() and sitting):
        task_to_label(current_parts(), name)
        known = order if order in ORDERS else "margin"
        return _to_page(name, known, secrets.token_urlsafe(6), HTTPStatus.FOUND)
    return _page(name, order, sitting)


def decide(name: str) -> Response:
    """Store what somebody says, and show the next question, or the page where it was said."""
    form = read_form(SaidForm, request.form)
    try:
        decide_as_asked(current_parts(), name, form.asked(), key=form.idempotency_key())
    except (InvalidInput, NotFound, Conflict) as exc:
        if form.back:
            raise
        return _page(name, form.order, form.sitting, exc, typed=form.label or "")
    if form.back:
        return make_response(redirect(local_path(form.back), HTTPStatus.SEE_OTHER))
    return _to_page(name, form.order, form.sitting, HTTPStatus.SEE_OTHER)


def take_back(name: str) -> Response:
    """Undo what somebody has said last, and show that question again."""
    form = read_form(UndoForm, request.form)
    parts = current_parts()
    task_to_label(parts, name)
    try:
        undo(parts.database, name, by=labeller(form.sitting), idempotency_key=form.key or None)
    except (NotFound, Conflict) as exc:
        return _page(name, form.order, form.sitting, exc)
    return _to_page(name, form.order, form.sitting, HTTPStatus.SEE_OTHER)


def bring_labels(name: str) -> Response:
    """Store what a file says, and tell what came of it above the next question."""
    try:
        job, brought = bring_sent(name, key=None)
    except (InvalidInput, Conflict, VersionRetired, TooManyRequests) as exc:
        return _page(name, "margin", secrets.token_urlsafe(6), exc)
    return _page(name, "margin", secrets.token_urlsafe(6), brought=brought, job=job)


def labelling_of(parts: WebParts, items: list[ItemId]) -> Labelling | None:
    """What was said of items that a page shows; None: who asks may say nothing."""
    if not asking_client().may(Scope.LABEL):
        return None
    return Labelling(secrets.token_urlsafe(9), current(parts.database, items))


def _to_page(name: str, order: str, sitting: str, status: HTTPStatus) -> Response:
    return make_response(redirect(url_for("pages.label", name=name, order=order, sitting=sitting), status))


def _page(
    name: str,
    order: Order,
    sitting: str,
    error: CeleriacError | None = None,
    *,
    typed: str = "",
    brought: Brought | None = None,
    job: Job | None = None,
) -> Response:
    parts = current_parts()
    task, by = task_to_label(parts, name), labeller(sitting)
    asked = [_to_shown(parts, name, each) for each in parts.questions.next(task, order, by=by, count=2)]
    page = render_template(
        "pages/label.html",
        manifest=task.manifest,
        task=task,
        training=training_of(parts, name),
        progress=read_progress(parts.questions, task, by=by),
        question=asked[0] if asked else None,
        following=asked[1] if len(asked) > 1 else None,
        order=order,
        orders=ORDER_NAMES,
        sitting=sitting,
        undo_key=secrets.token_urlsafe(9),
        known=task.choices[:MOST_KNOWN],
        typed=typed,
        brought=brought,
        job=job,
        error=error,
    )
    return make_response(page, 200 if error is None else status_of(error))


def _to_shown(parts: WebParts, name: str, asked: Question) -> ShownQuestion:
    task = parts.registry.task_of(name, asked.version)
    row = row_of(parts, asked, task)
    return ShownQuestion(
        asked=asked,
        choices=choices_of(asked, task),
        has_image=task.inputs.takes_files,
        values=() if row is None else values_of_row(task.manifest, list(row.values()), ()),
        page=page_of(*asked.item),
        key=secrets.token_urlsafe(9),
    )
