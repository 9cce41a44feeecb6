"""The client's command personas, against a service: groups, decisions, what is learnt, and deleting."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from client.cli import main
from production_server.jobs.database import Database
from testing.celeriac import celeriac
from tests.unit.personas.pictures import answer, face_ids, find_all, seen, somebody, told


class Run(Protocol):
    """Runs the command line; answers its exit code, and what it said on stdout and stderr."""

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]: ...


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[int]]]:
    """A service that keeps faces, and their ids: four of one person, and one of each of three others."""
    folder = tmp_path_factory.mktemp("service")
    with celeriac(folder, PERSONAS="on") as service:
        database = Database(f"sqlite:///{folder}/state/celeriac.sqlite3")
        pictures = [[told(seen(somebody(0), n))] for n in range(4)] + [[told(somebody(p))] for p in (1, 2, 3)]
        answer(database, pictures)
        find_all(database)
        yield service.url, face_ids(database)
        database.close()


@pytest.fixture
def run(
    service: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("CELERIAC_URL", service[0])

    def run_client(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["personas", *(str(argument) for argument in arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run_client


def asked(run: Run, *arguments: str | Path) -> Any:
    """What a command that goes well says with --json."""
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_from_a_group_to_a_name_and_to_nothing(
    run: Run, service: tuple[str, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (group,) = asked(run, "groups")["groups"]
    ids = sorted(face["id"] for face in group)
    assert ids == service[1][:4]

    ada = asked(run, "add", "Ada")["id"]
    said = asked(run, "say", "label", str(ids[0]), "--persona", "Ada")["decisions"]
    assert [(each["face"], each["persona"]) for each in said] == [(ids[0], ada)]
    assert run("say", "label", str(ids[0]), "--persona", str(ada))[2] == "all of that counts already\n"
    settled = asked(run, "classifiers", "--wait", "--timeout", "60")
    assert (settled["waiting"], settled["classifiers"][0]["said"][:15]) == (0, "3 faces changed")
    predicted = asked(run, "faces", "Ada", "--kind", "predicted", "--limit", "2")["faces"]
    assert {each["predicted"] for each in predicted} == {ada} and len(predicted) == 2
    assert "1 labelled, 3 predicted" in run("show", "Ada")[1]

    tried = asked(run, "promise", "faces", "50", "--try", "1")
    assert (tried["named"], tried["named_now"]) == (3, 3)
    assert asked(run, "promise", "faces", "50")["classifiers"][0]["promised_by"] == "anonymous"
    assert "one in 50" in run("classifiers", "--wait", "--timeout", "60")[1]

    run("say", "not-a-face", *map(str, service[1][4:6]))
    assert [each["id"] for each in asked(run, "faces")["faces"]] == service[1][6:]
    assert len(asked(run, "undo")["decisions"]) == 2
    assert asked(run, "rename", "Ada", "Eva")["name"] == "Eva"
    bob = asked(run, "add", "Bob")["id"]
    assert asked(run, "merge", "Eva", "Bob")["labelled"] == 1
    assert asked(run, "split", str(ada))["labelled"] == 1
    assert [each["name"] for each in asked(run, "list")["personas"]] == ["Bob", "Eva"]

    file = tmp_path / "eva.jsonl"
    assert run("export", "Eva", "--output", file)[0] == 0
    assert json.loads(file.read_text().splitlines()[0])["name"] == "Eva"
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, _, err = run("delete", "Eva")
    assert code == 130 and "Delete Eva (1 labelled, " in err
    assert asked(run, "delete", "Eva", "--faces", "--yes")["faces"] >= 1
    assert asked(run, "delete", str(bob), "--yes") == {"faces": 0}
    assert asked(run, "list") == {"personas": []}


def test_what_cannot_be_is_one_line(run: Run, tmp_path: Path) -> None:
    assert run("say", "label", "1")[::2] == (
        2,
        "error: label needs --persona See: python -m client personas say --help\n",
    )
    assert run("say", "stranger", "1", "--persona", "Ada")[0] == 2
    assert run("show", "Nobody")[::2] == (
        2,
        "error: nobody has the name or the id 'Nobody': `personas list` lists all\n",
    )
    assert run("split", "999")[0] == 3
    assert run("promise", "nothing", "50")[0] == 3
    assert run("promise", "faces", "1")[0] == 2
    assert run("say", "stranger", "99999")[0] == 3
    assert run("export", "Nobody", "--output", tmp_path / "nobody.jsonl")[0] == 2
    assert run("undo", "99999")[0] == 3
    assert list(tmp_path.iterdir()) == []
