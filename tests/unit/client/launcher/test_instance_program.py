"""The program `celeriac` of an instance, on a folder in place of the machine, some of its functions replaced."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from client.launcher.cloud_config import TEMPLATES
from tests.services.processes import free_ports, wait_until

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = TEMPLATES / "files/usr/local/sbin/celeriac"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FOLDERS = ("/opt/celeriac", "/etc/celeriac", "/etc/rabbitmq", "/var/lib", "/var/log", "/run")
DISPATCH = '\ncase "$# '
ROOT = "id() { echo 0; }"


class Program:
    """The program with a folder in place of the machine's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for each in FOLDERS:
            (folder / each[1:]).mkdir(parents=True, exist_ok=True)
        self._text = re.sub(rf"(?<![\w/.])({'|'.join(FOLDERS)})\b", rf"{folder}\1", PROGRAM.read_text())

    def run(
        self, *arguments: str, replacing: str = "", stdout: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; `replacing` is shell text that the program reads before it begins."""
        head, dispatch = self._text.split(DISPATCH)
        text = f"{head}\n{replacing}{DISPATCH}{dispatch}"
        return subprocess.run(
            ["bash", "-c", text, "celeriac", *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    def call(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a text with the program's functions."""
        head, _ = self._text.split(DISPATCH)
        command = ["bash", "-c", f"{head}\n{text}"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    @property
    def log(self) -> str:
        return (self.folder / "var/log/celeriac-setup.log").read_text()


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "a command is missing"),
        (("",), "there is no command ''"),
        (("start",), "there is no command 'start'"),
        (("setup",), "setup takes one commit"),
        (("deploy", COMMIT, COMMIT), "deploy takes one commit"),
        (("setup", "main; id"), "a commit is 40 hexadecimal digits, not 'main; id'"),
        (("deploy", COMMIT[:12]), f"a commit is 40 hexadecimal digits, not '{COMMIT[:12]}'"),
        (("deploy", f"{COMMIT}\n"), "a commit is 40 hexadecimal digits"),
        (("seal", "--help"), "seal takes no arguments"),
        (("status", ""), "status takes no arguments"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(
    program: Program, arguments: tuple[str, ...], error: str
) -> None:
    done = program.run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {error}")
    assert done.stderr.count("\n") == 1 + sum(argument.count("\n") for argument in arguments)


def test_help_needs_no_rights_and_names_every_command(program: Program) -> None:
    done = program.run("help", replacing="id() { echo 1000; }")

    assert done.returncode == 0
    assert re.findall("^  ([a-z]+)", done.stdout, re.MULTILINE) == [
        "setup",
        "deploy",
        "status",
        "seal",
        "help",
    ]


def test_everything_else_needs_root(program: Program) -> None:
    done = program.run("status", replacing="id() { echo 1000; }")

    assert (done.returncode, done.stderr) == (1, "error: celeriac needs root: sudo celeriac status\n")


@pytest.mark.parametrize("number", ["abc", "0", "-1", "2x", "9999"])
def test_a_number_of_workers_that_is_none_fails_the_set_up(program: Program, number: str) -> None:
    (program.folder / "etc/celeriac/instance.env").write_text(f"repository=\nworkers={number}\n")
    others = "introduce() { :; }; check_processor() { :; }; install_packages() { :; }"

    done = program.run("setup", COMMIT, replacing=f"{ROOT}\n{others}")

    assert done.returncode == 1
    assert f"celeriac: failed packages: workers={number} in " in done.stdout


def test_a_reader_that_leaves_does_not_keep_a_failure_from_being_undone(program: Program) -> None:
    read, write = os.pipe()
    os.close(read)
    fails = (
        'introduce() { say "login debian"; }; check_processor() { undo="note undone"; fail "no processor"; }'
    )

    done = program.run("setup", COMMIT, replacing=f"{ROOT}\n{fails}", stdout=write)
    os.close(write)

    assert done.returncode == 1
    assert "undone" in program.log
    assert "failed in stage packages: no processor" in program.log


def test_a_commit_that_nobody_pushed_is_not_waited_for_by_a_deployment(program: Program) -> None:
    code = program.folder / "opt/celeriac/code.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(code)], check=True)
    others = "login_user() { echo debian; }; sleep() { exit 99; }"

    done = program.run("deploy", COMMIT, replacing=f"{ROOT}\n{others}")

    assert done.returncode == 1
    assert f"celeriac: failed start: nobody pushed commit {COMMIT}: git push ssh://debian@" in done.stdout


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.2"])
def test_readiness_is_asked_where_the_process_listens(program: Program, tmp_path: Path, host: str) -> None:
    (port,) = free_ports(1)
    (tmp_path / "readyz").write_text("ready")
    command = [sys.executable, "-m", http.server.__name__, "--directory", str(tmp_path), str(port)]
    if host:
        command += ["--bind", host]
    env = os.environ | {"HOST": host, "PORT": str(port)}
    server = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        ask = f"systemctl() {{ echo {server.pid}; }}; ask_readyz"
        wait_until(lambda: program.call(ask).stdout == "ready\n", what="it answers")
    finally:
        server.terminate()
        server.wait()


def test_what_was_cut_off_is_run_at_the_next_boot_and_not_replaced(program: Program) -> None:
    path = program.folder / "var/lib/cloud/scripts/per-boot/celeriac"

    assert program.call(f"at_next_boot setup {COMMIT}; at_next_boot deploy {'f' * 40}").returncode == 0

    assert path.read_text() == f"#!/bin/sh\nexec /usr/local/sbin/celeriac setup {COMMIT}\n"
    assert os.access(path, os.X_OK)


def test_a_dpkg_that_was_cut_off_is_repaired_once_another_one_has_ended(program: Program) -> None:
    (program.folder / "var/lib/dpkg/updates").mkdir(parents=True)
    dpkg = 'dpkg() { [ "$1" != --audit ] || { echo half; return; }; echo "$@"; [ $((++tries)) = 2 ]; }'

    done = program.call(f"tries=0; {dpkg}; sleep() {{ :; }}; repair_packages; echo $tries")

    assert done.stdout == "2\n"
    assert program.log.splitlines()[1:] == ["--configure -a", "--configure -a"]
