"""The README's shell lines, run verbatim in a fresh clone: only the service's address and the clone's origin differ.

Those about containers are run by tests/compose; those about a cloud are held against the command lines that they call.
"""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageChops

from client.launcher import cli as launcher
from testing import readme
from testing.processes import end, free_ports
from testing.readme import ROOT
from testing.web_service import WebService

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = {
    "t-shirt": "T-shirt/top",
    "trousers": "Trouser",
    "dress": "Dress",
    "pullover": "Pullover",
    "boot": "Ankle boot",
    "sneaker": "Sneaker",
}
"""What the model says of each picture that is scanned, by the picture's name."""
CLIENT = ".venv-client/bin/python -m client"
ENVIRONMENTS = {".venv-serving": "requirements.txt", ".venv-client": "requirements/client.txt"}


class Shell:
    """A newcomer's shell in a clone. Its environments are set up: they are the tests' own, which has all of it."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.service: subprocess.Popen[bytes] | None = None
        kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COV")}
        self.env = kept | {
            "PORT": str(self.port),
            "CELERIAC_URL": f"http://127.0.0.1:{self.port}",
            "HOME": str(folder),
        }
        (clone,) = readme.lines(readme.CLONE)
        self.folder = folder
        self.run(clone)
        self.folder = folder / "celeriac"
        _bring_what_is_not_committed(self.folder)
        for name, requirements in ENVIRONMENTS.items():
            (self.folder / name).mkdir()
            for part in ("bin", "lib", "pyvenv.cfg"):
                (self.folder / name / part).symlink_to(Path(sys.prefix) / part)
            shutil.copy(self.folder / requirements, self.folder / name / "requirements.txt")

    def run(self, line: str) -> str:
        """What it prints."""
        text = line.replace("<this repository>", shlex.quote(str(ROOT)))
        text = text.replace(readme.ADDRESS, f"127.0.0.1:{self.port}")
        if re.match(readme.SERVICE, line):
            self.start(text)
            return ""
        done = subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, text: str) -> None:
        """Start the service, and stop it first if it runs."""
        self.stop()
        with (self.folder.parent / "service.log").open("ab") as log:
            self.service = subprocess.Popen(
                ["bash", "-c", text],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        service = WebService(self.env["CELERIAC_URL"])
        try:
            service.wait_until_ready()
        finally:
            service.web.close()

    def stop(self) -> None:
        """As Ctrl-C does, which all processes of a terminal hear."""
        if self.service is not None:
            os.killpg(self.service.pid, signal.SIGINT)
            end(self.service, by=signal.SIGINT)


def _bring_what_is_not_committed(clone: Path) -> None:
    listing = ["git", "ls-files", "-z", "--modified", "--others", "--exclude-standard"]
    changed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, changed.split("\0")):
        (clone / name).unlink(missing_ok=True)
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each line printed that needs nothing but a service; the clone's folder is under `clone`."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shell = Shell(tmp_path_factory.mktemp("readme"))
    try:
        ran = [line for line in readme.lines() if readme.is_for_a_service(line)]
        told = {"clone": str(shell.folder)} | {line: shell.run(line) for line in ran}
        yield told | {"clothes": shell.run(f"{CLIENT} predict --model fashion_mnist --json examples/clothes")}
    finally:
        shell.stop()


def answer(said: dict[str, str], part: str) -> str:
    """What the one line printed that has `part` in it."""
    (found,) = [text for line, text in said.items() if part in line]
    return found


def test_every_line_for_a_service_runs_in_a_fresh_clone(said: dict[str, str]) -> None:
    assert len(said) > 8


def test_the_client_names_what_the_pictures_show(said: dict[str, str]) -> None:
    rows = [line.split()[:2] for line in answer(said, "predict --model fashion_mnist").splitlines()]

    assert rows[1:] == [["examples/shoe.png", "Sneaker"], ["examples/bag.png", "Bag"]]


def test_the_client_writes_a_row_for_each_patient(said: dict[str, str]) -> None:
    folder = Path(said["clone"])
    with (folder / "examples/patients.csv").open() as given, (folder / "scored.csv").open() as scored:
        patients, results = list(csv.DictReader(given)), list(csv.DictReader(scored))

    assert [each["age"] for each in results] == [each["age"] for each in patients]
    assert {each["state"] for each in results} == {"succeeded"}
    assert {each["outcome"] for each in patients} == {"0", "1", ""}


def test_curl_gets_a_job_that_is_finished_and_one_that_is_accepted(said: dict[str, str]) -> None:
    waited = json.loads(answer(said, "Prefer: wait"))
    sent = json.loads(answer(said, "file=@examples/shoe.png"))

    assert (waited["state"], waited["succeeded"]) == ("finished", 1)
    assert (sent["model"], sent["total"]) == ("fashion_mnist", 2)


def test_a_client_of_tensorflow_serving_gets_a_prediction(said: dict[str, str]) -> None:
    (probabilities,) = json.loads(answer(said, "/v1/models/"))["predictions"]
    assert len(probabilities) == 3 and probabilities[0] > 0.9


def test_a_file_of_a_model_becomes_a_version_that_serves(said: dict[str, str]) -> None:
    assert "iris version 1 serves as stable now" in answer(said, "make import")


def test_a_scan_finds_every_picture_of_the_folder(said: dict[str, str]) -> None:
    assert f"{len(SHOWN)} succeeded, 0 failed, 0 cancelled" in answer(said, "client inject")


def test_the_pictures_that_are_scanned_show_what_they_are_named_for(said: dict[str, str]) -> None:
    results = json.loads(said["clothes"])["results"]

    assert {Path(each["name"]).stem: each["label"] for each in results} == SHOWN


def test_the_pictures_are_those_that_the_script_draws() -> None:
    script = runpy.run_path(str(ROOT / "examples/draw.py"))

    drawn = {
        ROOT / "examples" / name: script["draw"](outlines) for name, outlines in script["PICTURES"].items()
    }

    assert drawn.keys() == set((ROOT / "examples").rglob("*.png"))
    for path, picture in drawn.items():
        with Image.open(path) as kept:
            # Versions of Pillow may blur by a shade more or less.
            assert np.asarray(ImageChops.difference(kept, picture)).max() < 8, path


def test_what_the_lines_make_is_ignored_by_git(said: dict[str, str]) -> None:
    listing = ["git", "ls-files", "--others", "--exclude-standard"]
    made = subprocess.run(listing, cwd=said["clone"], capture_output=True, text=True, check=True).stdout

    # What the tests brought along is there, too.
    assert "scored.csv" not in made.splitlines()
    assert not any(name.startswith("state/") for name in made.splitlines())


def test_the_lines_for_a_cloud_are_what_the_launcher_takes() -> None:
    setting, launch, stop = readme.lines(readme.CLOUD)
    called = subprocess.run(
        ["bash", "-c", launch.replace("make ", "make --dry-run ", 1)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()[-1]

    assert re.fullmatch(r"export OS_CLOUD=\w+", setting)
    _, program, *arguments = shlex.split(called.removeprefix("exec "))
    launched = launcher.launch_command.make_context("launch", arguments)
    stopped = launcher.stop.make_context("stop", shlex.split(stop, comments=True)[2:])
    assert program == shlex.split(stop)[1].replace("stop", "start") == "client/start_instance.py"
    assert launched.params["name"] == stopped.params["name"] == "lab"


def test_the_line_for_the_tests_names_a_target() -> None:
    (line,) = readme.lines(readme.SUITE)

    subprocess.run(
        line.replace("make ", "make --dry-run ").split(), cwd=ROOT, capture_output=True, check=True
    )
