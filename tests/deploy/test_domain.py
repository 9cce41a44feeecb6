"""A machine with a name in the DNS: Caddy gets it a certificate from an authority, and is the one way in."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from client.launcher.machine.cloud_config import CloudConfig, render
from client.launcher.machine.console import read
from testing.nspawn import Machine, machine
from testing.processes import wait_until
from tests.deploy.conftest import PROGRAM, READY_WITHIN_S, ROW, Listeners, first_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deploy.conftest import Repository

DOMAIN = "celeriac.example.org"
CADDYFILE = "/etc/caddy/Caddyfile"
# An authority that is asked as Let's Encrypt is, and comes to port 80 of the name to see whether it is the machine's.
AUTHORITY = """{
    admin off
    skip_install_trust
    auto_https disable_redirects
    http_port 9080
}
https://localhost:9443 {
    tls internal
    acme_server
}
"""
AUTHORITYS_HOME = "/var/lib/authority"
ROOT_CERTIFICATE = f"{AUTHORITYS_HOME}/caddy/pki/authorities/local/root.crt"


@dataclass(frozen=True)
class Named:
    """A machine that has its certificate, and the authority's own in a file."""

    machine: Machine
    authority: Path
    https_port: int
    http_port: int
    listeners: Listeners

    def ask(self, path: str, **more: object) -> httpx.Response:
        """Ask it by its name, whose certificate must prove it."""
        trusted = ssl.create_default_context(cafile=str(self.authority))
        with httpx.Client(verify=trusted, timeout=60) as client:
            return client.request(
                str(more.pop("method", "GET")),
                f"https://127.0.0.1:{self.https_port}{path}",
                headers={"Host": DOMAIN, **more.pop("headers", {})},  # type: ignore[dict-item]
                extensions={"sni_hostname": DOMAIN},
                **more,  # type: ignore[arg-type]
            )

    def answers(self) -> bool:
        """Whether it says by its name that it is ready."""
        try:
            return self.ask("/readyz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def named(tree: Path, repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    with machine(tree) as made:
        made.seed(render(CloudConfig(repository.head, repository.url, workers=1, domain=DOMAIN)))
        listeners = Listeners(made)
        with listeners.watching():
            made.start()
            wait_until(
                lambda: "celeriac: ready" in made.console or "celeriac: failed" in made.console,
                what="it says that it is ready",
                timeout_s=READY_WITHIN_S,
            )
        assert made.cloud_init_status()["status"] == "done", made.console
        ports = made.forward(443), made.forward(80)
        authority = tmp_path_factory.mktemp("authority") / "root.crt"
        name_it(made)
        authority.write_text(made.run("cat", ROOT_CERTIFICATE).stdout)
        found = Named(made, authority, *ports, listeners)
        wait_until(found.answers, what="Caddy has a certificate", timeout_s=120)
        yield found


def name_it(made: Machine) -> None:
    """Let the name point to the machine, and an authority be there that Caddy asks."""
    hosts = made.disk / "etc/hosts"
    hosts.write_text(f"{hosts.read_text()}\n127.0.0.1 {DOMAIN}\n")
    (made.disk / "srv/authority").write_text(AUTHORITY)
    authority = ["caddy", "run", "--adapter", "caddyfile", "--config", "/srv/authority"]
    made.run("systemd-run", "--unit=authority", f"--setenv=XDG_DATA_HOME={AUTHORITYS_HOME}", *authority)
    wait_until(
        lambda: made.run("test", "-s", ROOT_CERTIFICATE, check=False).returncode == 0, what="an authority"
    )
    made.run("install", "--mode=0644", ROOT_CERTIFICATE, "/etc/caddy/authority.crt")
    asks = "acme_ca https://localhost:9443/acme/local/directory\\n\\tacme_ca_root /etc/caddy/authority.crt"
    made.run("sed", "-i", f"0,/^{{$/s||{{\\n\\t{asks}|", CADDYFILE)
    made.run("systemctl", "reload", "caddy")


def test_its_console_says_that_it_is_ready_and_nothing_of_a_certificate(named: Named) -> None:
    progress = read(named.machine.console)

    assert (progress.is_ready, progress.failure, progress.certificate) == (True, None, None)


def test_beyond_loopback_only_ssh_and_caddy_listen(named: Named) -> None:
    named.listeners.look()
    ports = {address.rpartition(":")[2] for address in named.listeners.seen if not address.startswith("127.")}

    assert ports - {"9080", "9443"} == {"22", "80", "443"}
    assert "127.0.0.1:5100" in named.listeners.seen
    assert not [address for address in named.listeners.seen if address.endswith(":2019")]


def test_a_certificate_proves_the_name_and_comes_by_port_80(named: Named) -> None:
    journal = named.machine.run("journalctl", "--unit=caddy", "--output=cat").stdout

    assert named.answers()
    assert "certificate obtained successfully" in journal
    assert '"challenge_type":"http-01"' in journal
    assert '"challenge_type":"tls-alpn-01"' not in journal


def test_http_leads_to_the_name_whoever_is_asked_for(named: Named) -> None:
    for host in (DOMAIN, "203.0.113.17", "other.example.org"):
        url = f"http://127.0.0.1:{named.http_port}/jobs?a=b"
        answer = httpx.get(url, headers={"Host": host})

        assert (answer.status_code, answer.headers["location"]) == (308, f"https://{DOMAIN}/jobs?a=b")


def test_browsers_are_told_to_come_by_https_alone(named: Named) -> None:
    assert named.ask("/readyz").headers["strict-transport-security"].startswith("max-age=")


def test_another_name_is_not_answered_for(named: Named) -> None:
    assert named.ask("/readyz", headers={"Host": "other.example.org"}).status_code == 421


def test_a_job_is_submitted_and_its_events_come_as_they_are(named: Named) -> None:
    headers = {"Authorization": f"Bearer {first_key(named.machine)}"}
    asked = {"model": "diabetes", "inputs": [ROW] * 3}
    submitted = named.ask("/api/jobs", method="POST", json=asked, headers=headers)
    assert submitted.status_code == 202, submitted.text

    events = named.ask(submitted.json()["links"]["events"], headers=headers)

    assert events.headers["content-type"].startswith("text/event-stream")
    assert '"succeeded":3' in events.text.replace(" ", "")


@pytest.mark.parametrize(("page", "status"), [(DOMAIN, 202), ("other.example.org", 403)])
def test_pages_of_other_sites_are_refused_behind_caddy_too(named: Named, page: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {first_key(named.machine)}", "Origin": f"https://{page}"}
    asked = {"model": "diabetes", "inputs": [ROW]}

    assert named.ask("/api/jobs", method="POST", json=asked, headers=headers).status_code == status


def test_without_a_key_nobody_is_let_in_although_the_service_is_on_loopback(named: Named) -> None:
    assert named.ask("/api/jobs").status_code == 401


def test_the_launcher_sees_it_at_its_address(named: Named) -> None:
    code = (
        "from client.launcher.machine.surroundings import Outside; ask = Outside('lab').is_ready_as; "
        f"print(ask('{DOMAIN}', '127.0.0.1'), ask('x.{DOMAIN}', '127.0.0.1'))"
    )
    inside = ["ip", "netns", "exec", named.machine.name, sys.executable, "-c", code]
    env = os.environ | {"SSL_CERT_FILE": str(named.authority)}

    assert (
        subprocess.run(inside, env=env, capture_output=True, text=True, check=True).stdout == "True False\n"
    )


def test_its_status_tells_of_caddy_and_there_is_nothing_to_pin(named: Named) -> None:
    status = named.machine.run(PROGRAM, "status").stdout
    refused = named.machine.run(PROGRAM, "fingerprint", check=False)

    assert "caddy.service" in status
    assert "there is none to pin" in refused.stderr
    assert not (named.machine.disk / "etc/celeriac/tls").exists()


def test_no_other_user_can_configure_caddy(named: Named) -> None:
    for user in ("celeriac", "nobody"):
        asked = named.machine.run(
            *("setpriv", f"--reuid={user}", "--clear-groups", "python3", "-c"),
            "import socket; socket.socket(socket.AF_UNIX).connect('/run/caddy/admin.sock')",
            check=False,
        )
        assert "PermissionError" in asked.stderr


def test_caddy_comes_back_when_it_is_killed(named: Named) -> None:
    before = named.machine.ask("systemctl", "show", "--property=MainPID", "--value", "caddy")

    named.machine.run("systemctl", "kill", "--signal=KILL", "caddy")

    wait_until(named.answers, what="it answers again")
    assert named.machine.ask("systemctl", "show", "--property=MainPID", "--value", "caddy") != before
    named.machine.run("systemctl", "reload", "caddy")
    assert named.answers()


def test_a_deployment_and_a_reboot_leave_what_the_operator_wrote(
    named: Named, repository: Repository
) -> None:
    instance = named.machine
    written = instance.run("cat", CADDYFILE).stdout
    another = repository.commit({"README.md": "another"}, message="named")

    instance.run(PROGRAM, "deploy", another, timeout_s=300)

    assert another in instance.run(PROGRAM, "status").stdout
    assert named.answers()
    instance.reboot()
    wait_until(named.answers, what="it answers after the reboot", timeout_s=120)
    assert instance.run("cat", CADDYFILE).stdout == written


@pytest.mark.last
def test_an_image_of_it_knows_neither_name_nor_certificates(named: Named) -> None:
    instance = named.machine
    keys = partial(instance.ask, "find", "/var/lib/caddy", "/etc/caddy/Caddyfile", "-type", "f")
    assert f"{DOMAIN}.key" in keys()

    instance.run(PROGRAM, "seal", timeout_s=120)

    assert keys() == ""
    assert instance.ask("grep", "-rIl", DOMAIN, "/etc/celeriac", "/etc/caddy", "/etc/systemd") == ""
    assert instance.ask("systemctl", "is-enabled", "caddy") == "disabled"
    assert instance.ask("systemctl", "is-active", "caddy") == "inactive"
