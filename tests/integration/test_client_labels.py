"""The client's command label, against a service: questions, decisions, files and sets."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from client.cli import main
from testing.celeriac import Celeriac, celeriac
from testing.pictures import png

MODEL = "fashion_mnist"


class Run(Protocol):
    """Runs the command line; answers its exit code, and what it said on stdout and stderr."""

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]: ...


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    with celeriac(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def run(service: Celeriac, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("CELERIAC_URL", service.url)

    def run_client(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["label", *(str(argument) for argument in arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run_client


@pytest.fixture
def job(service: Celeriac) -> dict[str, Any]:
    """Four pictures that have answers."""
    files = [("file", (f"image-{seed}.png", png(seed), "image/png")) for seed in range(4)]
    made: dict[str, Any] = service.web.post("/api/jobs", data={"model": MODEL}, files=files).json()
    service.wait_for(made)
    return made


def test_from_a_question_to_a_set(run: Run, job: dict[str, Any], tmp_path: Path) -> None:
    (asked,) = json.loads(run("next", MODEL, "--order", "newest", "--json")[1])["questions"]
    assert asked["job"] == job["id"] and len(asked["choices"]) == 4
    place = (asked["job"], str(asked["index"]))

    yes = json.loads(run("decide", MODEL, *place, "--json")[1])
    assert (yes["kind"], yes["label"]) == ("label", asked["answer"])
    assert json.loads(run("undo", MODEL, "--json")[1])["replaces"] == yes["id"]
    code, out, _ = run("decide", MODEL, *place, "Bag")
    assert code == 0 and "said       label Bag" in out
    for index in range(4):
        if str(index) != place[1]:
            run("decide", MODEL, job["id"], str(index), "bag-like", "--new")
    assert json.loads(run("progress", MODEL, "--json")[1])["labelled"] >= 4

    table, pictures = tmp_path / "labels.csv", tmp_path / "labels.zip"
    assert run("export", MODEL, "--output", table)[0] == 0
    assert run("export", MODEL, "--output", pictures)[0] == 0
    assert table.read_text().count(job["id"]) == 4
    inside = [name for name in zipfile.ZipFile(pictures).namelist() if job["id"] in name]
    assert sorted(Path(name).parent.name for name in inside) == ["Bag", *["bag-like"] * 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "labels.zip"]

    kept = json.loads(run("keep", MODEL, "november", "--json")[1])["digest"]
    assert kept in run("sets")[1]
    assert run("export", MODEL, "--output", table, "--set", "november")[0] == 0


def test_a_file_with_a_bad_line_is_stored_but_for_that(run: Run, job: dict[str, Any], tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"job,index,label\n{job['id']},0,Bag\n{job['id']},1,spaceship\n{job['id']},2,Coat\n")

    code, out, _ = run("import", MODEL, table)

    assert code == 1
    assert "stored     2" in out and "line 3: expected a label of fashion_mnist" in out


def test_what_cannot_be_is_one_line(run: Run, tmp_path: Path) -> None:
    assert run("export", MODEL, "--output", tmp_path / "labels.txt")[0] == 2
    assert run("export", MODEL, "--output", tmp_path / "labels.csv", "--set", "nothing")[0] == 3
    assert run("decide", MODEL, "nonsense", "0")[0] == 2
    assert run("next", "../x")[0] == 2
    assert run("next", "nothing")[0] == 3
    assert list(tmp_path.iterdir()) == []
