"""The hook of an instance's code: git itself pushes, and a script stands for `sudo celeriac`."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from client.launcher.machine.cloud_config import TEMPLATES
from testing.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

HOOKS = TEMPLATES / "serving/usr/local/lib/celeriac/hooks"
DEPLOYS = """\
#!/bin/sh
echo "$*" >>"$0.asked"
[ "$3" = deploy ] || { echo "commit  $4"; echo 'readyz  {"status":"ready"}'; exit; }
echo 'celeriac: stage environment'
echo 'celeriac: stage services'
"""
READY = f'{DEPLOYS}echo "celeriac: ready $4"\n'
FAILED = f'{DEPLOYS}echo "celeriac: failed services: celeriac-web crashes: no; f00 serves again "\nexit 1\n'
BUSY = "#!/bin/sh\necho 'error: another celeriac is at work: deploy f00, for ben' >&2\nexit 1\n"


@dataclass
class Instance:
    """Where code is pushed to from `checkout`, a repository with three commits; `does` is what deploying does there."""

    folder: Path

    @property
    def code(self) -> Path:
        return self.folder / "code.git"

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def asked(self) -> str:
        """What celeriac was asked to do."""
        written = self.folder / "bin/sudo.asked"
        return written.read_text() if written.exists() else ""

    def does(self, script: str) -> None:
        (self.folder / "bin").mkdir(exist_ok=True)
        (self.folder / "bin/sudo").write_text(script)
        (self.folder / "bin/sudo").chmod(0o755)

    def push(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        command = ["git", "-C", str(self.checkout), "push", *arguments[:-1], str(self.code), arguments[-1]]
        return subprocess.run(command, env=os.environ | path, capture_output=True, text=True, check=False)

    def commit(self, revision: str) -> str:
        return git(self.checkout, "rev-parse", revision)

    @property
    def branch(self) -> str:
        """What the branch is at."""
        return git(self.code, "rev-parse", "--verify", "--quiet", "deploy", check=False)


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    author = {f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(folder), *arguments]
    env = os.environ | author
    return subprocess.run(command, env=env, capture_output=True, text=True, check=check).stdout.strip()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = Instance(tmp_path)
    git(tmp_path, "init", "--quiet", "--bare", str(made.code))
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(made.checkout))
    for number in range(3):
        git(made.checkout, "commit", "--quiet", "--allow-empty", "-m", f"commit {number}")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    # As cloud-init writes it.
    (hooks / "proc-receive").write_text((HOOKS / "proc-receive").read_text())
    (hooks / "proc-receive").chmod(0o755)
    git(made.code, "config", "core.hooksPath", str(hooks))
    git(made.code, "config", "receive.procReceiveRefs", "refs/heads/deploy")
    git(made.code, "config", "receive.shallowUpdate", "true")
    made.does(READY)
    return made


def test_a_push_deploys_and_tells_each_stage(instance: Instance) -> None:
    pushed = instance.push("HEAD:refs/heads/deploy")

    said = [line.removeprefix("remote: ").strip() for line in pushed.stderr.splitlines()]
    head = instance.commit("HEAD")
    assert pushed.returncode == 0
    assert said[0] == f"deploying {head[:12]}: commit 2"
    assert [line.split()[0] for line in said[1:3]] == ["environment", "services"]
    assert said[3].startswith(f"{head[:12]} serves, after ")
    assert said[4] == 'readyz  {"status":"ready"}'
    assert instance.branch == head
    assert instance.asked.splitlines()[0] == f"-n /usr/local/sbin/celeriac deploy {head}"


def test_what_does_not_get_ready_fails_the_push_and_may_be_pushed_again(instance: Instance) -> None:
    instance.push("HEAD~1:refs/heads/deploy")
    instance.does(FAILED)

    pushed = instance.push("HEAD:refs/heads/deploy")

    assert pushed.returncode == 1
    assert "services" in pushed.stderr and ", failed" in pushed.stderr
    reason = "(services: celeriac-web crashes: no; f00 serves again)"
    assert f"! [remote rejected] HEAD -> deploy {reason}" in pushed.stderr
    assert instance.branch == instance.commit("HEAD~1")
    instance.does(READY)
    assert instance.push("HEAD:refs/heads/deploy").returncode == 0


def test_a_commit_may_begin_and_end_with_a_nought(instance: Instance) -> None:
    number = 0
    while not (commit := instance.commit("HEAD")).startswith("0") and not commit.endswith("0"):
        git(
            instance.checkout,
            "commit",
            "--quiet",
            "--allow-empty",
            "--amend",
            "-m",
            f"commit {(number := number + 1)}",
        )
    instance.push("HEAD:refs/heads/deploy")
    git(instance.checkout, "commit", "--quiet", "--allow-empty", "-m", "another")

    assert instance.push("HEAD:refs/heads/deploy").returncode == 0


def test_who_comes_second_is_told_who_is_at_work(instance: Instance) -> None:
    instance.does(BUSY)

    pushed = instance.push("HEAD:refs/heads/deploy")

    assert (pushed.returncode, instance.branch) == (1, "")
    assert "(another celeriac is at work: deploy f00, for ben)" in pushed.stderr


def test_going_back_takes_force(instance: Instance) -> None:
    instance.push("HEAD:refs/heads/deploy")

    refused = instance.push("HEAD~1:refs/heads/deploy")
    forced = instance.push("--force", "HEAD~1:refs/heads/deploy")

    assert (refused.returncode, forced.returncode) == (1, 0)
    assert instance.branch == instance.commit("HEAD~1")


@pytest.mark.parametrize(
    ("refspec", "says"),
    [
        (":refs/heads/deploy", "it is not deleted"),
        ("tagged:refs/heads/deploy", "it takes a commit"),
        ("HEAD:refs/heads/deploy/x", "only refs/heads/deploy is deployed"),
    ],
)
def test_what_cannot_be_deployed_is_refused_in_a_sentence(
    instance: Instance, refspec: str, says: str
) -> None:
    if refspec.startswith(":"):
        instance.push("HEAD~1:refs/heads/deploy")
    git(instance.checkout, "tag", "-a", "-m", "annotated", "tagged")
    before = instance.branch, instance.asked

    pushed = instance.push(refspec)

    assert pushed.returncode == 1
    assert says in pushed.stderr
    assert (instance.branch, instance.asked) == before


def test_other_branches_are_only_kept(instance: Instance) -> None:
    pushed = instance.push("HEAD:refs/heads/next")

    assert (pushed.returncode, instance.asked) == (0, "")
    assert git(instance.code, "rev-parse", "next") == instance.commit("HEAD")


def test_a_shallow_checkout_may_be_pushed(instance: Instance) -> None:
    shallow = instance.folder / "shallow"
    url = f"file://{instance.checkout}"
    git(instance.folder, "clone", "--quiet", "--depth", "1", url, str(shallow))
    instance.checkout.rename(instance.folder / "whole")
    shallow.rename(instance.checkout)

    assert instance.push("HEAD:refs/heads/deploy").returncode == 0
    assert instance.branch == instance.commit("HEAD")


def test_a_deployment_goes_on_when_whoever_pushed_has_left(instance: Instance) -> None:
    """git's end of the hook is gone: nothing that the hook says is heard any more."""
    instance.does(f'{DEPLOYS}kill -9 "$(ps -o ppid= -p $PPID)"; sleep 0.1\n: >"$0.finished"\n')

    instance.push("HEAD:refs/heads/deploy")

    finished = instance.folder / "bin/sudo.finished"
    wait_until(finished.exists, what="it is deployed")
