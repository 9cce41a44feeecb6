"""What a person teaches a service about faces, round by round: names, strangers and faces that nobody has labelled.

    python -m benchmarks.persona_rounds STORE FOLDER --plot docs/images/persona-rounds.svg

STORE is a store of models that has `faces`. FOLDER has a folder for each person, with pictures of that person alone, as
AT&T's, 500 at most. A third of the people are known, a third are strangers that are met; the others nobody meets.

The pictures are sent as a job. In each round somebody who knows the first third says what 40 faces are, over the API:
half of them faces without a name (groups that are alike, then the latest), then what is predicted; three labels each.
After each round all faces are looked at that are never decided: half of those of people who are met, and all others.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.faces import ENDINGS, MODEL
from benchmarks.round_plots import Line, draw
from benchmarks.services import answered, embedded
from benchmarks.tables import number, table
from testing.celeriac import Celeriac
from testing.processes import wait_until

LABELS_EACH = 3
MOST_FACES = 500
"""As the API lists at once."""
COLUMNS = ("named rightly", "unknown", "wrong name", "strangers named")


@dataclass(frozen=True, slots=True)
class Division:
    """Who is who in one run."""

    known: frozenset[str]
    met: frozenset[str]
    files: dict[str, list[Path]]
    """The pictures of each person; of those who are known or met the first half is decided."""

    def may_decide(self, who: str, place: int) -> bool:
        """Whether the person at the page ever says what a person's picture shows."""
        return who in self.known | self.met and place < len(self.files[who]) / 2


@dataclass(frozen=True, slots=True)
class Told:
    """What is told after a round."""

    decisions: int
    labels: int
    right: int
    wrong: int
    of_known: int
    strangers_named: int
    of_strangers: int
    judged_s: float
    """From the last decision until every face is judged."""

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the held-out faces, as `COLUMNS`."""
        unknown = self.of_known - self.right - self.wrong
        known = [count / self.of_known for count in (self.right, unknown, self.wrong)]
        return (*known, self.strangers_named / self.of_strangers)


@click.command()
@click.argument("store", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--draws", default=5, show_default=True, help="Runs, each with others who are known.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--decisions", default=40, show_default=True, help="In each round.")
@click.option("--plot", type=click.Path(path_type=Path), help="An SVG to write.")
def main(*, store: Path, folder: Path, draws: int, rounds: int, decisions: int, plot: Path | None) -> None:
    """Measure, and print what docs/faces.md has as a table."""
    found = []
    for seed in range(1, draws + 1):
        with embedded(MODEL_STORE=str(store.absolute()), PERSONAS="on") as service:
            person = Person(service, divided(folder, seed))
            found.append([person.take_round(decisions) for _ in range(rounds)])
        click.echo(f"draw {seed}: {found[-1]}", err=True)
    click.echo(shown(found))
    if plot is not None:
        runs = [[each.shares for each in run] for run in found]
        lines = [
            Line(name, [[shares[place] for shares in run] for run in runs])
            for place, name in enumerate(COLUMNS)
        ]
        at = [round(statistics.mean(each.decisions for each in turn)) for turn in zip(*found, strict=True)]
        draw(plot, lines, at=at, along="decisions", up="share of held-out faces", low=-0.02)


def divided(folder: Path, seed: int) -> Division:
    """Part the people of a folder by chance: a third known, a third met, the others not."""
    files = {
        each.name: sorted(path for path in each.iterdir() if path.suffix.lower() in ENDINGS)
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }
    drawn = np.random.default_rng(seed).permutation(sorted(files)).tolist()
    third = len(drawn) // 3
    return Division(frozenset(drawn[:third]), frozenset(drawn[third : 2 * third]), files)


class Person:
    """Whoever sits at the page: knows some people, and says what is asked for no face twice."""

    def __init__(self, service: Celeriac, division: Division) -> None:
        """Send the pictures, and wait until each face is known."""
        self._web, self._division = service.web, division
        pictures = [
            (who, place, path) for who, paths in division.files.items() for place, path in enumerate(paths)
        ]
        sent = {f"{who}/{path.name}": path.read_bytes() for who, _, path in pictures}
        job = answered(service, MODEL, sent)
        wait_until(
            lambda: len(self._get("/api/faces", limit=MOST_FACES)["faces"]) >= job["total"],
            what="each picture's face is kept",
        )
        self._truth: dict[int, str] = {}
        self._mine: set[int] = set()
        for face in self._get("/api/faces", limit=MOST_FACES)["faces"]:
            who, place, _ = pictures[face["index"]]
            self._truth[face["id"]] = who
            if division.may_decide(who, place):
                self._mine.add(face["id"])
        self._held_out = set(self._truth) - self._mine
        self._ids: dict[str, int] = {}
        self._labels: dict[str, int] = {}
        self._said: set[tuple[int, str]] = set()

    def take_round(self, decisions: int) -> Told:
        """Say so much, if there is so much to say, and look at what was learnt."""
        end = len(self._said) + decisions
        self._decide(self._of_nobody(), until=len(self._said) + decisions // 2)
        self._wait()
        self._decide(self._predicted(), until=end)
        self._decide(self._of_nobody(), until=end)
        return self._told(self._wait())

    def _of_nobody(self) -> Iterator[dict[str, Any]]:
        """Faces without a name as the page has them: groups that may be somebody new, then the latest."""
        for group in self._get("/api/faces/groups")["groups"]:
            yield from group
        yield from self._get("/api/faces", limit=MOST_FACES)["faces"]

    def _predicted(self) -> Iterator[dict[str, Any]]:
        """Faces that have got a name: those of each persona, the surest first."""
        for persona in self._ids.values():
            yield from self._get(f"/api/personas/{persona}/faces", kind="predicted", limit=MOST_FACES)[
                "faces"
            ]

    def _decide(self, faces: Iterable[dict[str, Any]], *, until: int) -> None:
        for face in faces:
            if len(self._said) >= until:
                return
            if face["id"] in self._mine:
                self._say(face)

    def _say(self, face: dict[str, Any]) -> None:
        """Say who it is, that it is a stranger, or not the one it is taken for; nothing where nothing is to be said."""
        who, taken_for = self._truth[face["id"]], face["predicted"]
        if taken_for is not None and taken_for != self._ids.get(who):
            said: dict[str, Any] = {"kind": "reject", "persona": taken_for}
        elif who not in self._division.known:
            said = {"kind": "stranger"}
        elif self._labels.get(who, 0) < LABELS_EACH:
            said = {"kind": "label", "persona": self._persona(who)}
        else:
            return
        if (face["id"], said["kind"]) in self._said:
            return
        body = {"faces": [face["id"]]} | said
        self._web.post("/api/faces/decisions", json=body).raise_for_status()
        self._said.add((face["id"], said["kind"]))
        if said["kind"] == "label":
            self._labels[who] = self._labels.get(who, 0) + 1

    def _persona(self, who: str) -> int:
        if who not in self._ids:
            made = self._web.post("/api/personas", json={"name": who}).raise_for_status().json()
            self._ids[who] = made["id"]
        return self._ids[who]

    def _wait(self) -> float:
        """Seconds until all that was said is learnt, and each face judged by it."""
        begun = time.perf_counter()

        def is_settled() -> bool:
            told = self._get("/api/personas/classifiers")
            return not told["waiting"] and all(each["done"] for each in told["classifiers"])

        wait_until(is_settled, what="all faces are judged")
        return time.perf_counter() - begun

    def _told(self, judged_s: float) -> Told:
        names = {
            face["id"]: who
            for who, number in self._ids.items()
            for face in self._get(f"/api/personas/{number}/faces", kind="predicted", limit=MOST_FACES)[
                "faces"
            ]
        }
        known = [face for face in self._held_out if self._truth[face] in self._division.known]
        right = sum(names.get(face) == self._truth[face] for face in known)
        strangers = self._held_out - set(known)
        return Told(
            decisions=len(self._said),
            labels=sum(self._labels.values()),
            right=right,
            wrong=sum(face in names for face in known) - right,
            of_known=len(known),
            strangers_named=sum(face in names for face in strangers),
            of_strangers=len(strangers),
            judged_s=judged_s,
        )

    def _get(self, path: str, **params: Any) -> Any:
        return self._web.get(path, params=params).raise_for_status().json()


def shown(found: Sequence[Sequence[Told]]) -> str:
    """What was told after each round in Markdown: means of all draws, with the least and the greatest."""
    rows = []
    for turn in zip(*found, strict=True):
        decisions, labels = (
            round(statistics.mean(getattr(each, what) for each in turn)) for what in ("decisions", "labels")
        )
        shares = zip(*(each.shares for each in turn), strict=True)
        cells = [
            f"{statistics.mean(each):.1%} ({100 * min(each):.1f}–{100 * max(each):.1f})" for each in shares
        ]
        rows.append([str(decisions), str(labels), *cells, number(max(each.judged_s for each in turn))])
    return table(["decisions", "labels", *COLUMNS, "until all is judged, s, at most"], rows)


if __name__ == "__main__":
    main()
