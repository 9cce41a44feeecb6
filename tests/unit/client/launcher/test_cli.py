"""The two command lines, on a cloud in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from client import __version__
from client.errors import Unavailable
from client.exits import INSTANCE_FAILED, INTERRUPTED, REFUSED, UNAVAILABLE, USAGE
from client.launcher import cli
from client.launcher.cli import main_start, main_stop
from client.launcher.cloud import Mark
from client.launcher.deciding.labels import COMMIT, MODE
from client.launcher.doing.pair import HOST_KEY as HOST_KEY_FILE
from client.launcher.machine.ssh import known_hosts_file
from client.launcher.machine.surroundings import Outside
from testing.fake_cloud_calls import Call
from testing.fake_cloud_contents import PUBLIC_KEY
from testing.launching import COMMIT as COMMIT_ID
from testing.launching import CONSOLE, HOST_KEY, REPOSITORY, World

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[4]
LAUNCH = ("lab", "--flavor", "m1.small", "--repository", REPOSITORY, "--commit", COMMIT_ID)


@pytest.fixture(autouse=True)
def at_home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command lines find the world instead of an OpenStack, and an empty home directory."""
    monkeypatch.setattr(cli, "connect", lambda _name: world.cloud)
    monkeypatch.setattr(cli, "Clock", world.clock)
    monkeypatch.setattr(Outside, "own_address", lambda _self, towards: world.around.own_address(towards))
    monkeypatch.setattr(Outside, "is_ready", lambda _self, url: world.around.is_ready(url))
    monkeypatch.setattr(Outside, "is_ready_as", lambda _self, *of: world.around.is_ready_as(*of))
    monkeypatch.setattr(Outside, "points_to", lambda _self, *of: world.around.points_to(*of))
    monkeypatch.setattr(
        Outside, "execute", lambda _self, *command, **to: world.around.execute(*command, **to)
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, main: Callable[..., int] = main_start) -> int:
    return main(arguments)


def test_a_launch_ends_with_the_addresses_and_the_ssh_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*LAUNCH) == 0

    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith("lab is ready, after 0:")
    assert "page         https://203.0.113.10:5100/" in said.out
    assert f"UserKnownHostsFile={known_hosts_file('lab')} debian@203.0.113.10" in said.out
    assert known_hosts_file("lab").read_text() == f"203.0.113.10 {HOST_KEY}\n"
    assert "] asking for server lab" in said.err


def test_a_launch_answers_json_for_scripts(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*LAUNCH, "--json", "--quiet") == 0

    said = capsys.readouterr()
    end = json.loads(said.out)
    assert said.err == ""
    assert (end["name"], end["url"], end["commit"]) == ("lab", "https://203.0.113.10:5100", COMMIT_ID)
    assert end["server_id"] == world.cloud.belongings().servers[0].id
    assert end["is_ready"] is True
    assert end["stages"][0] == {"text": "looking at the cloud", "began_s": 0.0}


NAMED = (*LAUNCH, "--domain", "celeriac.example.org")


@pytest.mark.parametrize(
    ("names", "has_certificate", "lines"),
    [
        (
            {},
            False,
            [
                "  name         celeriac.example.org must point to 203.0.113.10",
                "  certificate  comes by itself once celeriac.example.org points to 203.0.113.10",
            ],
        ),
        (
            {"celeriac.example.org": "203.0.113.10"},
            True,
            ["  certificate  of an authority, for celeriac.example.org"],
        ),
    ],
)
def test_a_launch_with_a_name_says_where_that_must_point(
    world: World,
    capsys: pytest.CaptureFixture[str],
    names: dict[str, str],
    *,
    has_certificate: bool,
    lines: list[str],
) -> None:
    world.around.names, world.around.has_certificate = names, has_certificate

    assert run(*NAMED) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[1] == "  page         https://celeriac.example.org/"
    assert [line for line in said if line.startswith(("  name ", "  certificate "))] == lines


def test_a_launch_with_a_name_answers_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.around.has_certificate = False

    assert run(*NAMED, "--json", "--quiet") == 0

    end = json.loads(capsys.readouterr().out)
    assert (end["domain"], end["url"]) == ("celeriac.example.org", "https://celeriac.example.org")
    assert (end["address"], end["domain_points_here"]) == ("203.0.113.10", False)
    assert end["certificate"] is None


def test_a_launch_with_a_repository_for_models_says_how_to_push(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*LAUNCH, "--models-repository") == 0

    url = "ssh://celeriac-models@203.0.113.10/var/lib/celeriac/models.git"
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("  models ")]
    clone = Path("clone")
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    subprocess.run(["sh", "-ec", line.removeprefix("  models ")], cwd=clone, check=True)
    config = ["git", "-C", str(clone), "config"]
    asked = [
        subprocess.run([*config, name], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("remote.production.url", "core.sshCommand")
    ]
    assert asked == [url, f"ssh -o UserKnownHostsFile={known_hosts_file('lab')}"]
    (server,) = world.cloud.belongings().servers
    assert f"      {PUBLIC_KEY} Generated-by-Nova\n" in world.cloud.request_of(server.id).user_data


def test_a_second_run_knows_that_pushes_are_taken(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run(*LAUNCH, "--models-repository")
    world.around.looks = 0
    capsys.readouterr()

    assert run(*LAUNCH, "--json", "--quiet") == 0

    end = json.loads(capsys.readouterr().out)
    assert end["models_repository"] == "ssh://celeriac-models@203.0.113.10/var/lib/celeriac/models.git"
    assert end["git_ssh_command"] == f"ssh -o UserKnownHostsFile={known_hosts_file('lab')}"


def test_who_is_named_may_push_in_place_of_the_keypair(world: World, tmp_path: Path) -> None:
    (tmp_path / "anna.pub").write_text(f"{PUBLIC_KEY} anna\n")

    assert run(*LAUNCH, "--models-repository", "--push-key", "anna.pub") == 0

    (server,) = world.cloud.belongings().servers
    user_data = world.cloud.request_of(server.id).user_data
    assert f"      {PUBLIC_KEY} anna\n" in user_data
    assert "Generated-by-Nova" not in user_data


PAIR = (*LAUNCH, "--with-development", "--development-flavor", "m1.large")


@pytest.fixture
def tells_keys(world: World) -> None:
    """Every console shows a key that could push models, and the host key of every machine can be read."""
    world.cloud.script = (*CONSOLE[:-1], f"celeriac: push-key {PUBLIC_KEY}", CONSOLE[-1])
    world.around.answers = {("cat", HOST_KEY_FILE): HOST_KEY}


@pytest.mark.usefixtures("tells_keys")
def test_both_machines_are_launched_and_told_of(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*PAIR) == 0

    said = capsys.readouterr().out.splitlines()
    assert [line.split(" is ready")[0] for line in said if " is ready, after " in line] == [
        "lab",
        "lab-development",
    ]
    assert "  train there  cd models && make train MODEL=fashion_mnist && git push production" in said
    assert [line for line in said if line.startswith("  delete it ")] == [
        f"  delete it    python client/stop_instance.py {name}" for name in ("lab", "lab-development")
    ]
    assert known_hosts_file("lab-development").read_text() == f"203.0.113.10 {HOST_KEY}\n"
    assert known_hosts_file("lab").read_text() == f"203.0.113.11 {HOST_KEY}\n"
    assert world.cloud.belongings().names == ["lab", "lab-development"]


@pytest.mark.usefixtures("tells_keys")
def test_both_machines_answer_one_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*PAIR, "--json", "--quiet") == 0

    end = json.loads(capsys.readouterr().out)
    assert (end["name"], end["development"]["name"]) == ("lab", "lab-development")
    assert (end["development"]["role"], end["development"]["production"]) == ("development", "lab")
    assert end["development"]["push_key"] == PUBLIC_KEY
    assert end["models_repository"].startswith("ssh://celeriac-models@")


def test_a_dry_run_of_both_shows_both_plans(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*PAIR, "--dry-run", "--json") == 0

    plan = json.loads(capsys.readouterr().out)
    assert "wait until its console says that it is ready" in plan["development"]["steps"]
    assert "serve Celeriac" in plan["user_data"].splitlines()[1]
    assert "one to train models on" in plan["development"]["user_data"].splitlines()[1]
    assert not [call for call in world.cloud.calls if call.startswith("create")]


def test_a_machine_for_development_alone_is_for_training(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    large = ("trainer", "--flavor", "m1.large", *LAUNCH[3:], "--role", "development")

    assert run(*large) == 0
    said = capsys.readouterr().out
    assert run("list", "--json") == 0

    assert "  train there  cd models && make train MODEL=fashion_mnist\n" in said
    assert "page" not in said
    (listed,) = json.loads(capsys.readouterr().out)["instances"]
    assert (listed["role"], listed["url"]) == ("development", None)
    (group,) = world.cloud.belongings().security_groups
    assert {rule.port for rule in group.rules} == {22}


@pytest.mark.usefixtures("tells_keys")
@pytest.mark.parametrize("both", [True, False])
def test_stop_deletes_both_or_says_which_is_left(
    world: World, capsys: pytest.CaptureFixture[str], both: bool
) -> None:
    run(*PAIR)
    run("other", *LAUNCH[1:])
    capsys.readouterr()

    assert run("lab", "--yes", *(["--with-development"] if both else []), main=main_stop) == 0

    left = [] if both else ["lab-development"]
    assert world.cloud.belongings().names == [*left, "other"]
    assert known_hosts_file("lab-development").exists() is not both
    assert capsys.readouterr().out.splitlines() == [
        "lab is deleted.",
        "lab-development is deleted."
        if both
        else "lab-development is left, and pushes to nobody: python client/stop_instance.py lab-development",
    ]


@pytest.mark.usefixtures("tells_keys")
def test_stop_says_who_still_knows_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    run(*PAIR)
    capsys.readouterr()

    assert run("lab-development", "--yes", main=main_stop) == 0

    assert capsys.readouterr().out.splitlines() == [
        "lab-development is deleted.",
        "lab still knows its key: sudo celeriac push-keys remove lab-development",
    ]


def test_list_knows_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    run(*NAMED)
    capsys.readouterr()

    assert run("list", "--json") == 0

    (listed,) = json.loads(capsys.readouterr().out)["instances"]
    assert listed["url"] == "https://celeriac.example.org"


def test_a_launch_may_leave_before_the_service_answers(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.around.ready_after_looks = None

    assert run(*LAUNCH, "--no-wait") == 0

    assert capsys.readouterr().out.startswith("lab boots, after 0:")


def test_a_dry_run_prints_the_plan_and_the_cloud_config_and_changes_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*LAUNCH, "--dry-run") == 0

    said = capsys.readouterr().out
    assert "  1. take a floating IP from public\n" in said
    assert "note: keypair laptop: the only one" in said
    assert "\n#cloud-config\n" in said
    assert not [call for call in world.cloud.calls if call.startswith("create")]


def test_a_dry_run_answers_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*LAUNCH, "--dry-run", "--json") == 0

    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"][-1] == "wait until https://…:5100/readyz answers 200"
    assert plan["user_data"].startswith("#cloud-config\n")


def test_every_fault_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*LAUNCH, "--image", "gone", "--keypair", "gone") == REFUSED

    assert capsys.readouterr().err.splitlines()[-3:] == [
        "error: lab cannot be launched; nothing was made",
        "error: image: expected one of debian-12, got 'gone'",
        "error: keypair: expected one of laptop, got 'gone'",
    ]


def test_an_instance_that_fails_is_told_with_advice(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.cloud.error_on_boot("No valid host was found.")

    assert run(*LAUNCH) == INSTANCE_FAILED

    error, *advice = capsys.readouterr().err.splitlines()[-3:]
    assert error == "error: the cloud could not boot lab: No valid host was found."
    assert all(line.startswith("try: ") for line in advice)


@pytest.mark.parametrize(
    ("failure", "code"),
    [(KeyboardInterrupt(), INTERRUPTED), (Unavailable("the cloud does not answer"), UNAVAILABLE)],
)
def test_a_launch_that_is_cut_short_says_so_in_one_line(
    world: World, capsys: pytest.CaptureFixture[str], failure: BaseException, code: int
) -> None:
    world.cloud.fail("create_server", with_=failure)

    assert run(*LAUNCH, "--quiet") == code

    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert world.cloud.belongings().is_empty


def test_an_image_is_baked_and_its_instance_deleted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*LAUNCH, "--bake", "baked") == 0

    image = world.cloud.images[-1]
    assert (image.name, image.status, image.properties[COMMIT]) == ("baked", "active", COMMIT_ID)
    assert [command for _, *command in world.around.executed] == [["sudo", "celeriac", "seal"]]
    assert world.cloud.belongings().is_empty
    assert "--image baked" in capsys.readouterr().out


def test_a_launch_from_a_baked_image_runs_what_was_baked(world: World) -> None:
    run(*LAUNCH, "--bake", "baked")
    world.around.looks = 0

    assert run("lab", "--flavor", "m1.small", "--image", "baked") == 0

    server = world.cloud.belongings().servers[0]
    assert server.metadata[COMMIT] == COMMIT_ID
    assert "packages:" not in world.cloud.request_of(server.id).user_data


def test_a_launch_from_an_image_with_containers_finds_its_images_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    containers = ("--flavor", "m1.medium", "--mode", "docker", "--image-prefix", "registry.example/")
    assert run("lab", *LAUNCH[3:], *containers, "--bake", "baked") == 0
    world.around.looks = 0

    assert run("lab", "--flavor", "m1.medium", "--image", "baked", "--json") == 0

    server = world.cloud.belongings().servers[0]
    assert server.metadata[MODE] == "docker"
    assert "image_prefix=registry.example/\n" in world.cloud.request_of(server.id).user_data
    assert '"mode": "docker"' in capsys.readouterr().out
    assert run("other", "--flavor", "m1.medium", "--image", "baked", "--mode", "systemd") == REFUSED
    assert "error: mode: expected docker, for which image baked was baked" in capsys.readouterr().err


def test_what_runs_is_not_baked(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run(*LAUNCH)

    assert run(*LAUNCH, "--bake", "baked") == REFUSED

    assert "there is something called lab already" in capsys.readouterr().err
    assert len(world.cloud.belongings().servers) == 1


def test_an_image_of_the_same_name_is_not_made_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*LAUNCH, "--bake", "debian-12") == REFUSED

    assert "there is an image called 'debian-12' already" in capsys.readouterr().err


def test_a_bake_that_fails_leaves_neither_image_nor_instance(world: World) -> None:
    world.cloud.fail("image", with_=Unavailable("the cloud does not answer"))

    assert run(*LAUNCH, "--bake", "baked") == UNAVAILABLE

    assert [image.name for image in world.cloud.images] == ["debian-12"]
    assert world.cloud.belongings().is_empty


def test_a_dry_run_of_a_bake_shows_its_steps_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*LAUNCH, "--bake", "baked", "--dry-run", "--json") == 0
    steps = json.loads(capsys.readouterr().out)["steps"]

    assert steps[-3:] == [
        "remove identity, keys, secrets and data",
        "make image baked",
        "delete the instance",
    ]
    assert run(*LAUNCH, "--bake", "debian-12", "--dry-run") == REFUSED


def test_an_instance_that_another_run_makes_meanwhile_is_not_baked(world: World) -> None:
    """Baking would destroy it."""
    begun: list[str] = []

    def overtake(call: Call) -> None:
        if (call.operation, call.moment) == ("create_server", "before") and not begun:
            begun.append(call.operation)
            run(*LAUNCH)

    world.cloud.hooks.append(overtake)

    assert run(*LAUNCH, "--bake", "baked") == REFUSED

    assert world.around.executed == []
    assert len(world.cloud.belongings().servers) == 1


def test_a_folder_that_cannot_be_written_to_is_found_before_anything_is_made(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    assert run(*LAUNCH, "--quiet") == USAGE

    assert len(capsys.readouterr().err.splitlines()) == 1
    assert world.cloud.belongings().is_empty


def test_what_commands_a_terminal_is_not_passed_on_from_the_console(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.around.ready_after_looks = None
    world.cloud.script = (
        "\x1b[2J\x1b]0;title\x07Linux version 6.1 \x9b31mred",
        "celeriac: failed code: no\x1b[1m network",
    )

    assert run(*LAUNCH) == INSTANCE_FAILED

    said = capsys.readouterr().err
    assert not {"\x1b", "\x07", "\x9b"} & set(said)
    assert "failed: code: no network" in said


def test_a_failed_undo_is_told_however_quiet_it_shall_be(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.cloud.fail("attach", with_=Unavailable("503"))
    world.cloud.fail("delete_server", with_=Unavailable("503"))

    assert run(*LAUNCH, "--quiet") == UNAVAILABLE

    undone = "error: not everything was undone (503): stop_instance.py lab deletes the rest"
    assert capsys.readouterr().err.splitlines() == [undone, "error: 503"]


def test_list_shows_what_runs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run(*LAUNCH)
    world.cloud.create_floating_address("network-2", mark=Mark("leftover", "run"))
    capsys.readouterr()

    assert run("list") == 0
    header, lab, leftover = capsys.readouterr().out.splitlines()

    assert header.split() == ["NAME", "ROLE", "STATUS", "URL", "COMMIT", "CREATED"]
    assert lab.split()[:4] == ["lab", "production", "ACTIVE", "https://203.0.113.10:5100"]
    assert lab.split()[4] == COMMIT_ID[:12]
    assert leftover.split() == ["leftover", "no", "server"]


def test_list_answers_json(capsys: pytest.CaptureFixture[str]) -> None:
    run(*LAUNCH)
    capsys.readouterr()

    assert run("list", "--json") == 0

    (instance,) = json.loads(capsys.readouterr().out)["instances"]
    assert (instance["name"], instance["floating_addresses"]) == ("lab", ["203.0.113.10"])


def test_list_of_an_empty_project_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "The launcher has made nothing in this project.\n")


def test_stop_deletes_everything_of_one_instance_and_nothing_else(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.cloud.add_foreign_server("lab")
    run("other", *LAUNCH[1:])
    run(*LAUNCH)

    assert run("lab", "--yes", main=main_stop) == 0

    assert world.cloud.belongings().names == ["other"]
    assert capsys.readouterr().out.splitlines()[-1] == "lab is deleted."
    assert world.cloud.calls.count("delete_server") == 1
    assert not known_hosts_file("lab").exists()


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", INTERRUPTED), ("", USAGE)])
def test_stop_asks_first(
    world: World,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    run(*LAUNCH)
    monkeypatch.setattr("click.termui.visible_prompt_func", _answering(answer))

    assert run("lab", main=main_stop) == code

    assert world.cloud.belongings().is_empty is (code == 0)


def _answering(answer: str) -> Callable[[str], str]:
    def prompt(_text: str) -> str:
        if not answer:
            raise EOFError
        return answer.strip()

    return prompt


def test_stop_of_what_does_not_exist_names_what_does(capsys: pytest.CaptureFixture[str]) -> None:
    run(*LAUNCH)

    assert run("gone", "--yes", main=main_stop) == REFUSED

    assert "no instance called gone in this project; there is: lab" in capsys.readouterr().err


def test_stop_answers_json(capsys: pytest.CaptureFixture[str]) -> None:
    run(*LAUNCH, "--quiet")
    capsys.readouterr()

    assert run("lab", "--yes", "--json", "--quiet", main=main_stop) == 0

    assert json.loads(capsys.readouterr().out)["deleted"]["floating_addresses"] == ["203.0.113.10"]


def test_render_needs_no_cloud(capsys: pytest.CaptureFixture[str], world: World) -> None:
    assert run("render", "--repository", REPOSITORY, "--commit", COMMIT_ID) == 0

    assert capsys.readouterr().out.startswith("#cloud-config\n")
    assert world.cloud.calls == []


def test_render_knows_both_modes(capsys: pytest.CaptureFixture[str]) -> None:
    code = ("--repository", REPOSITORY, "--commit", COMMIT_ID)

    assert run("render", *code, "--mode", "docker", "--image-prefix", "registry.example/") == 0

    text = capsys.readouterr().out
    assert "image_prefix=registry.example/\n" in text
    assert 'path: "/etc/docker/daemon.json"' in text
    assert "packages:\n" not in text
    assert run("render", *code, "--image-prefix", "registry.example/") == USAGE


@pytest.mark.parametrize("script", ["start_instance.py", "stop_instance.py"])
@pytest.mark.parametrize("folder", [".", "client"])
def test_the_scripts_run_from_anywhere_without_credentials(script: str, folder: str, tmp_path: Path) -> None:
    path = ROOT / "client" / script
    arguments = [script] if folder == "client" else [str(path)]
    done = subprocess.run(
        [sys.executable, *arguments, "--help"],
        cwd=ROOT / "client" if folder == "client" else tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("main", [main_start, main_stop])
def test_both_scripts_tell_their_version(
    main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--version", main=main) == 0

    assert capsys.readouterr().out == f"Celeriac {__version__}\n"


def test_without_its_libraries_it_says_how_to_get_them(tmp_path: Path) -> None:
    done: Any = subprocess.run(
        [sys.executable, "-S", "-E", str(ROOT / "client" / "start_instance.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: click is not installed: `make launch ARGS=--help`")
