"""From a folder of pictures to who is on them, in one command: make faces DATA=folder.

It makes the faces model if the store has none, starts the service with personas, and has the folder looked at: by the
commands that a user would type, and by the client. SERVING_PYTHON and TRAINING_PYTHON are what they run with.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from client.answers import Face, Result
from client.api import WHILE_FOLLOWING, Server
from client.cli import main as client
from client.errors import ClientError
from client.exits import SOME_FAILED
from client.persona_calls import MOST_AT_ONCE, Personas

MODEL = "faces"
MOST_LISTED = 100_000
"""Faces of nobody, and of each persona."""
POLL_S, PATIENCE_S = 0.3, 60.0


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--labels",
    type=click.Choice(["folders", ""]),
    default="",
    help="`folders`: each folder in FOLDER is named after who is on its pictures.",
)
def main(*, folder: Path, labels: str) -> None:
    """Find the faces in FOLDER, and show a page where people say who they are; Ctrl-C ends all.

    \b
    Examples
      make faces DATA=photos
      make faces DATA=photos LABELS=folders
    """
    # As it is called: a link to a folder is a folder.
    place = f"file://{folder.absolute()}"
    if " " in place:
        raise click.ClickException(f"{place}: a path without spaces is needed; a link will do: ln -s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        make_model(os.environ)
        with service(os.environ, place) as url:
            code = client(["inject", place, "--model", MODEL, "--url", url])
            if code not in (0, SOME_FAILED):
                sys.exit(code)
            if labels == "folders":
                label(url, place)
            click.echo(
                f"\nWho is on the pictures: {url}/personas\nCtrl-C stops the service. "
                f"It starts again with: PERSONAS=on STORAGE_ALLOW={place} make run"
            )
            signal.pause()


def store_of(environ: Mapping[str, str]) -> Path:
    """The store of one's own models, as the service has it."""
    return Path(environ.get("MODEL_STORE") or Path(environ.get("STATE_DIR") or "state", "models"))


def make_model(environ: Mapping[str, str]) -> None:
    """Make the faces model, if the store has none.

    Raises:
        SystemExit: it could not be made; it has said why.
    """
    store = store_of(environ)
    if (store / MODEL).is_dir():
        return
    command = [
        environ["TRAINING_PYTHON"],
        "-m",
        "production_server.training",
        MODEL,
        "--store",
        str(store),
    ]
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        sys.exit(code)


@contextlib.contextmanager
def service(environ: Mapping[str, str], place: str) -> Iterator[str]:
    """The address of a service that keeps faces and may read that place; it is stopped in order at the end.

    Raises:
        SystemExit: it has ended before it was ready; it has said why.
    """
    allowed = f"{environ.get('STORAGE_ALLOW', '')} {place}".strip()
    url = f"http://127.0.0.1:{environ.get('PORT') or 5100}"
    # In a session of its own: Ctrl-C reaches this process alone, which then stops it, once.
    process = subprocess.Popen(
        [environ["SERVING_PYTHON"], "-m", "production_server", "run"],
        env={**environ, "PERSONAS": "on", "STORAGE_ALLOW": allowed},
        start_new_session=True,
    )
    try:
        while not _is_ready(url):
            if process.poll() is not None:
                sys.exit(process.returncode or 1)
            time.sleep(POLL_S)
        yield url
    finally:
        process.terminate()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def label(url: str, place: str) -> None:
    """Say of each face that is alone in its picture, and of nobody yet, that it is whose folder it is in.

    Raises:
        ClickException: the service refused something.
    """
    try:
        with Server(url, key=os.environ.get("CELERIAC_KEY"), patience=WHILE_FOLLOWING) as server:
            known = Personas(server)
            faces = _unlabelled(server, known)
            results = {job: list(_results(server, job)) for job in {face.job for face in faces}}
            ids = {each.name: each.id for each in known.all()}
            people = people_in(faces, results, place)
            for person, some in people.items():
                number = ids.get(person) or known.add(person).id
                for start in range(0, len(some), MOST_AT_ONCE):
                    known.say(some[start : start + MOST_AT_ONCE], kind="label", persona=number)
            click.echo(f"labelled {sum(map(len, people.values()))} faces of {len(people)} people")
    except ClientError as exc:
        raise click.ClickException(str(exc)) from exc


def people_in(
    faces: Iterable[Face], results: Mapping[str, Sequence[Result]], place: str
) -> dict[str, list[int]]:
    """By the name of a folder in `place`, the faces that are alone in a picture in it; `results` are those of jobs."""
    pictures = {
        (job, result.index): result.url.removeprefix(f"{place}/")
        for job, those in results.items()
        for result in those
        if result.url is not None and result.url.startswith(f"{place}/") and _faces_on(result) == 1
    }
    found: dict[str, list[int]] = {}
    for face in faces:
        person, _, file = pictures.get((face.job, face.index), "").partition("/")
        if file:
            found.setdefault(person, []).append(face.id)
    return found


def _unlabelled(server: Server, known: Personas) -> list[Face]:
    """The faces that nobody has labelled; those of the last scan, too, which are kept a moment after it is over."""
    (scan,) = server.scans(limit=1)
    wanted = sum(map(_faces_on, _results(server, scan.id)))
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = known.faces(None, kind="", offset=0, limit=MOST_LISTED)
        for each in known.all():
            found += known.faces(each.id, kind="predicted", offset=0, limit=MOST_LISTED)
        if sum(face.job == scan.id for face in found) >= wanted or time.monotonic() > deadline:
            return found
        time.sleep(POLL_S)


def _results(server: Server, job: str) -> Iterator[Result]:
    after: int | None = None
    while (page := server.results(job, after=after)).results:
        yield from page.results
        after = page.results[-1].index


def _faces_on(result: Result) -> int:
    return len(result.output["faces"]) if isinstance(result.output, dict) else 0


if __name__ == "__main__":
    main()
