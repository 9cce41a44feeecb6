"""The program `celeriac` of an instance, on a folder in place of the machine, some of its functions replaced."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from client.launcher.machine.cloud_config import TEMPLATES
from client.launcher.machine.mode import Mode
from testing.certificates import make_pair
from testing.processes import free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROGRAM = TEMPLATES / "serving/usr/local/sbin/celeriac"
SET_UP = "usr/local/lib/celeriac/set-up.sh"
SERVICES = "usr/local/lib/celeriac/services.sh"
PUSHES = "usr/local/lib/celeriac/pushes.sh"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FOLDERS = (
    "/opt/celeriac",
    "/etc/celeriac",
    "/etc/rabbitmq",
    "/usr/local/lib",
    "/etc/caddy",
    "/var/lib",
    "/var/log",
    "/run",
)
DISPATCH = '\ncase "$# '
ROOT = "id() { echo 0; }"


class Program:
    """The program of one mode, with a folder in place of the machine's."""

    def __init__(self, folder: Path, mode: Mode) -> None:
        self.folder = folder
        for each in FOLDERS:
            (folder / each[1:]).mkdir(parents=True, exist_ok=True)
        self._text = self._moved(PROGRAM)
        (folder / SERVICES).parent.mkdir()
        (folder / SET_UP).write_text(self._moved(TEMPLATES / "files" / SET_UP))
        (folder / SERVICES).write_text(self._moved(TEMPLATES / mode / SERVICES))

    def take_pushes(self) -> None:
        """Be a machine with a repository for models."""
        (self.folder / PUSHES).write_text(self._moved(TEMPLATES / "pushes" / PUSHES))

    def _moved(self, path: Path) -> str:
        return re.sub(rf"(?<![\w/.])({'|'.join(FOLDERS)})\b", rf"{self.folder}\1", path.read_text())

    def run(
        self, *arguments: str, replacing: str = "", stdout: int = subprocess.PIPE, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; `replacing` is shell text that the program reads before it begins."""
        return subprocess.run(
            self._command(*arguments, replacing=replacing),
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    def begin(self, *arguments: str, replacing: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
        """Begin to run a command that reads from its stdin."""
        command, pipe = self._command(*arguments, replacing=replacing), subprocess.PIPE
        return subprocess.Popen(
            command, env=os.environ | env, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def _command(self, *arguments: str, replacing: str) -> list[str]:
        head, dispatch = self._text.split(DISPATCH)
        return ["bash", "-c", f"{head}\n{replacing}{DISPATCH}{dispatch}", "celeriac", *arguments]

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
    return Program(tmp_path, Mode.SYSTEMD)


@pytest.fixture
def in_containers(tmp_path: Path) -> Program:
    return Program(tmp_path, Mode.DOCKER)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "a command is missing"),
        (("",), "there is no command ''"),
        (("start",), "there is no command 'start'"),
        (("secrets", COMMIT), "there is no command 'secrets'"),
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
    assert re.findall("^  ([a-z-]+)", done.stdout, re.MULTILINE) == [
        "setup",
        "deploy",
        "first-key",
        "keys",
        "push-keys",
        "fingerprint",
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


def test_who_comes_second_is_told_who_is_at_work(program: Program) -> None:
    (program.folder / "opt/celeriac/code.git").mkdir()
    (program.folder / "run/celeriac.lock").write_text(
        "what was said by whoever was there before, and is longer\n"
    )
    waits = f"{ROOT}; is_within_reach() {{ touch {program.folder}/begun; read -r _; return 1; }}"
    first = program.begin(
        "deploy", COMMIT, replacing=f"{waits}; login_user() {{ :; }}", env={"SUDO_USER": "ben"}
    )
    wait_until((program.folder / "begun").exists, what="the first one is at work")

    second = program.run("deploy", "f" * 40, replacing=ROOT)
    first.communicate("go on\n", timeout=60)

    assert (second.returncode, second.stdout) == (1, "")
    at_work = rf"error: another celeriac is at work: deploy {COMMIT}, for ben, since \d\d:\d\d:\d\d \w+\n"
    assert re.fullmatch(at_work, second.stderr)


DOMAIN = "celeriac.example.org"
SYSTEMCTL = 'systemctl() { note "systemctl $*"; }'


def give_name(program: Program) -> None:
    """Have the user-data ask for a name."""
    (program.folder / "etc/celeriac/instance.env").write_text(f"workers=1\ndomain={DOMAIN}\n")


def prepared(program: Program) -> str:
    """What a preparation says in which nothing but the certificate is made."""
    (program.folder / "opt/celeriac/code.git").mkdir()
    (program.folder / "etc/celeriac/tls").mkdir()
    others = "; ".join(
        f"{name}() {{ :; }}" for name in ("install", "chown", "chgrp", "in_code", "login_user")
    )
    tried = 'try() { case $1 in systemctl) "$@" ;; openssl) "$@" 2>/dev/null ;; esac; }'
    done = program.call(f"{others}; {tried}; {SYSTEMCTL}; prepare")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_machine_with_a_name_has_caddy_get_its_certificates(program: Program) -> None:
    give_name(program)

    said = prepared(program)

    assert said == ""
    assert not (program.folder / "etc/celeriac/tls/cert.pem").exists()
    assert "systemctl enable --quiet caddy" in program.log
    assert "systemctl restart caddy" in program.log


def test_a_machine_without_a_name_has_a_certificate_of_its_own_and_no_caddy(program: Program) -> None:
    (program.folder / "etc/celeriac/instance.env").write_text("workers=1\n")

    said = prepared(program)

    assert re.search(r"^celeriac: certificate SHA256:(..:){31}..$", said, re.MULTILINE)
    assert "caddy" not in program.log


def test_a_machine_with_a_name_has_no_certificate_to_pin(program: Program) -> None:
    give_name(program)

    done = program.run("fingerprint", replacing=ROOT)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: there is none to pin: certificates for {DOMAIN} are an authority's\n"


def test_an_image_has_nothing_of_a_name(program: Program) -> None:
    give_name(program)
    left = [program.folder / path for path in ("etc/caddy/Caddyfile", "var/lib/caddy/.local/share/key.pem")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    (program.folder / "var/lib/rabbitmq").mkdir()

    done = program.call(f"{SYSTEMCTL}; forget_services")

    assert done.returncode == 0, done.stderr
    assert not any(path.exists() for path in left)
    assert (program.folder / "var/lib/caddy").is_dir()
    assert "systemctl disable --quiet --now caddy" in program.log


def test_where_caddy_never_was_nothing_of_it_is_forgotten(program: Program) -> None:
    (program.folder / "var/lib/rabbitmq").mkdir()

    done = program.call(f"{SYSTEMCTL}; forget_services")

    assert done.returncode == 0, done.stderr
    assert "caddy" not in program.log


def certificate_of(program: Program) -> Path:
    """The folder of the certificate that a machine makes for itself."""
    made = program.call("chgrp() { :; }; make_certificate")
    assert made.returncode == 0, made.stderr
    return program.folder / "etc/celeriac/tls"


def test_a_machine_makes_itself_one_certificate_and_tells_what_it_is(program: Program) -> None:
    tls = certificate_of(program)
    before = (tls / "cert.pem").read_bytes()
    told = program.run("fingerprint", replacing=ROOT).stdout
    certificate_of(program)

    der = ssl.PEM_cert_to_DER_cert(before.decode())
    assert told == f"SHA256:{hashlib.sha256(der).digest().hex(':').upper()}\n"
    assert (tls / "cert.pem").read_bytes() == before
    assert (tls / "key.pem").stat().st_mode & 0o777 == 0o640
    assert sorted(file.name for file in tls.iterdir()) == ["cert.pem", "key.pem"]


SERVER = """
import http.server, os, ssl
address = os.environ["HOST"], int(os.environ["PORT"])
server = http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler)
if os.environ["TLS_CERT"]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def speaking(kind: str, program: Program, folder: Path) -> dict[str, str]:
    """The settings of a web process that speaks http, or https with one of two certificates."""
    if kind == "behind Caddy":
        return {"TLS_CERT": "", "TLS_KEY": ""}
    if kind == "own certificate":
        tls = certificate_of(program)
        return {"TLS_CERT": str(tls / "cert.pem"), "TLS_KEY": str(tls / "key.pem")}
    pair = make_pair(folder, of=make_pair(folder, "authority", is_authority=True))
    return {"TLS_CERT": str(pair.cert), "TLS_KEY": str(pair.key)}


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("", "own certificate"),
        ("0.0.0.0", "own certificate"),
        ("127.0.0.2", "own certificate"),
        ("127.0.0.1", "an authority's certificate"),
        ("127.0.0.1", "behind Caddy"),
    ],
)
def test_readiness_is_asked_where_and_how_the_process_listens(
    program: Program, tmp_path: Path, host: str, kind: str
) -> None:
    (port,) = free_ports(1)
    (tmp_path / "readyz").write_text("ready")
    env = os.environ | {"HOST": host, "PORT": str(port)} | speaking(kind, program, tmp_path)
    command = [sys.executable, "-c", SERVER]
    server = subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
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


DISTRIBUTION = "distribution() {{ echo {0}; }}"


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("debian 12", False),
        ("debian 13", True),
        ("debian", False),
        ("ubuntu 22.04", False),
        ("ubuntu 24.04", True),
        ("ubuntu 26.04", True),
        ("fedora 43", False),
    ],
)
def test_a_distribution_without_a_new_engine_is_refused_at_once(
    in_containers: Program, name: str, is_taken: bool
) -> None:
    others = "introduce() { :; }; check_processor() { :; }; install_packages() { fail 'taken'; }"

    done = in_containers.run("setup", COMMIT, replacing=f"{ROOT}\n{others}\n{DISTRIBUTION.format(name)}")

    refusal = f"celeriac: failed packages: {name} has no engine 25 and Compose 2.26 among its packages"
    assert (refusal in done.stdout) is not is_taken
    assert ("failed packages: taken" in done.stdout) is is_taken


@pytest.mark.parametrize(
    ("name", "package"), [("debian 13", "docker-compose"), ("ubuntu 24.04", "docker-compose-v2")]
)
def test_each_distribution_has_its_own_names_of_packages(
    in_containers: Program, name: str, package: str
) -> None:
    found = in_containers.call(f"{DISTRIBUTION.format(name)}; needed_packages").stdout.split()

    assert {package, "docker.io", "docker-buildx", "git", "iptables"} <= set(found)
    assert len(set(found) & {"docker-compose", "docker-compose-v2"}) == 1


@pytest.mark.parametrize(
    ("engine", "compose", "says"),
    [
        ("26.1.5+dfsg1", "2.26.1-4", ""),
        ("28.2.2-0ubuntu1~24.04.1", "2.37.1+ds1-0ubuntu2~24.04.1", ""),
        ("24.0.7", "2.26.1", "the Docker engine is 24.0.7, 25 or newer is needed"),
        ("26.1.5", "2.24.6", "Compose is 2.24.6, 2.26 or newer is needed"),
    ],
)
def test_an_engine_that_is_too_old_is_refused(
    in_containers: Program, engine: str, compose: str, says: str
) -> None:
    docker = f"docker() {{ case $1 in version) echo {engine} ;; compose) echo {compose} ;; esac; }}"

    done = in_containers.call(f'{docker}; fail() {{ echo "$*"; exit 1; }}; check_engine')

    assert done.stdout.strip() == says


def test_models_are_in_a_folder_that_the_containers_may_write(in_containers: Program) -> None:
    stubs = 'install() { echo "$*"; }; try() { :; }; iptables() { :; }; check_engine() { :; }'

    done = in_containers.call(f"{stubs}; write_settings() {{ :; }}; prepare_services")

    assert f"-d -m 0755 -o 10001 -g 10001 {in_containers.folder}/var/lib/celeriac/models" in done.stdout


def test_compose_is_told_what_the_machine_and_the_release_are(in_containers: Program) -> None:
    release = in_containers.folder / "opt/celeriac/releases" / COMMIT
    (release / "docker").mkdir(parents=True)
    instance = "repository=\nworkers=3\nimage_prefix=registry.example:5000/lab/\n"
    (in_containers.folder / "etc/celeriac/instance.env").write_text(instance)

    done = in_containers.call(f'write_settings; tell_compose "{release}" {COMMIT}')

    told = (release / "docker/.env").read_text().splitlines()
    assert done.returncode == 0, done.stderr
    assert "BIND=0.0.0.0" in told
    assert f"SECRETS_DIR={in_containers.folder}/etc/celeriac/secrets" in told
    assert told[-2:] == ["IMAGE_PREFIX=registry.example:5000/lab/", f"IMAGE_TAG={COMMIT}"]


def serve(program: Program, compose: str) -> None:
    """Let a release serve whose tools/compose is a script, on a machine that asked for two workers."""
    release = program.folder / "opt/celeriac/releases" / COMMIT
    for name in ("docker", "tools"):
        (release / name).mkdir(parents=True)
    (release / "tools/compose").write_text(f"#!/bin/sh\n{compose}\n")
    (release / "tools/compose").chmod(0o755)
    (program.folder / "opt/celeriac/current").symlink_to(release)
    (program.folder / "etc/celeriac/instance.env").write_text("workers=2\n")
    (program.folder / "etc/celeriac/compose.env").write_text("BIND=0.0.0.0\n")


@pytest.mark.parametrize(("existing", "number"), [("a\\nb\\nc\\n", 3), ("", 2)])
def test_as_many_workers_are_started_as_there_were(
    in_containers: Program, existing: str, number: int
) -> None:
    serve(in_containers, "echo $1 $WORKERS")

    done = in_containers.run("start", replacing=f"{ROOT}\ndocker() {{ printf '{existing}'; }}")

    assert (done.returncode, done.stdout) == (0, f"up {number}\n"), done.stderr


@pytest.mark.parametrize(
    ("states", "tries"),
    [
        ("/rabbit running 0 0 unhealthy", 2),
        ("/rabbit running 0 0 unhealthy\\n/migrate exited 1 0 ", 1),
        ("/rabbit running 0 0 unhealthy\\n/web restarting 1 1 ", 1),
        ("/rabbit running 0 0 healthy", 1),
    ],
)
def test_what_is_only_slow_is_waited_for(in_containers: Program, states: str, tries: int) -> None:
    serve(
        in_containers,
        f"echo up; [ $(echo >>{in_containers.folder}/tries; wc -l <{in_containers.folder}/tries) = 2 ]",
    )
    docker = f"docker() {{ case $1 in ps) echo id ;; inspect) printf '{states}\\n' ;; esac; }}"

    done = in_containers.run("start", replacing=f"{ROOT}\n{docker}")

    assert done.stdout.count("up\n") == tries
    assert (done.returncode == 0) is (tries == 2)


READYZ = '{"checks": {"workers": {"detail": "2 alive: celeriac-worker-1, celeriac-worker-20"}}}'


@pytest.mark.parametrize(
    ("running", "is_ready"),
    [
        ("celeriac-worker-1", True),
        ("celeriac-worker-2", False),
        ("celeriac-worker-20 celeriac-worker-3", False),
    ],
)
def test_ready_is_who_has_every_worker_that_runs(
    in_containers: Program, running: str, is_ready: bool
) -> None:
    functions = f"ask_readyz() {{ echo '{READYZ}'; }}; docker() {{ echo {running}; }}"

    assert (in_containers.call(f"{functions}; is_ready").returncode == 0) is is_ready


def test_the_container_that_keeps_the_others_from_starting_is_named(in_containers: Program) -> None:
    inspected = (
        "/celeriac-db-1 running 0 0 healthy\n/celeriac-migrate-1 exited 1 0 \n/celeriac-web-1 created 0 0 \n"
    )
    answers = f"ps) echo id ;; inspect) printf '{inspected}' ;; logs) echo 'no such table' ;;"

    said = in_containers.call(f"docker() {{ case $1 in {answers} esac; }}; why_not_ready").stdout

    assert said == "container celeriac-migrate-1 does not work: no such table\n"


def test_images_of_releases_that_are_gone_are_removed(in_containers: Program) -> None:
    (in_containers.folder / "opt/celeriac/releases" / COMMIT).mkdir(parents=True)
    images = (
        f"registry.example:5000/lab/celeriac-serve:{COMMIT}",
        f"celeriac-serve:{'f' * 40}",
        f"celeriac-import:{'f' * 40}",
        "celeriac-serve:local",
        "postgres:17",
    )
    listing = "".join(f"{image}\n" for image in images)
    docker = f"docker() {{ case $2 in ls) printf '{listing}' ;; rm) echo removed $3 >&3 ;; esac; }}"

    done = in_containers.call(f"{docker}; forget_unused 3>&1")

    removed = [f"removed celeriac-{name}:{'f' * 40}" for name in ("serve", "import")]
    assert (done.returncode, done.stdout.splitlines()) == (0, removed), done.stderr


def test_the_first_key_is_shown_and_if_there_is_none_that_is_said(program: Program) -> None:
    missing = program.run("first-key", replacing=ROOT)
    (program.folder / "var/lib/celeriac").mkdir()
    (program.folder / "var/lib/celeriac/first-key").write_text("cel_x\n")

    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("error: there is none yet") and missing.stderr.count("\n") == 1
    assert program.run("first-key", replacing=ROOT).stdout == "cel_x\n"


def test_keys_hands_everything_on_as_it_is(program: Program) -> None:
    refused = program.run("keys", "list", replacing=ROOT)
    current = program.folder / "opt/celeriac/current"
    current.symlink_to(program.folder)
    shown = program.run(
        "keys",
        "create",
        "anna's notebook",
        "--json",
        replacing=ROOT + "; manage_keys() { printf '%s\n' \"$@\"; }",
    )

    assert (refused.returncode, refused.stderr) == (1, "error: this machine is not set up yet\n")
    assert shown.stdout.splitlines() == ["create", "anna's notebook", "--json"]


@pytest.fixture
def taking(program: Program) -> Program:
    """The program of a machine with a repository for models."""
    program.take_pushes()
    return program


def new_key(folder: Path, comment: str, *kind: str) -> str:
    """The public half of a throw-away key."""
    path = folder / "key"
    path.unlink(missing_ok=True)
    make = ["ssh-keygen", "-q", *(kind or ("-t", "ed25519")), "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(make, check=True)
    return path.with_suffix(".pub").read_text().strip()


def authorized(program: Program) -> list[str]:
    return (program.folder / "etc/celeriac/push-keys").read_text().splitlines()


def test_a_key_may_push_and_nothing_else(taking: Program, tmp_path: Path) -> None:
    key = new_key(tmp_path, "anna@laptop")

    added = taking.run("push-keys", "add", replacing=ROOT, stdin=f"\n# Anna's\n{key}\n")
    listed = taking.run("push-keys", "list", replacing=ROOT)

    assert (added.returncode, added.stderr) == (0, "")
    command = "CELERIAC_PUSHER=anna@laptop exec sudo -n /usr/local/sbin/celeriac take-push"
    assert authorized(taking) == [f'restrict,command="{command}" {key}']
    assert re.fullmatch(r"256 SHA256:\S+ anna@laptop \(ED25519\)\n", listed.stdout)
    assert (taking.folder / "etc/celeriac/push-keys").stat().st_mode & 0o777 == 0o644


def test_nothing_of_a_comment_is_a_command(taking: Program, tmp_path: Path) -> None:
    key = new_key(tmp_path, "").split()

    taking.run("push-keys", "add", " ".join([*key, '"; touch /tmp/x; $(id) `id` \\ ö']), replacing=ROOT)

    (line,) = authorized(taking)
    name = re.fullmatch(r'restrict,command="CELERIAC_PUSHER=(\S+) exec sudo [^"]*" \S+ \S+ (\S+)', line)
    assert name and name[1] == name[2]
    assert re.fullmatch("[A-Za-z0-9@._-]+", name[1])


def test_a_key_that_may_push_already_gets_another_name_and_is_not_there_twice(
    taking: Program, tmp_path: Path
) -> None:
    first, other = new_key(tmp_path, "first"), new_key(tmp_path, "other")
    again = first.replace("first", "again")

    taking.run("push-keys", "add", replacing=ROOT, stdin=f"{first}\n{other}")
    taking.run("push-keys", "add", again, replacing=ROOT)

    assert [line.split(" ", 5)[-1].split()[-1] for line in authorized(taking)] == ["other", "again"]


@pytest.mark.parametrize("called", ["comment", "fingerprint"])
def test_a_key_is_removed_by_what_the_list_says(taking: Program, tmp_path: Path, called: str) -> None:
    taking.run(
        "push-keys", "add", replacing=ROOT, stdin=f"{new_key(tmp_path, 'a')}\n{new_key(tmp_path, 'b')}\n"
    )
    _, fingerprint, comment, _ = taking.run("push-keys", "list", replacing=ROOT).stdout.split("\n")[0].split()

    removed = taking.run("push-keys", "remove", {"comment": comment}.get(called, fingerprint), replacing=ROOT)
    again = taking.run("push-keys", "remove", "a", replacing=ROOT)

    assert removed.returncode == 0, removed.stderr
    assert [line.split()[-1] for line in authorized(taking)] == ["b"]
    assert (again.returncode, again.stderr.startswith("error: no key that may push is called 'a'")) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "line 1 is no public key"),
        ('command="id" ssh-ed25519 {key}', "line 1 is no public key"),
        ("ssh-ed25519 AAAA", "line 1 is no public key"),
        ("ssh-rsa {key}", "line 1 is no public key"),
        ("ssh-ed25519 {key}\nssh-ed25519 {key}x", "line 2 is no public key"),
        ("ssh-dss {key}", "line 1 is no public key"),
    ],
)
def test_what_is_no_public_key_changes_nothing(taking: Program, tmp_path: Path, line: str, says: str) -> None:
    key = new_key(tmp_path, "").split()[1]

    done = taking.run("push-keys", "add", replacing=ROOT, stdin=line.format(key=key))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {says}") and done.stderr.count("\n") == 1
    assert not (taking.folder / "etc/celeriac/push-keys").exists()


def test_a_short_key_of_rsa_is_refused(taking: Program, tmp_path: Path) -> None:
    key = new_key(tmp_path, "old", "-t", "rsa", "-b", "1024")

    done = taking.run("push-keys", "add", key, replacing=ROOT)

    assert done.stderr.startswith("error: line 1 is an RSA key of 1024 bits: expected 2048 or more")


def test_keys_of_the_user_data_may_push_until_they_are_removed(taking: Program, tmp_path: Path) -> None:
    (taking.folder / "etc/celeriac/first-push-keys").write_text(f"{new_key(tmp_path, 'first')}\n")
    set_up = f"{ROOT}; prepare_pushes"

    taking.call(f"{set_up}")
    first = authorized(taking)
    taking.run("push-keys", "remove", "first", replacing=ROOT)
    taking.call(f"{set_up}")

    assert len(first) == 1
    assert authorized(taking) == []


def test_a_key_that_nobody_can_use_does_not_fail_the_set_up(taking: Program) -> None:
    (taking.folder / "etc/celeriac/first-push-keys").write_text("ssh-rsa AAAA short\n")

    done = taking.call(f"{ROOT}; set -e; prepare_pushes; echo goes on")

    assert done.stdout == "goes on\n"
    assert "nobody may push models: celeriac push-keys add" in taking.log
    assert "line 1 is no public key" in taking.log


@pytest.mark.parametrize("command", [("push-keys", "list"), ("take-push",)])
def test_a_machine_without_a_repository_for_models_says_so(
    program: Program, command: tuple[str, ...]
) -> None:
    done = program.run(*command, replacing=ROOT)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: this machine has no repository for models")


@pytest.mark.parametrize("arguments", [(), ("list", "x"), ("remove",), ("add", "a", "b"), ("drop",)])
def test_push_keys_says_how_it_is_called(taking: Program, arguments: tuple[str, ...]) -> None:
    done = taking.run("push-keys", *arguments, replacing=ROOT)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "push-keys add [KEY]" in done.stderr


def test_a_push_is_handed_to_the_service_with_what_was_asked_for_and_by_whom(taking: Program) -> None:
    (taking.folder / "opt/celeriac/current").symlink_to(taking.folder)
    asked = (
        "export SSH_ORIGINAL_COMMAND='scp -f $(id) %n' CELERIAC_PUSHER=anna; exec() { printf '%s\n' \"$@\"; }"
    )

    started = taking.run("take-push", replacing=f"{ROOT}; {asked}").stdout.splitlines()

    assert started[0] == "systemd-run"
    assert "--setenv=SSH_ORIGINAL_COMMAND=scp -f $(id) %n" in started
    assert "--setenv=CELERIAC_PUSHER=anna" in started
    assert started[-3:] == ["repository", "serve", f"{taking.folder}/var/lib/celeriac/models.git"]


def test_an_image_has_nobody_who_may_push(taking: Program, tmp_path: Path) -> None:
    taking.run("push-keys", "add", new_key(tmp_path, "anna"), replacing=ROOT)
    others = ("stop_services", "forget_services", "forget_users", "forget_identity", "forget_logs", "sync")
    stubs = "; ".join(f"{name}() {{ :; }}" for name in (*others, "cloud-init", "flock"))

    taking.run("seal", replacing=f"{ROOT}; {stubs}")

    assert not (taking.folder / "etc/celeriac/push-keys").exists()


class Development(Program):
    """The program of a machine for development."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Mode.SYSTEMD)
        self._text = self._moved(TEMPLATES / "development/usr/local/sbin/celeriac")


@pytest.fixture
def development(tmp_path: Path) -> Development:
    return Development(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "a command is missing"),
        (("deploy", COMMIT), "there is no command 'deploy'"),
        (("setup",), "setup takes one commit"),
        (("setup", "main"), "a commit is 40 hexadecimal digits, not 'main'"),
        (("connect", "192.0.2.1"), "connect takes addresses and at least one host key"),
        (("status", "x"), "status takes no arguments"),
    ],
)
def test_a_wrong_call_on_a_machine_for_development_is_refused_in_one_line(
    development: Development, arguments: tuple[str, ...], error: str
) -> None:
    done = development.run(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {error}") and done.stderr.count("\n") == 1


def test_help_on_a_machine_for_development_names_every_command(development: Development) -> None:
    said = development.run("help", replacing="id() { echo 1000; }").stdout

    assert re.findall("^  ([a-z-]+) ", said, re.MULTILINE) == [
        "setup",
        "connect",
        "push-key",
        "status",
        "help",
    ]


@pytest.mark.parametrize(
    ("requirements", "flags", "is_refused"),
    [
        ("tensorflow-cpu==2.20", "sse4_2", True),
        ("tensorflow-cpu==2.20", "avx avx2", False),
        ("click==8.1", "sse4_2", False),
    ],
)
def test_a_processor_on_which_nothing_is_trained_is_told_before_anything_is_installed(
    development: Development, requirements: str, flags: str, is_refused: bool
) -> None:
    (development.folder / "requirements").mkdir()
    (development.folder / "requirements/training.txt").write_text(f"{requirements}\n")
    greps = f'grep() {{ if [ "$3" = /proc/cpuinfo ]; then [[ "{flags}" == *avx* ]]; else command grep "$@"; fi; }}'
    stubs = f"uname() {{ echo x86_64; }}; {greps}; fail() {{ echo $*; exit 1; }}; try() {{ echo installs; }}"

    done = development.call(f"{stubs}; checkout={development.folder}; furnish")

    refusal = "the cloud shows a processor without avx, which TensorFlow needs\n"
    assert done.stdout == (refusal if is_refused else "installs\n"), done.stderr
