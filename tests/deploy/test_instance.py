"""An instance, from its user-data to predictions and through what may happen to it: real systemd, real cloud-init."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from client.launcher.machine.console import read
from client.launcher.machine.push_keys import MODELS_REPOSITORY, PUSHER
from client.launcher.machine.ssh import CODE
from testing.nspawn import HOST
from testing.processes import wait_until
from testing.s3 import s3_store
from tests.deploy.conftest import (
    PATIENT,
    PROGRAM,
    ROOT,
    ask,
    first_key,
    is_ready,
    job,
    password,
    predicted,
    submit,
    wait_until_ready,
    with_key,
)

if TYPE_CHECKING:
    from pathlib import Path

    from testing.nspawn import Machine
    from tests.deploy.conftest import Booted, Remote, Repository


SETTINGS = "/etc/celeriac/celeriac.env"


def workers(instance: Machine) -> set[str]:
    """Process numbers of the workers that the service says are alive."""
    try:
        checks = ask(instance, "GET", "/readyz").json()["checks"]
    except httpx.TransportError:
        return set()
    # Anchored at the end of each name: a host may be called celeriac-123456.
    return set(re.findall(r"-(\d+)-[0-9a-f]{4}(?=,|$)", checks["workers"]["detail"]))


def main_pid(instance: Machine, unit: str) -> str:
    return instance.ask("systemctl", "show", "--property=MainPID", "--value", unit)


def serving(instance: Machine) -> str:
    """The commit that serves; nothing while the machine has only begun to boot."""
    return instance.ask("readlink", "/opt/celeriac/current").rpartition("/")[2]


def test_first_boot_tells_the_console_how_it_went(booted: Booted, repository: Repository) -> None:
    console = booted.console
    progress = read(console)

    assert progress.is_ready and progress.failure is None
    assert progress.login == "debian"
    public = booted.machine.run("cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.split()
    assert " ".join(public[:2]) in progress.host_keys
    assert console.count(f"celeriac: ready {repository.head}") == 1
    assert re.findall("celeriac: stage (.*)", console.replace("\r", "")) == [
        "packages",
        "code",
        "environment",
        "broker",
        "database",
        "services",
    ]


def test_each_model_predicts_through_the_client(instance: Machine, tmp_path: Path) -> None:
    Image.new("L", (28, 28), 200).save(tmp_path / "square.png")

    square = str(tmp_path / "square.png")
    assert "row 1  diabetes" in predicted(instance, "diabetes", *PATIENT)
    assert "square.png" in predicted(instance, "fashion_mnist", square)


def test_nobody_gets_in_without_a_key_and_only_the_machine_tells_it(booted: Booted) -> None:
    instance, key = booted.machine, first_key(booted.machine)

    assert ask(instance, "GET", "/api/jobs").status_code == 401
    assert instance.ask("stat", "-c", "%a %U", "/var/lib/celeriac/first-key") == "600 celeriac"
    told = booted.console + instance.run("journalctl", "--no-pager").stdout
    told += instance.run("cat", "/var/log/celeriac-setup.log").stdout
    assert key not in told


def test_the_console_tells_the_certificate_that_is_shown_and_nobody_else_reads_its_key(
    booted: Booted,
) -> None:
    instance = booted.machine
    host, port = instance.url.removeprefix("https://").split(":")
    shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port)), timeout=60))

    told = read(booted.console).certificate
    assert told == f"SHA256:{hashlib.sha256(shown).digest().hex(':').upper()}"
    assert instance.run("celeriac", "fingerprint").stdout == f"{told}\n"
    assert instance.ask("stat", "-c", "%a %G", "/etc/celeriac/tls/key.pem") == "640 celeriac"


def test_keys_are_made_and_revoked_on_the_machine(instance: Machine) -> None:
    made = instance.run("celeriac", "keys", "create", "anna's notebook", "--client", "anna").stdout.strip()
    headers = {"Authorization": f"Bearer {made}"}

    assert ask(instance, "GET", "/api/jobs", headers=headers).status_code == 200
    assert "anna's notebook" in instance.run("celeriac", "keys", "list").stdout
    instance.run("celeriac", "keys", "revoke", made)
    wait_until(
        lambda: ask(instance, "GET", "/api/jobs", headers=headers).status_code == 401,
        what="the key opens nothing any more",
    )
    assert instance.run("celeriac", "keys", "revoke", "cel_00000000", check=False).returncode == 1
    assert instance.ask("stat", "-c", "%U", "/var/lib/celeriac/celeriac.sqlite3") == "celeriac"


def test_nothing_ever_listened_beyond_loopback_but_ssh_and_the_web(booted: Booted) -> None:
    booted.listeners.look()

    beyond = {each for each in booted.listeners.seen if not each.startswith(("127.", "[::1]"))}
    assert {each.rpartition(":")[2] for each in beyond} == {"22", "5100"}
    assert "127.0.0.1:5672" in booted.listeners.seen


def test_the_broker_knows_one_user_and_no_guest(instance: Machine) -> None:
    users = instance.run("rabbitmqctl", "--quiet", "list_users", "--no-table-headers").stdout

    assert [line.split()[0] for line in users.splitlines()] == ["celeriac"]
    assert instance.ask("stat", "-c", "%a %U", "/etc/celeriac/broker.env") == "600 root"
    assert instance.ask("stat", "-c", "%a", "/etc/rabbitmq/celeriac.json") == "600"


@pytest.mark.parametrize("unit", ["celeriac-web", "celeriac-worker@1"])
def test_a_process_of_the_service_can_do_little_else(instance: Machine, unit: str) -> None:
    pid = main_pid(instance, unit)

    status = dict(
        line.split(":\t", 1)
        for line in instance.run("cat", f"/proc/{pid}/status").stdout.splitlines()
        if "\t" in line
    )
    assert status["Uid"].split()[0] == instance.ask("id", "-u", "celeriac")
    assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0)
    for folder in ("/etc", "/opt/celeriac", "/usr", "/var/lib"):
        denied = instance.run("nsenter", f"--target={pid}", "--mount", "touch", f"{folder}/x", check=False)
        assert "Read-only file system" in denied.stderr
    assert instance.ask("systemctl", "show", "--property=MemoryMax", "--value", unit) == str(2**30)


def test_the_units_have_no_fault(instance: Machine) -> None:
    names = ("celeriac.target", "celeriac.slice", "celeriac-web.service", "celeriac-worker@1.service")
    verified = instance.run("systemd-analyze", "verify", "--man=no", *names, check=False)

    assert "celeriac" not in verified.stderr


@pytest.mark.parametrize("name", ["fetched", "uploaded", "baked", "docker", "docker-pulled"])
def test_cloud_inits_schema_finds_nothing(instance: Machine, name: str) -> None:
    golden = ROOT / "tests/unit/client/launcher/machine/golden" / f"cloud-config-{name}.yaml"
    (instance.disk / "var/tmp" / golden.name).write_text(golden.read_text())

    checked = instance.run("cloud-init", "schema", "--config-file", f"/var/tmp/{golden.name}", check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_logs_upgrades_and_time_are_taken_care_of(instance: Machine) -> None:
    upgrades = instance.run("apt-config", "dump").stdout

    assert re.findall(r'Unattended-Upgrade::Origins-Pattern:: "(.*)";', upgrades) == [
        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security",
        "origin=Ubuntu,archive=${distro_codename}-security,label=Ubuntu",
    ]
    assert 'APT::Periodic::Unattended-Upgrade "1";' in upgrades
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in upgrades
    assert instance.ask("systemctl", "is-enabled", "systemd-timesyncd") == "enabled"
    assert "listening on" in instance.run("journalctl", "--unit=celeriac-web", "--boot").stdout
    assert instance.run("logrotate", "--debug", "/etc/logrotate.d/celeriac").returncode == 0


def test_a_killed_worker_comes_back_and_its_job_is_finished(instance: Machine) -> None:
    wait_until(lambda: len(workers(instance)) == 2, what="two workers")
    killed = main_pid(instance, "celeriac-worker@1")

    job_id = submit(instance, rows=50_000)
    wait_until(lambda: job(instance, job_id)["state"] != "queued", what="the job runs")
    instance.run("kill", "-KILL", killed)

    wait_until(
        lambda: job(instance, job_id)["state"] == "finished", what="the job is finished", timeout_s=120
    )
    assert job(instance, job_id)["succeeded"] == 50_000
    wait_until(
        lambda: main_pid(instance, "celeriac-worker@1") in workers(instance), what="the worker is back"
    )
    assert main_pid(instance, "celeriac-worker@1") != killed


def test_workers_are_scaled_to_three_and_back(instance: Machine) -> None:
    wait_until(lambda: len(workers(instance)) == 2, what="two workers")
    try:
        instance.run("systemctl", "enable", "--now", "celeriac-worker@3")
        wait_until(lambda: len(workers(instance)) == 3, what="three workers")
        instance.run("systemctl", "restart", "celeriac.target")
        wait_until(
            lambda: main_pid(instance, "celeriac-worker@3") in workers(instance), what="the third one again"
        )
    finally:
        instance.run("systemctl", "disable", "--now", "celeriac-worker@3")

    wait_until(lambda: len(workers(instance)) == 2, what="two workers again")


def test_setting_up_again_changes_nothing(instance: Machine) -> None:
    before = password(instance), serving(instance), main_pid(instance, "celeriac-web")

    output = instance.run(PROGRAM, "setup", serving(instance), timeout_s=120).stdout

    assert f"celeriac: ready {before[1]}" in output
    assert (password(instance), serving(instance), main_pid(instance, "celeriac-web")) == before


def test_nobody_but_root_can_change_the_code(instance: Machine) -> None:
    folders = ("/opt/celeriac/releases", "/opt/celeriac/environments")

    assert instance.ask("find", *folders, "!", "-type", "l", "-perm", "/022") == ""
    assert instance.ask("find", *folders, "!", "-user", "root") == ""


def test_the_port_may_be_another_one_and_in_quotes(instance: Machine) -> None:
    settings = "/etc/celeriac/celeriac.env"
    instance.run("cp", settings, "/var/tmp/settings")
    try:
        instance.run("sh", "-c", f"""printf 'HOST="127.0.0.2"\nPORT="5200"\n' >>{settings}""")
        instance.run("systemctl", "restart", "celeriac.target")
        wait_until(
            lambda: instance.run(PROGRAM, "status", check=False).returncode == 0, what="it is asked there"
        )
    finally:
        instance.run("cp", "/var/tmp/settings", settings)
        instance.run("systemctl", "restart", "celeriac.target")
    wait_until_ready(instance)


def test_a_wiped_broker_is_set_up_by_its_restart(instance: Machine) -> None:
    instance.run("systemctl", "stop", "rabbitmq-server")
    instance.run("sh", "-c", "rm -rf /var/lib/rabbitmq/mnesia/*")
    instance.run("systemctl", "start", "rabbitmq-server")

    wait_until_ready(instance)
    assert "row 1  diabetes" in predicted(instance, "diabetes", *PATIENT)


def imported(instance: Machine, name: str) -> dict[str, Any]:
    """An import of irises, once it is over."""
    file = (ROOT / "examples" / "iris.onnx").read_bytes()
    headers = with_key(instance)
    sent = ask(
        instance,
        "POST",
        "/api/models",
        data={"name": name},
        files={"file": ("iris.onnx", file)},
        headers=headers,
    )
    assert sent.status_code == 202, sent.text
    link = sent.json()["links"]["self"]

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = ask(instance, "GET", link, headers=headers).json()
        return found

    wait_until(lambda: shown()["finished"] is not None, what="the import is over")
    return shown()


def test_a_model_that_is_sent_serves_and_its_file_is_read_without_a_network(instance: Machine) -> None:
    made = imported(instance, "iris")

    assert made["error"] is None
    assert [note for note in made["notes"] if "network" in note] == []
    assert "setosa" in predicted(instance, "iris", "5.1", "3.5", "1.4", "0.2")
    assert instance.ask("stat", "-c", "%U", f"/var/lib/celeriac/models/iris/{made['version']}") == "celeriac"


@dataclass(frozen=True)
class Models:
    """A clone of the instance's models; `git` runs with the operator's key."""

    folder: Path
    operator: Remote

    @property
    def url(self) -> str:
        return self.operator.url(PUSHER, MODELS_REPOSITORY)

    def git(self, *arguments: str) -> str:
        author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        done = subprocess.run(
            ["git", *author, *arguments],
            cwd=self.folder,
            env=self.operator.git_env,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def there(self) -> str:
        """What main is at on the instance; nothing before the first push."""
        return self.git("ls-remote", self.url, "refs/heads/main").partition("\t")[0]

    def commit(self, model: str) -> None:
        """A model of irises under that name, on top of what the instance has."""
        if self.there():
            self.git("fetch", "--quiet", self.url, "main")
            self.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        (self.folder / model).mkdir()
        shutil.copy(ROOT / "examples" / "iris.onnx", self.folder / model)
        self.git("add", model)
        self.git("commit", "--quiet", "-m", f"Tell irises apart in {model}")

    def begin_push(self) -> subprocess.Popen[str]:
        return self.operator.begin_push(self.folder, self.url, "main")


@pytest.fixture
def models(instance: Machine, booted: Booted, tmp_path: Path) -> Models:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(tmp_path)], check=True)
    return Models(tmp_path, booted.operator)


def stable(instance: Machine, model: str) -> str | None:
    """The version that serves by a channel."""
    answer = ask(instance, "GET", f"/api/models/{model}/channels", headers=with_key(instance))
    if answer.status_code == 404:
        return None
    found = {each["channel"]: each["version"] for each in answer.json()["channels"]}
    return found.get("stable")


def test_a_model_that_is_pushed_over_ssh_serves_and_its_history_names_whose_key_it_was(
    instance: Machine, models: Models
) -> None:
    models.commit("pushed")

    pushing = models.begin_push()
    said, _ = pushing.communicate(timeout=200)

    assert pushing.returncode == 0, said
    assert stable(instance, "pushed") is not None, said
    assert "setosa" in predicted(instance, "pushed", "5.1", "3.5", "1.4", "0.2")
    history = ask(instance, "GET", "/api/models/pushed/history", headers=with_key(instance)).text
    assert models.operator.folder.name in history and "Tell irises apart in pushed" in history
    assert instance.ask("find", MODELS_REPOSITORY, "!", "-user", "celeriac") == ""
    assert "celeriac-push-" not in instance.ask("systemctl", "list-units", "--all", "celeriac-push-*")


@pytest.mark.parametrize(
    ("options", "command", "says"),
    [
        ((), ("id",), "this key may only push to"),
        ((), (), "this key may only push to"),
        ((), ("git-receive-pack '/opt/celeriac/code.git'",), "this key may only push to"),
        ((), (f"git-receive-pack '{MODELS_REPOSITORY}'; id",), "this key may only push to"),
        ((), ("scp -t /tmp",), "this key may only push to"),
        # What a subsystem says, sshd does not pass on.
        (("-s",), ("sftp",), ""),
        (("-tt",), ("id",), "PTY allocation request failed"),
        (("-W", "127.0.0.1:5672"), (), "administratively prohibited"),
        (("-N", "-R", "0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"), (), "forwarding failed"),
    ],
)
def test_a_key_that_may_push_may_do_nothing_else(
    booted: Booted, options: tuple[str, ...], command: tuple[str, ...], says: str
) -> None:
    asked = booted.operator.ssh(PUSHER, *command, options=options)

    assert asked.returncode != 0
    assert says in asked.stderr, asked.stderr
    assert "uid=" not in asked.stdout


def test_nobody_else_pushes_and_a_key_of_the_login_user_is_none(instance: Machine, booted: Booted) -> None:
    operator = booted.operator
    instance.run("celeriac", "push-keys", "remove", operator.folder.name)
    try:
        assert "Permission denied (publickey)" in operator.ssh(PUSHER, "id").stderr
        assert operator.ssh("debian", "sudo", "celeriac", "push-keys", "list").stdout == ""
        # Whoever may log in may let others push, and themselves.
        added = operator.ssh("debian", "sudo", "celeriac", "push-keys", "add", shlex.quote(operator.public))
    finally:
        instance.run("celeriac", "push-keys", "add", operator.public)
    assert added.returncode == 0, added.stderr
    assert operator.folder.name in operator.ssh("debian", "sudo", "celeriac", "push-keys", "list").stdout


def test_a_push_that_a_loss_of_power_ends_changes_nothing(instance: Machine, models: Models) -> None:
    models.commit("early")
    before = models.there()

    pushing = models.begin_push()
    wait_until(
        lambda: instance.run("pgrep", "-f", "hook pre-receive", check=False).returncode == 0,
        what="it is looked at",
    )
    instance.cut_power()
    pushing.communicate(timeout=200)
    instance.start()
    wait_until_ready(instance)

    assert pushing.returncode != 0
    assert models.there() == before
    again = models.begin_push()
    said, _ = again.communicate(timeout=200)
    assert again.returncode == 0, said
    assert stable(instance, "early") is not None


def test_a_push_that_a_loss_of_power_ends_when_main_has_moved_is_finished(
    instance: Machine, models: Models
) -> None:
    models.commit("late")
    main, before = instance.disk / MODELS_REPOSITORY[1:] / "refs/heads/main", models.there()

    pushing = models.begin_push()
    wait_until(lambda: main.exists() and main.read_text().strip() not in {"", before}, what="main has moved")
    instance.cut_power()
    pushing.communicate(timeout=200)
    instance.start()
    wait_until_ready(instance)

    wait_until(lambda: stable(instance, "late") is not None, what="what was pushed serves")
    assert "setosa" in predicted(instance, "late", "5.1", "3.5", "1.4", "0.2")


def test_a_store_in_a_bucket_is_named_in_the_settings(instance: Machine) -> None:
    with s3_store() as store:
        store.fill("models", {})
        url = store.url.replace("127.0.0.1", HOST)
        settings = {**store.environ, "MODEL_STORE": "s3://models/lab", "AWS_ENDPOINT_URL": url}
        lines = "\n".join(f"{name}={value}" for name, value in settings.items())
        instance.run("cp", "-p", SETTINGS, f"{SETTINGS}.before")
        try:
            instance.run("sh", "-c", f"echo '{lines}' >>{SETTINGS}; systemctl restart celeriac.target")
            wait_until_ready(instance)
            made = imported(instance, "lent")
            listed = store.client().list_objects_v2(Bucket="models", Prefix="lab/lent/")["Contents"]
            assert f"lab/lent/{made['version']}/manifest.json" in [each["Key"] for each in listed]
            assert "setosa" in predicted(instance, "lent", "5.1", "3.5", "1.4", "0.2")
        finally:
            instance.run("sh", "-c", f"mv {SETTINGS}.before {SETTINGS}; systemctl restart celeriac.target")
            wait_until_ready(instance)


def test_a_commit_that_is_pushed_is_deployed_and_a_broken_one_is_not(
    instance: Machine, booted: Booted, repository: Repository
) -> None:
    operator, url = booted.operator, booted.operator.url("debian", CODE)
    other = repository.commit({}, message="other")
    repository.commit({"production_server/worker/process.py": "raise OSError('broken')\n"}, message="broken")
    instance.run("systemctl", "disable", "--now", "celeriac-worker@2")
    assert imported(instance, "kept")["version"] is not None
    try:
        first = operator.begin_push(repository.path, url, "other:refs/heads/deploy")
        wait_until(lambda: other in instance.ask("cat", "/run/celeriac.lock"), what="it is being deployed")
        refused, told = operator.push(repository.path, url, "broken:refs/heads/deploy")
        said, _ = first.communicate(timeout=200)
        assert (refused, first.returncode) == (1, 0), told + said
        assert f"another celeriac is at work: deploy {other}, for debian, since " in told
        stages = re.findall(r"^remote:   (\w+) +\d+\.\d s\s*$", said, re.MULTILINE)
        assert stages[-3:] == ["broker", "database", "services"]
        assert f"remote: {other[:12]} serves, after " in said
        assert "remote: readyz  {" in said
        assert serving(instance) == other
        assert "setosa" in predicted(instance, "kept", "5.1", "3.5", "1.4", "0.2")
        assert instance.ask("systemctl", "is-enabled", "celeriac-worker@2") == "disabled"

        refused, told = operator.push(repository.path, url, "+broken:refs/heads/deploy")
        assert refused == 1
        # Git pads its columns by how long commits' short names are, which grows with the repository.
        assert re.search(r"\[remote rejected\] +broken -> deploy \(services: celeriac-worker@", told), told
        assert f"{other} serves again)" in told, told
        assert serving(instance) == other
        assert is_ready(instance)
    finally:
        instance.run("systemctl", "enable", "celeriac-worker@2")
        instance.run(PROGRAM, "deploy", repository.head, timeout_s=120)
    assert serving(instance) == repository.head


def test_a_deployment_that_is_cut_off_is_taken_back_at_the_next_boot(
    instance: Machine, repository: Repository
) -> None:
    before = serving(instance)
    hanging = repository.commit(
        {"production_server/worker/process.py": "import time\ntime.sleep(600)\n"}, message="hanging"
    )

    instance.run("systemd-run", "--no-block", PROGRAM, "deploy", hanging)
    wait_until(lambda: serving(instance) == hanging, what="it has switched", timeout_s=120)
    assert f"celeriac deploy {before}" in instance.ask(PROGRAM, "status")
    instance.cut_power()
    instance.start()

    wait_until(lambda: serving(instance) == before, what="it has switched back", timeout_s=120)
    # It has switched before it restarts what runs.
    assert instance.cloud_init_status()["status"] == "done"
    wait_until_ready(instance)
    assert "next boot" not in instance.ask(PROGRAM, "status")


def test_a_commit_that_cannot_be_built_leaves_the_service_alone(
    instance: Machine, repository: Repository
) -> None:
    before = serving(instance), main_pid(instance, "celeriac-web")
    broken = repository.commit({"requirements.txt": "flask==0.0.0 --hash=sha256:00\n"}, message="unbuildable")

    refused = instance.run(PROGRAM, "deploy", broken, check=False, timeout_s=200)

    assert "celeriac: failed environment: " in refused.stdout
    assert (serving(instance), main_pid(instance, "celeriac-web")) == before


def test_a_reboot_brings_all_back(instance: Machine) -> None:
    job_id = submit(instance, rows=10)
    wait_until(lambda: job(instance, job_id)["state"] == "finished", what="the job is finished")
    before = password(instance)

    instance.reboot()

    wait_until_ready(instance)
    assert job(instance, job_id)["succeeded"] == 10
    assert password(instance) == before
    wait_until(lambda: len(workers(instance)) == 2, what="two workers")
    assert "row 1  diabetes" in predicted(instance, "diabetes", *PATIENT)
