"""A server for the client's tests, and a way to run the command line against it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from client.cli import main
from testing.api_server import ApiServer, api_server

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENT = ("6", "148", "72", "35", "0", "33.6", "0.627", "50")
PNG = b"\x89PNG\r\n\x1a\n and so on"


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        return self.stderr.splitlines()


class Run(Protocol):
    """Runs the command line."""

    def __call__(self, *arguments: str | Path) -> Outcome: ...


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as memory:
        yield memory


@pytest.fixture
def run(server: ApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process, against the server."""
    monkeypatch.setenv("CELERIAC_URL", server.url)

    def run_client(*arguments: str | Path) -> Outcome:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Outcome(code, said.out, said.err)

    return run_client


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """A CSV of three patients, with a header and the outcome."""
    path = tmp_path / "patients.csv"
    path.write_text(
        "pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,pedigree,age,outcome\n"
        "6,148,72,35,0,33.6,0.627,50,1\n"
        "1,85,66,29,0,26.6,0.351,31,0\n"
        "8,183,64,0,0,23.3,0.672,32,1\n"
    )
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with two images, one below it, and two files that are none."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for name in ("shoe.png", "bag.PNG", "more/shirt.png"):
        (folder / name).write_bytes(PNG)
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_bytes(PNG)
    return folder
