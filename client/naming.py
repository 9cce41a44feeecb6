"""The commands about personas: who faces are of, what people say of them, and what was learnt from it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from client.api import WHILE_FOLLOWING
from client.errors import Unavailable
from client.exits import EPILOG
from client.files import replaced
from client.options import Shared, shared, timeout
from client.output import print_facts, print_note, print_table
from client.persona_calls import MOST_AT_ONCE, Personas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.answers import ClassifierList, Face, FaceDecision, Persona, Promise, Tried

POLL_S = 0.5
SAID = ("label", "reject", "stranger", "not-a-face", "ignore")
_ID = click.IntRange(1, 2**31 - 1)


@click.group(epilog=EPILOG)
def personas() -> None:
    """Say who the faces in pictures are. A key needs the scope personas.

    WHO is the id of a persona, or its name.

    \b
    Examples
      personas groups
      personas add Ada
      personas say label 12 15 19 --persona Ada
      personas faces Ada --kind predicted
      personas say reject 23 --persona Ada
      personas classifiers --wait
    """


@personas.command("list", epilog=EPILOG)
@shared
def show_all(options: Shared) -> None:
    """List personas by name, with how many faces are labelled and predicted.

    \b
    Examples
      personas list
      personas list --json
    """
    with options.connect() as server:
        found = Personas(server).all()
    options.show({"personas": [asdict(each) for each in found]}, lambda: _print_personas(found))


@personas.command(epilog=EPILOG)
@click.argument("who")
@shared
def show(options: Shared, who: str) -> None:
    """Show one persona.

    \b
    Examples
      personas show Ada
      personas show 7
    """
    with options.connect() as server:
        _show(options, Personas(server).find(who))


@personas.command(epilog=EPILOG)
@click.argument("name")
@shared
def add(options: Shared, name: str) -> None:
    """Make a persona, of whom nothing is known yet.

    \b
    Examples
      personas add "Ada Lovelace"
    """
    with options.connect() as server:
        _show(options, Personas(server).add(name))


@personas.command(epilog=EPILOG)
@click.argument("who")
@click.argument("name")
@shared
def rename(options: Shared, who: str, name: str) -> None:
    """Give a persona another name.

    \b
    Examples
      personas rename Ada "Ada Lovelace"
    """
    with options.connect() as server:
        known = Personas(server)
        _show(options, known.rename(known.find(who).id, name))


@personas.command(epilog=EPILOG)
@click.argument("who")
@click.argument("into")
@shared
def merge(options: Shared, who: str, into: str) -> None:
    """Have all that was said of WHO count as said of INTO; split takes that back.

    \b
    Examples
      personas merge 12 Ada
    """
    with options.connect() as server:
        known = Personas(server)
        one, other = known.find(who), known.find(into)
        merged = known.merge(one.id, other.id)
    if not options.is_quiet:
        print_note(f"{one.name} counts as {merged.name}. Take that back with: personas split {one.id}")
    _show(options, merged)


@personas.command(epilog=EPILOG)
@click.argument("persona_id", metavar="ID", type=_ID)
@shared
def split(options: Shared, persona_id: int) -> None:
    """Have the persona ID, which was merged into another, stand for itself again.

    \b
    Examples
      personas split 12
    """
    with options.connect() as server:
        _show(options, Personas(server).split(persona_id))


@personas.command(epilog=EPILOG)
@click.argument("who")
@click.option("--faces", "with_faces", is_flag=True, help="Delete its faces, too, and what tells them apart.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
def delete(options: Shared, who: str, *, with_faces: bool, yes: bool) -> None:
    """Delete a persona and all that was said and learnt of it. Nothing brings that back.

    \b
    Examples
      personas delete Ada
      personas delete Ada --faces --yes
    """
    with options.connect() as server:
        known = Personas(server)
        found = known.find(who)
        if not yes:
            what = " with its faces" if with_faces else ""
            told = f"{found.labelled} labelled, {found.predicted} predicted"
            click.confirm(f"Delete {found.name} ({told}){what}, for good?", abort=True, err=True)
        gone = known.delete(found.id, with_faces=with_faces)
    facts = {"deleted": found.name, "faces": str(gone.faces) if with_faces else None}
    options.show(asdict(gone), lambda: print_facts(facts))


@personas.command(epilog=EPILOG)
@click.argument("kind", type=click.Choice(SAID))
@click.argument("faces", metavar="FACE...", nargs=-1, required=True, type=_ID)
@click.option("--persona", metavar="WHO", help="Whom label and reject mean: an id or a name.")
@shared
def say(options: Shared, kind: str, faces: tuple[int, ...], persona: str | None) -> None:
    """Say what faces are: label (this persona), reject (not this one), stranger, not-a-face, ignore.

    Up to 500 faces are decided all or none, more of them in parts of so many. What counts already is not said again.

    \b
    Examples
      personas say label 12 15 19 --persona Ada
      personas say reject 23 --persona Ada
      personas say stranger 24 25
    """
    if (kind in ("label", "reject")) != (persona is not None):
        verb = "needs" if persona is None else "takes no"
        raise click.UsageError(f"{kind} {verb} --persona")
    with options.connect() as server:
        known = Personas(server)
        number = None if persona is None else known.find(persona).id
        made = _say(options, known, faces, kind=kind.replace("-", "_"), persona=number)
    options.show({"decisions": [asdict(each) for each in made]}, lambda: _print_decisions(made))


@personas.command(epilog=EPILOG)
@click.argument("decision_id", metavar="[DECISION]", required=False, type=_ID)
@shared
def undo(options: Shared, decision_id: int | None) -> None:
    """Take back what you said last at once of faces, or one DECISION of yours.

    \b
    Examples
      personas undo
      personas undo 812
    """
    with options.connect() as server:
        made = Personas(server).undo(decision_id)
    options.show({"decisions": [asdict(each) for each in made]}, lambda: _print_decisions(made))


@personas.command(epilog=EPILOG)
@click.argument("who", metavar="[WHO]", required=False)
@click.option(
    "--kind",
    type=click.Choice(["labelled", "predicted", "outliers"]),
    default="labelled",
    show_default=True,
    help="What people said, what the classifier says (the surest first), or what people may have said wrongly.",
)
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Pass so many over.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="List so many."
)
@shared
def faces(options: Shared, who: str | None, **arguments: Any) -> None:
    """List faces of a persona; without WHO those that nobody is known for, the latest first.

    \b
    Examples
      personas faces
      personas faces Ada --kind predicted --limit 20
      personas faces Ada --kind outliers
    """
    with options.connect() as server:
        known = Personas(server)
        found = known.faces(None if who is None else known.find(who).id, **arguments)
    options.show({"faces": [asdict(each) for each in found]}, lambda: _print_faces(found))


@personas.command(epilog=EPILOG)
@shared
def groups(options: Shared) -> None:
    """Group the latest faces of nobody that are alike, the largest group first: somebody new?

    \b
    Examples
      personas groups
    """
    with options.connect() as server:
        found = Personas(server).groups()
    told = {"groups": [[asdict(face) for face in group] for group in found]}
    options.show(told, lambda: _print_groups(found))


@personas.command(epilog=EPILOG)
@click.argument("who")
@click.option(
    "--output", "path", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Where to: a line of JSON for the persona, and one for each face.",
)  # fmt: skip
@shared
def export(options: Shared, who: str, *, path: Path) -> None:
    """Write all that is known of a persona to a file, which replaces what was there when all of it has come.

    \b
    Examples
      personas export Ada --output ada.jsonl
    """
    with options.connect() as server, replaced(path) as file:
        known = Personas(server)
        known.export(known.find(who).id, file)
    if not options.is_quiet:
        print_note(f"written to {path}")


@personas.command(epilog=EPILOG)
@click.option(
    "--wait", is_flag=True, help="Wait until all that was said is learnt, and all faces are judged."
)
@timeout
@shared
def classifiers(options: Shared, *, wait: bool, timeout: float | None) -> None:
    """Show what judges faces, how many strangers it names, and what it changed.

    \b
    Examples
      personas classifiers
      personas classifiers --wait --timeout 60
    """
    with options.connect() as server:
        known = Personas(server)
        if wait:
            server.patience = WHILE_FOLLOWING
        found = _settled(known, timeout_s=timeout) if wait else known.classifiers()
    options.show(asdict(found), lambda: _print_classifiers(found))


@personas.command(epilog=EPILOG)
@click.argument("model")
@click.argument("one_in", metavar="N", type=click.IntRange(2, 10_000))
@click.option(
    "--try", "version", metavar="VERSION", help="Only show what that would change for VERSION of MODEL."
)
@click.option(
    "--limit", type=click.IntRange(1, 500), default=100, show_default=True, help="Show so many faces."
)
@shared
def promise(options: Shared, model: str, one_in: int, *, version: str | None, limit: int) -> None:
    """Have at most one stranger in N get a name, by all versions of MODEL. Setting it back undoes it.

    \b
    Examples
      personas promise faces 50 --try 1
      personas promise faces 50
    """
    with options.connect() as server:
        known = Personas(server)
        if version is not None:
            tried = known.try_promise(model, version, one_in, limit=limit)
            options.show(asdict(tried), lambda: _print_tried(tried))
            return
        found = known.set_promise(model, one_in)
    options.show(asdict(found), lambda: _print_classifiers(found))


def _settled(known: Personas, *, timeout_s: float | None) -> ClassifierList:
    """What judges when nothing is left to be learnt or judged.

    Raises:
        Unavailable: it is not so within the time given; learning goes on.
    """
    started = time.monotonic()
    while not (found := known.classifiers()).is_settled:
        if timeout_s is not None and time.monotonic() + POLL_S > started + timeout_s:
            raise Unavailable(f"{found.waiting} changes are not learnt within {timeout_s:g} s")
        time.sleep(POLL_S)
    return found


def _say(
    options: Shared, known: Personas, faces: Sequence[int], *, kind: str, persona: int | None
) -> list[FaceDecision]:
    console = Console(stderr=True)
    is_shown = console.is_terminal and not options.is_quiet and len(faces) > MOST_AT_ONCE
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    made: list[FaceDecision] = []
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as progress:
        task = progress.add_task("faces", total=len(faces))
        for start in range(0, len(faces), MOST_AT_ONCE):
            some = faces[start : start + MOST_AT_ONCE]
            made += known.say(some, kind=kind, persona=persona)
            progress.advance(task, len(some))
    return made


def _show(options: Shared, found: Persona) -> None:
    options.show(asdict(found), lambda: _print_persona(found))


def _print_personas(found: Sequence[Persona]) -> None:
    rows = [(str(each.id), each.name, str(each.labelled), str(each.predicted)) for each in found]
    print_table(("ID", "NAME", "LABELLED", "PREDICTED"), rows)


def _print_persona(found: Persona) -> None:
    print_facts(
        {
            "persona": str(found.id),
            "name": found.name,
            "faces": f"{found.labelled} labelled, {found.predicted} predicted",
            "made by": found.made_by,
            "made": found.made_at,
        }
    )


def _print_faces(found: Sequence[Face]) -> None:
    columns = ("FACE", "PREDICTED", "NEAREST", "COSINE", "SIDE", "NOTE", "JOB", "INDEX")
    print_table(columns, map(_face, found))


def _print_groups(found: Sequence[Sequence[Face]]) -> None:
    rows = [
        (str(number), str(len(group)), " ".join(str(face.id) for face in group))
        for number, group in enumerate(found, 1)
    ]
    print_table(("GROUP", "FACES", "IDS"), rows)


def _face(each: Face) -> tuple[str, ...]:
    cosine = "" if each.cosine is None else f"{each.cosine:.3f}"
    note = "" if each.learnt_from else "blurred or tiny"
    people = (_id(each.predicted), _id(each.nearest))
    return (str(each.id), *people, cosine, str(each.side), note, each.job, str(each.index))


def _id(number: int | None) -> str:
    return "" if number is None else str(number)


def _print_decisions(made: Sequence[FaceDecision]) -> None:
    if not made:
        print_note("all of that counts already")
        return
    rows = [(str(each.id), str(each.face), each.kind, _id(each.persona), each.who) for each in made]
    print_table(("DECISION", "FACE", "SAID", "PERSONA", "WHO"), rows)


def _print_classifiers(found: ClassifierList) -> None:
    rows = [
        (
            f"{each.model}/{each.version}",
            str(each.personas),
            f"{each.threshold:.3f}",
            f"one in {each.one_in}",
            _strangers(each.promise),
            each.said if each.done else f"{each.said}, and goes on",
        )
        for each in found.classifiers
    ]
    print_table(("MODEL", "PERSONAS", "COSINE", "PROMISED", "STRANGERS NAMED", "CHANGED"), rows)
    if found.waiting:
        print_note(f"{found.waiting} changes of what people said are to be learnt from")


def _print_tried(tried: Tried) -> None:
    print_facts(
        {
            "promise": f"one stranger in {tried.one_in}",
            "cosine": f"from {tried.threshold:.3f}",
            "strangers": f"named: {_strangers(tried.promise)}",
            "faces": f"{tried.named} would have a name, {tried.named_now} have one now",
        }
    )
    if tried.faces:
        print_note(f"these would {'get' if tried.gain else 'lose'} one:")
        _print_faces(tried.faces)


def _strangers(found: Promise) -> str:
    if not found.strangers:
        return "not known yet"
    return f"{found.named} of {found.strangers} ({found.low:.1%} to {found.high:.1%})"
