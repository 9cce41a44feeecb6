"""The commands of `models` that show versions, and say which of them serve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import click

from production_server.jobs.channels import Change, ChannelRow, Event
from production_server.learning.canary import WORDS
from production_server.learning.promotion import kept_report
from production_server.learning.replay import Replay
from production_server.learning.report import DESPITE, allowed_by
from production_server.models.channels import CANARY, STABLE
from production_server.models.manifest import Metric
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.run.manifest_lines import lines_of
from production_server.run.opened_serving import opened_serving, user_acting
from production_server.serving.canaries import Canary
from production_server.serving.changes import NOTHING
from production_server.serving.comparison import Row, Value, as_plain, compare
from production_server.serving.overview import VersionState
from production_server.serving.promoting import MOST_PERCENT, Promoted, Wanted
from production_server.serving.rollouts import LONGEST_LOAD_S, checked
from production_server.settings import Settings
from production_server.shown import shown

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
WHY = click.option("--why", "reason", default="", help="Why, for whoever reads the history.")
BREAKING = click.option(
    "--breaking", is_flag=True, help="Take other inputs or answers than the version that serves now has."
)
DESPITE_CHECK = click.option(
    "--despite",
    multiple=True,
    type=click.Choice([check.value for check in DESPITE]),
    help="A check of the gate that it may fail; may come several times.",
)
MOST_OTHERS = 5
"""Of the items that a version answers otherwise, as many are printed."""
SLACK_S = 10.0
"""So long after the last moment at which workers may have loaded a version somebody has told so."""
NO_VERSION = "none"
"""As `--if-now` has it."""


@click.command("list")
@AS_JSON
@click.pass_obj
def list_models(settings: Settings, *, as_json: bool) -> None:
    """Show all models: which versions there are, and what their channels name."""
    with opened_serving(settings) as serving:
        registry = serving.registry
        found = [_told_of_model(registry, name) for name in registry.model_names()]
    if as_json:
        click.echo(json.dumps(found))
        return
    rows = [("model", "serves", "other channels", "versions", "task", "runner", "made", "title")]
    for each in found:
        others = (f"{name} {number}" for name, number in each["channels"].items() if name != STABLE)
        open_ = [number for number in each["versions"] if number not in each["retired"]]
        rows.append(
            (
                each["name"],
                each["channels"].get(STABLE, "–"),
                ", ".join(others) or "–",
                f"{len(open_)}" + (f" + {len(each['retired'])} retired" if each["retired"] else ""),
                each["task"],
                each["runner"],
                each["made"][:10],
                each["title"],
            )
        )
    _print_table(rows)


@click.command()
@click.argument("name")
@click.option("--version", "which", help="Which version, or channel.  [default: what serves]")
@AS_JSON
@click.pass_obj
def show(settings: Settings, *, name: str, which: str | None, as_json: bool) -> None:
    """Show what a version takes and answers, where it comes from, and how it stands."""
    with opened_serving(settings) as serving:
        version = named_version(serving.registry, name, which) if which else serving.registry.shown(name)
        state = serving.overview.version(*version.key)
        told = _told_of_model(serving.registry, name)
    if as_json:
        click.echo(version.manifest.to_json())
        return
    report = kept_report(version)
    said = report.lines() if report else ()
    click.echo("\n".join((*lines_of(version.manifest), *_standing_lines(state, told), *said)))


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--channel", default=STABLE, show_default=True, help="What is to name it.")
@click.option(
    "--if-now",
    "expected",
    help=f"Only if the channel names this version now; `{NO_VERSION}`: only if it names none.",
)
@click.option(
    "--percent",
    type=click.FloatRange(0, MOST_PERCENT, min_open=True),
    help=f"What --channel {CANARY} gets of the work that asks for no version.  [default: only what asks for it]",
)
@BREAKING
@DESPITE_CHECK
@click.option("--dry-run", is_flag=True, help="Only say what stands in the way.")
@WHY
@AS_JSON
@click.pass_obj
def promote(  # noqa: PLR0913  # one argument per option
    settings: Settings,
    *,
    name: str,
    version: str,
    channel: str,
    expected: str | None,
    percent: float | None,
    breaking: bool,
    despite: tuple[str, ...],
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Have a channel name VERSION of NAME from now on: what serves, unless another channel is said.

    VERSION is a number, or the name of another channel. What is to serve passes the gate against what serves now,
    unless it has served before. The channel moves when every worker has loaded it, and every process knows it within
    two seconds.
    """
    wanted = Wanted(
        model=name,
        version=version,
        channel=channel,
        reason=reason,
        expected=NOTHING if expected == NO_VERSION else expected,
        percent=percent,
        allowed=allowed_by(breaking=breaking, despite=despite),
        dry_run=dry_run,
    )
    with opened_serving(settings, _say) as serving:
        promoted = serving.promote(wanted, by=user_acting())
        if not as_json:
            _say_report(wanted, promoted)
        if promoted.rollout is not None:
            seconds = LONGEST_LOAD_S + SLACK_S
            done = checked(serving.rollouts.wait(promoted.rollout.id, seconds=seconds, say=_say_waits_for))
            promoted = replace(promoted, rollout=done)
        row = serving.overview.named(name, channel) or ChannelRow(channel, NOTHING)
    if as_json:
        kept = None if promoted.report is None else promoted.report.model_dump(mode="json")
        click.echo(json.dumps({"model": name, **asdict(row), "dry_run": dry_run, "report": kept}))
    elif dry_run:
        click.echo(f"Nothing was changed: --dry-run. {name} version {version} could be {channel}.")
    else:
        _say_replay(promoted)
        share = f", for {percent:g} % of the work" if percent else ""
        click.echo(f"{name} {channel} is version {row.version}{share}, within two seconds everywhere.")


@click.command()
@click.argument("name")
@click.option("--channel", default=STABLE, show_default=True, help="Which channel goes back.")
@click.option("--if-now", "expected", help="Only if the channel names this version now.")
@WHY
@AS_JSON
@click.pass_obj
def rollback(
    settings: Settings, *, name: str, channel: str, expected: str | None, reason: str, as_json: bool
) -> None:
    """Have a channel of NAME name at once what it named before; a second time goes back one further."""
    with opened_serving(settings) as serving:
        version = serving.roll_back(name, channel, reason=reason, expected=expected, by=user_acting())
        row = serving.overview.channel(name, channel)
    told = f"{name} {channel} is version {version} again, within two seconds everywhere."
    click.echo(json.dumps({"model": name, **asdict(row)}) if as_json else told)


@click.command()
@click.argument("name")
@AS_JSON
@click.pass_obj
def canary(settings: Settings, *, name: str, as_json: bool) -> None:
    """Show how the canary of NAME does beside what is stable, on what both answered since it has its share.

    One that does worse is taken back by itself. One that does as well waits until you promote it.
    """
    with opened_serving(settings) as serving:
        found = serving.canaries.named(name)
    if as_json:
        click.echo(json.dumps({"model": name, **_told_of_canary(found)}))
        return
    share = f"{found.row.percent:g} % of the work"
    click.echo(f"Version {found.row.version} of {name} has {share}: {WORDS[found.verdict]}.")
    for reason in found.reasons:
        click.echo(f"  {reason}")
    rows = [("", "version", "answers", "failed", "95 of 100 take at most")]
    for work, both in found.seen.items():
        for version, seen in zip((found.row.version, found.stable or "–"), both, strict=True):
            p95 = "–" if seen.p95_ms is None else f"{seen.p95_ms:.3g} ms"
            rows.append((work, version, f"{seen.answers:,}", f"{seen.failed:,}", p95))
    if found.seen:
        _print_table(rows)


@click.command()
@click.argument("name")
@click.argument("channel")
@WHY
@click.pass_obj
def unset(settings: Settings, *, name: str, channel: str, reason: str) -> None:
    """Have CHANNEL of NAME name no version any more; `stable` always names one."""
    with opened_serving(settings) as serving:
        serving.remove_channel(name, channel, reason=reason, by=user_acting())
    click.echo(f"{name} has no {channel} any more.")


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--undo", is_flag=True, help="Have it take work again.")
@WHY
@click.pass_obj
def retire(settings: Settings, *, name: str, version: str, undo: bool, reason: str) -> None:
    """Have VERSION of NAME take no new work. Jobs that have it are finished."""
    with opened_serving(settings) as serving:
        act = serving.restore if undo else serving.retire
        act(name, version, reason=reason, by=user_acting())
    click.echo(f"{name} version {version} {'takes work again' if undo else 'takes no new work'}.")


@click.command()
@click.argument("name")
@click.argument("version")
@WHY
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
@click.pass_obj
def delete(settings: Settings, *, name: str, version: str, reason: str, yes: bool) -> None:
    """Remove the files of a retired VERSION of NAME, for good. Its number is not given again."""
    with opened_serving(settings) as serving:
        serving.check_deletable(name, version)
    if not yes:
        click.confirm("Its files are gone then. Delete them?", abort=True)
    with opened_serving(settings) as serving:
        serving.delete(name, version, reason=reason, by=user_acting())
    click.echo(f"{name} version {version} is deleted.")


@click.command()
@click.argument("name")
@click.option("--channel", help="Only of this channel.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@AS_JSON
@click.pass_obj
def history(settings: Settings, *, name: str, channel: str | None, limit: int, as_json: bool) -> None:
    """Show what was changed of NAME, by whom and why, the latest first."""
    with opened_serving(settings) as serving:
        found = serving.overview.history(name, channel=channel, limit=limit)
    if as_json:
        click.echo(json.dumps([asdict(each) | {"at": _time(each.at).isoformat()} for each in found]))
        return
    if not found:
        click.echo("Nobody has changed anything: the newest version is stable.")
        return
    rows = [("when (UTC)", "what", "who", "why")]
    rows += [(f"{_time(each.at):%Y-%m-%d %H:%M:%S}", _what(each), each.client, each.reason) for each in found]
    _print_table(rows)


@click.command("compare")
@click.argument("name")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@AS_JSON
@click.pass_obj
def compare_versions(settings: Settings, *, name: str, first: str, second: str, as_json: bool) -> None:
    """Show two versions of NAME side by side; A and B are numbers, or names of channels."""
    with opened_serving(settings) as serving:
        versions = [named_version(serving.registry, name, which) for which in (first, second)]
    found = compare(versions)
    numbers = [version.key[1] for version in versions]
    if as_json:
        told = {row.name: dict(zip("ab", map(as_plain, row.values), strict=True)) for row in found}
        click.echo(json.dumps({"model": name, "a": numbers[0], "b": numbers[1], "rows": told}))
        return
    rows = [("", *(f"version {number}" for number in numbers), "difference")]
    rows += [(row.name, *(_cell(row, value) for value in row.values), _difference(row)) for row in found]
    _print_table(rows)


SERVING_COMMANDS: Sequence[click.Command] = (
    list_models, show, promote, canary, rollback, unset, retire, delete, history, compare_versions,
)  # fmt: skip


def named_version(registry: Registry, name: str, which: str) -> ModelVersion:
    """The version of that number, retired or not, or that a channel names."""
    return registry.version(name, which) if which.isdecimal() else registry.resolve(name, which)


def _told_of_model(registry: Registry, name: str) -> dict[str, Any]:
    manifest, retired = registry.shown(name).manifest, registry.retired(name)
    numbers = [each.key[1] for each in registry.versions(name)]
    return {
        "name": name,
        "title": manifest.title,
        "task": manifest.task,
        "runner": manifest.runner,
        "made": manifest.created.isoformat(),
        "versions": numbers,
        "retired": [number for number in numbers if number in retired],
        "channels": registry.channels(name),
    }


def _standing_lines(state: VersionState, told: dict[str, Any]) -> list[str]:
    channels = ", ".join(state.channels) or ("–, it is retired" if state.is_retired else "–")
    lines = [f"  channels  {channels}"]
    if state.loaded_by:
        lines.append(f"  loaded by {', '.join(state.loaded_by)}")
    lines += [f"  does not load in {worker}: {reason}" for worker, reason in state.failing.items()]
    others = [
        number + (" (retired)" if number in told["retired"] else "")
        for number in told["versions"]
        if number != state.version.key[1]
    ]
    return lines + ([f"  others    {', '.join(others)}"] if others else [])


def _told_of_canary(found: Canary) -> dict[str, Any]:
    seen = {
        work: {CANARY: canary.to_json(), STABLE: stable.to_json()}
        for work, (canary, stable) in found.seen.items()
    }
    return {
        "version": found.row.version,
        "stable": found.stable,
        "percent": found.row.percent,
        "verdict": found.verdict,
        "reasons": found.reasons,
        "seen": seen,
    }


def _say_report(wanted: Wanted, promoted: Promoted) -> None:
    if promoted.report is None and wanted.channel == STABLE:
        click.echo(f"The gate was not asked: {wanted.model} version {wanted.version} is stable, or has been.")
    for line in promoted.report.lines() if promoted.report else ():
        click.echo(line)


def _say_replay(promoted: Promoted) -> None:
    """What the version answers to stored inputs, where somebody has looked."""
    if promoted.rollout is None or promoted.rollout.replay is None:
        return
    replay = Replay.model_validate(promoted.rollout.replay)
    if not replay.items:
        return
    click.echo(f"Before any traffic: {replay.told}.")
    for each in replay.others[:MOST_OTHERS]:
        click.echo(f"  job {each.job} item {each.index}: {shown(each.before)} → {shown(each.after)}")
    if replay.disagreements > MOST_OTHERS:
        click.echo("  … and more: GET /api/models/<name>/rollouts has twenty")


def _say_waits_for(workers: list[str]) -> None:
    click.echo(f"Waiting until it is loaded in {', '.join(workers)} ...", err=True)


def _what(event: Event) -> str:
    """A change in a few words: `stable 2 → 3`."""
    if event.act in (Change.SET, Change.ROLLED_BACK):
        share = f", {event.percent:g} %" if event.percent else ""
        despite = f", despite {', '.join(event.overridden)}" if event.overridden else ""
        back = ", back" if event.act == Change.ROLLED_BACK else ""
        return f"{event.channel} {event.before or '–'} → {event.after or '–'}{share}{despite}{back}"
    if event.act == Change.REFUSED:
        return f"{event.channel} {event.before or '–'} → {event.after} refused"
    if event.act == Change.REMOVED:
        return f"{event.channel} {event.before} → –"
    return f"version {event.before or event.after} {event.act}"


def _cell(row: Row, value: Value) -> str:
    if value is None:
        return "–"
    if isinstance(value, Metric):
        return f"{value.mean:.4g}" + (f" ± {value.std:.2g}" if value.std is not None else "")
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if row.kind == "parity":
        return f"{value:.1e}"
    return f"{value:,} bytes" if row.kind == "size" else shown(str(value))


def _difference(row: Row) -> str:
    first, second = row.values
    if not row.is_comparable:
        return "on another sample"
    if isinstance(first, Metric) and isinstance(second, Metric):
        return f"{second.mean - first.mean:+.4g}"
    if row.kind == "size" and isinstance(first, int) and isinstance(second, int):
        return f"{second - first:+,} bytes"
    return ""


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    rows = [tuple(shown(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _say(text: str) -> None:
    click.echo(text, err=True)


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
