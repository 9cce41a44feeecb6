"""The client's commands import and imports, against a service: files are sent or named, and what comes is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from client.cli import main
from testing.celeriac import Celeriac, celeriac
from testing.foreign_graphs import FOREIGN_MODELS

IRIS = FOREIGN_MODELS / "iris_pipeline.onnx"
NO_ID = "0198c5d2-7c1e-7000-8000-000000000000"


class Run(Protocol):
    """Runs the command line; answers its exit code, and what it said on stdout and stderr."""

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]: ...


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celeriac]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "in").mkdir()
    (folder / "in" / "iris.onnx").write_bytes(IRIS.read_bytes())
    with celeriac(folder, STORAGE_ALLOW=f"file://{folder}/in", GATE_LATENCY="1000") as service:
        yield service


@pytest.fixture
def run(service: Celeriac, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("CELERIAC_URL", service.url)

    def run_client(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_client


def test_a_file_becomes_a_version_with_what_was_said_of_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b,c,d,kind\n5.1,3.5,1.4,0.2,setosa\n6.2,2.9,4.3,1.3,versicolor\n")
    (tmp_path / "told.json").write_text('{"description": "Four lengths."}')

    code, out, _ = run(
        "import", IRIS, "--name", "sent", "--title", "Flowers", "--sample", tmp_path / "rows.csv",
        "--target", "kind", "--describe", tmp_path / "told.json",
        "--despite", "latency", "--despite", "memory", "--json",
    )  # fmt: skip

    told = json.loads(out)
    assert (code, told["state"], told["version"], told["error"]) == (0, "succeeded", "1", None)
    manifest = told["manifest"]
    assert (manifest["title"], manifest["description"]) == ("Flowers", "Four lengths.")
    assert [each["name"] for each in manifest["features"]] == ["a", "b", "c", "d"]


def test_a_file_is_named_by_where_the_server_reads_it(run: Run, service: Celeriac) -> None:
    code, out, _ = run("import", f"file://{service.directory}/in/iris.onnx", "--name", "fetched", "--dry-run")

    assert code == 0
    assert "state      succeeded, a dry run" in out and "file       iris.onnx" in out and "version" not in out
    assert run("models", "fetched")[0] == 3


def test_an_import_is_picked_up_and_listed(run: Run) -> None:
    code, out, _ = run("import", IRIS, "--name", "later", "--no-wait")
    assert code == 0

    waited = run("imports", out.strip(), "--wait", "--json")
    listed = json.loads(run("imports", "--limit", "1", "--json")[1])["imports"]

    assert waited[0] == 0 and json.loads(waited[1])["state"] == "succeeded"
    assert [each["id"] for each in listed] == [out.strip()]
    assert out.strip() in run("imports")[1]
    cancelled = run("imports", out.strip(), "--cancel")
    assert cancelled[0] == 3 and "it is later version 1 by now" in cancelled[2]


def test_a_file_that_becomes_no_version_is_told(run: Run) -> None:
    code, out, _ = run("import", IRIS, "--name", "wrong", "--labels", "a,b")

    assert code == 1
    assert "state      failed" in out and "labels: expected 3" in out


def test_what_cannot_be_sent_or_is_refused_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("nothing")

    for arguments, code, told in (
        (("import", tmp_path / "none.onnx", "--name", "x"), 2, "no such file"),
        (("import", tmp_path / "text.onnx", "--name", "x"), 3, "file: expected a model"),
        (("import", "https://example.com/m.onnx", "--name", "x"), 3, "url: expected a URL such as"),
        (("import", "file:///etc/passwd", "--name", "x"), 3, "STORAGE_ALLOW"),
        (("imports", NO_ID), 3, "there is no import"),
        (("imports", "7"), 2, "is no ID of an import"),
        (("imports", "--wait"), 2, "need the ID of an import"),
    ):
        failed = run(*arguments)
        assert (failed[0], failed[1]) == (code, ""), arguments
        assert told in failed[2] and len(failed[2].splitlines()) == 1
