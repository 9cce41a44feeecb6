"""The service with TLS, as a user starts it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from testing.celeriac import ROOT, Celeriac
from testing.certificates import Pair, make_pair
from testing.processes import free_ports, temporary_directory, wait_until


def production_server(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "production_server", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with temporary_directory("tls") as folder:
        yield folder


@pytest.fixture(scope="module")
def pair(folder: Path) -> Pair:
    return make_pair(folder)


@pytest.fixture(scope="module")
def service(folder: Path, pair: Pair) -> Iterator[Celeriac]:
    with secured(folder, pair) as service:
        yield service.start()


@contextlib.contextmanager
def secured(folder: Path, pair: Pair, **settings: str) -> Iterator[Celeriac]:
    """A service that speaks https when it is started, and what asks it."""
    (http_port,) = free_ports(1)
    settings |= {"TLS_CERT": str(pair.cert), "TLS_KEY": str(pair.key), "HTTP_PORT": str(http_port)}
    service = Celeriac(folder, **settings)
    service.url = service.url.replace("http:", "https:")
    service.web.close()
    trusting = ssl.create_default_context(cafile=str(pair.cert))
    service.web = httpx.Client(base_url=service.url, verify=trusting)
    try:
        yield service
    finally:
        service.close()


def is_shown(cert: str, *, by: Celeriac) -> bool:
    return ssl.get_server_certificate(("127.0.0.1", by.port)) == cert


def test_a_job_is_done_and_browsers_are_told_to_stay(service: Celeriac) -> None:
    job = service.submit("diabetes", [[6, 148, 72, 35, 0, 33.6, 0.627, 50]])

    assert service.wait_for(job)["succeeded"] == 1
    assert service.web.get("/").headers["strict-transport-security"] == "max-age=31536000"


def test_http_leads_to_https(service: Celeriac) -> None:
    url = f"http://127.0.0.1:{service.settings['HTTP_PORT']}/api/jobs?limit=1"

    with httpx.Client(verify=False, follow_redirects=True) as client:
        answer = client.get(url)

    assert answer.url == f"{service.url}/api/jobs?limit=1"
    assert "jobs" in answer.json()


def test_a_client_that_comes_by_http_is_told_of_https(service: Celeriac) -> None:
    url = service.url.replace("https:", "http:")
    said = subprocess.run(
        [sys.executable, "-m", "client", "models", "--url", url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (said.returncode, said.stderr) == (
        3,
        "error: this port speaks https: ask it by an https:// address\n",
    )


def test_the_fingerprint_is_told(pair: Pair) -> None:
    told = production_server("fingerprint", TLS_CERT=str(pair.cert))
    untold = production_server("fingerprint")

    assert (told.returncode, told.stdout) == (0, f"SHA256:{pair.fingerprint}\n")
    assert untold.stderr == "celeriac: TLS_CERT: expected the file of a certificate, got nothing\n"
    assert untold.returncode == 1


@pytest.mark.parametrize("command", ["run", "web"])
def test_files_of_no_use_stop_the_start_before_anything_is_made(
    tmp_path: Path, pair: Pair, command: str
) -> None:
    state = tmp_path / "state"
    settings = {"STATE_DIR": str(state), "TLS_CERT": str(pair.cert), "TLS_KEY": str(pair.cert)}

    refused = production_server(command, **settings)

    assert refused.returncode == 1
    assert refused.stderr == f"celeriac: TLS_KEY: expected a key in PEM, got '{pair.cert}'\n"
    assert not state.exists()


def test_a_renewed_certificate_is_shown_without_a_restart(service: Celeriac, pair: Pair) -> None:
    other = make_pair(pair.cert.parent, "other")
    before, after = ((each.key.read_text(), each.cert.read_text()) for each in (pair, other))

    for key, cert in (after, before):
        pair.key.write_text(key)
        pair.cert.write_text(cert)
        wait_until(partial(is_shown, cert, by=service), what="the new certificate is shown", timeout_s=60)
        trusting = ssl.create_default_context(cafile=str(pair.cert))
        assert httpx.get(f"{service.url}/livez", verify=trusting).is_success


def test_a_stop_does_not_wait_for_connections_that_are_idle(folder: Path, pair: Pair) -> None:
    """They read nothing, and so do not answer a goodbye."""
    (folder / "stopped").mkdir()
    with secured(folder / "stopped", pair, DRAIN_S="60") as service:
        service.start()
        began = time.monotonic()
        code = service.stop()

    assert code == 0
    assert time.monotonic() - began < 30
    assert "Traceback" not in service.log


def test_strangers_leave_no_trace_in_the_log(service: Celeriac) -> None:
    service.forget_log()
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", os.urandom(1000), b""):
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as stranger:
            stranger.sendall(sent)

    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{service.url}/livez")
    with httpx.Client(verify=False) as client:
        assert client.get(f"{service.url}/livez").is_success

    assert service.log == ""


def test_several_processes_share_both_ports_and_each_takes_a_new_certificate(
    folder: Path, broker_url: str, database_url: str
) -> None:
    (folder / "several").mkdir()
    pair = make_pair(folder / "several")
    other = make_pair(folder / "several", "other")
    settings = {"BROKER_URL": broker_url, "DATABASE_URL": database_url, "WEB_PROCESSES": "2"}
    with secured(folder / "several", pair, **settings) as service:
        service.start()
        redirected = httpx.get(f"http://127.0.0.1:{service.settings['HTTP_PORT']}/jobs")
        other.key.rename(pair.key)
        other.cert.rename(pair.cert)

        def tell_of_it() -> int:
            return service.log.count(f"the certificate is SHA256:{other.fingerprint}")

        wait_until(lambda: tell_of_it() == 2, what="both have the new one", timeout_s=60)
        shown = {ssl.get_server_certificate(("127.0.0.1", service.port)) for _ in range(20)}

    assert redirected.headers["location"] == f"{service.url}/jobs"
    assert shown == {pair.cert.read_text()}
