"""/models/<name>/versions: versions side by side, what serves now, the history, and forms that change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Response, make_response, redirect, render_template, request, url_for

from production_server.access.scopes import Scope
from production_server.errors import (
    BrokenVersion,
    CeleriacError,
    Conflict,
    InvalidInput,
    NotFound,
    StoreNotWritable,
    VersionRetired,
)
from production_server.jobs.rollouts import Rollout
from production_server.learning.canary import WORDS
from production_server.learning.replay import Replay
from production_server.learning.report import CheckName
from production_server.models.channels import CANARY, STABLE
from production_server.serving.changes import NOTHING
from production_server.serving.comparison import compare
from production_server.serving.overview import VersionState
from production_server.serving.promoting import MOST_PERCENT, Wanted
from production_server.serving.rollouts import checked
from production_server.shown import describe
from production_server.web.api.schemas import MAX_INDEX
from production_server.web.edge.flask_door import acting, asking_client
from production_server.web.edge.parts import current_parts
from production_server.web.edge.problems import status_of
from production_server.web.pages.imports import DESPITE
from production_server.web.pages.model_card import plot_files, plot_name
from production_server.web.pages.trainings import training_of

MOST_SIDE_BY_SIDE = 6
"""Versions: those that channels name, and the newest; others are there for a click."""
EVENTS = 50
PATIENCE_S = 5.0
"""So long the page waits for workers to load what is promoted."""
LOADING_MS, FOLLOW_MS = 1000, 5000
"""So often the page asks again by itself while a version is loading, and else: others push, promote and go back."""
MAY_FAIL: Mapping[str, str] = {"signature": "take or answer something else", **DESPITE}
"""What whoever promotes may let a version fail, and what that means."""
EXPECTED = "expected."
"""Before a channel's name in the form: what the page has shown of it."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing that some versions have: its name, and the file of each."""

    name: str
    files: tuple[tuple[str, str], ...]
    """Numbers of versions, and paths inside their folders of plots."""


def show(name: str) -> Response:
    """All that there is to know of a model's versions; `?with=` names one more to show."""
    return _page(name)


def promote(name: str) -> Response:
    """Have a channel name a version, unless it names another one by now than the page has shown."""
    channel = _field("channel") or STABLE
    wanted = Wanted(
        model=name,
        version=_field("version"),
        channel=channel,
        reason=_field("reason"),
        expected=request.form.get(EXPECTED + channel, NOTHING),
        allowed=tuple(CheckName(each) for each in MAY_FAIL if each in request.form.getlist("despite")),
    )
    return _do(name, lambda: _promote(wanted, _field("percent")))


def roll_back(name: str) -> Response:
    """Have a channel name what it named before, unless it names another one by now than the page has shown."""
    channel = _field("channel") or STABLE
    serving, expected = current_parts().serving, request.form.get(EXPECTED + channel, NOTHING)
    return _do(name, lambda: serving.roll_back(name, channel, expected=expected, **_told()))


def remove_channel(name: str) -> Response:
    """Have a channel name nothing any more."""
    serving = current_parts().serving
    reason, by = _field("reason"), acting()
    return _do(name, lambda: serving.remove_channel(name, _field("channel"), reason=reason, by=by))


def retire(name: str) -> Response:
    """Have a version take no new work."""
    return _do(name, lambda: current_parts().serving.retire(name, _field("version"), **_told()))


def restore(name: str) -> Response:
    """Have a retired version take work again."""
    return _do(name, lambda: current_parts().serving.restore(name, _field("version"), **_told()))


def delete(name: str) -> Response:
    """Remove the files of a retired version."""
    return _do(name, lambda: current_parts().serving.delete(name, _field("version"), **_told()))


def _promote(wanted: Wanted, percent: str) -> None:
    """Promote a version; what takes longer than people wait for is on the page as well."""
    parts = current_parts()
    if percent:
        wanted = replace(wanted, percent=_number(percent))
    found = parts.serving.promote(wanted, by=acting()).rollout
    if found is None:
        return
    with parts.waits.place() as pause:
        checked(parts.serving.rollouts.wait(found.id, seconds=PATIENCE_S, pause=pause))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput.at(
            "percent", f"a number above 0, at most {MOST_PERCENT}", describe(text)
        ) from None


def _field(name: str) -> str:
    return request.form.get(name, "").strip()


def _told() -> dict[str, Any]:
    return {"reason": _field("reason"), "by": acting()}


def _do(name: str, act: Callable[[], object]) -> Response:
    """Do it and show the page; or the page with what is wrong."""
    try:
        act()
    except (InvalidInput, NotFound, Conflict, VersionRetired, BrokenVersion, StoreNotWritable) as exc:
        return _page(name, exc)
    return make_response(redirect(url_for("pages.versions", name=name), 303))


def _page(name: str, error: CeleriacError | None = None) -> Response:
    parts = current_parts()
    states = parts.overview.versions(name)
    shown = _side_by_side(states, request.args.get("with"))
    channels, held = parts.overview.channels(name), parts.serving.promoting.held(name)
    rollouts = parts.overview.rollouts(name, limit=EVENTS)
    before = request.args.get("before", type=int)
    before = before if before and 0 < before <= MAX_INDEX else None
    loading, canary = _loading(rollouts), parts.serving.canaries.show(name)
    page = render_template(
        "pages/versions.html",
        manifest=parts.registry.shown(name).manifest,
        training=training_of(parts, name),
        channels=channels,
        loading=loading,
        canary=canary,
        follow_ms=LOADING_MS if loading else FOLLOW_MS,
        taken_back=parts.serving.canaries.taken_back(name),
        replays=_replays(rollouts),
        may_see_others=asking_client().is_admin,
        words=WORDS,
        earlier=parts.overview.earlier(name),
        here={state.version.key[1] for state in states},
        names=list(dict.fromkeys((STABLE, CANARY, *(row.channel for row in channels)))),
        states=shown,
        others=[state for state in states if state not in shown],
        retirable=[state for state in states if not (state.is_retired or state.channels)],
        promotable=[state for state in states if not state.is_retired],
        retired=[state for state in states if state.is_retired],
        rows=compare([state.version for state in shown]),
        held=held,
        failing={check.name.value for report in held.values() for check in report.failed},
        may_fail=MAY_FAIL,
        plots=_plots(shown),
        events=parts.overview.history(name, before=before, limit=EVENTS),
        events_limit=EVENTS,
        may_change=asking_client().may(Scope.MODELS),
        typed=request.form,
        error=error,
    )
    return make_response(page, 200 if error is None else status_of(error))


def _loading(rollouts: Sequence[Rollout]) -> list[tuple[Rollout, list[str]]]:
    """What channels are to name, and the workers that have not loaded it yet."""
    waits_for = current_parts().serving.rollouts.waits_for
    return [(each, waits_for(each)) for each in rollouts if each.state == "loading"]


def _replays(rollouts: Sequence[Rollout]) -> list[tuple[Rollout, Replay]]:
    """What the latest version that was promoted to each channel answered to stored inputs, where there were any."""
    found: dict[str, tuple[Rollout, Replay]] = {}
    for each in rollouts:
        if each.replay is not None:
            found.setdefault(each.channel, (each, Replay.model_validate(each.replay)))
    return [(rollout, replay) for rollout, replay in found.values() if replay.items]


def _side_by_side(states: Sequence[VersionState], asked: str | None) -> list[VersionState]:
    """The versions that channels name or somebody asks for, and the newest ones, as many as have room."""
    chosen = {state.version.key for state in states if state.channels or state.version.key[1] == asked}
    for state in states:
        if len(chosen) < MOST_SIDE_BY_SIDE and not state.is_retired:
            chosen.add(state.version.key)
    return [state for state in states if state.version.key in chosen] or list(states[:MOST_SIDE_BY_SIDE])


def _plots(states: Sequence[VersionState]) -> list[Plot]:
    found: dict[str, list[tuple[str, str]]] = {}
    for state in states:
        for path in plot_files(state.version.manifest):
            found.setdefault(path, []).append((state.version.key[1], path))
    return [Plot(plot_name(path), tuple(files)) for path, files in sorted(found.items())]
