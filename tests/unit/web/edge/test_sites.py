from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from production_server.errors import Foreign, InvalidInput
from production_server.settings import Settings
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts
from production_server.web.edge.sites import REMEMBERED, Sites, sites_of

ROW = {"kind": "row", "value.index": "3", "value.weight": "7"}
PUBLIC = ("celeriac.lan", "celeriac.lan:8443")


def code_of(sites: Sites, method: str = "POST", **headers: str) -> str:
    """The code with which a request is refused; empty where it is not."""
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    try:
        sites.check(method, named, scheme="http")
    except (Foreign, InvalidInput) as exc:
        return exc.code
    return ""


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:8000"},
        {"Origin": "null"},
        {"Origin": "http://[half"},
    ],
)
def test_a_form_that_another_site_sends_is_refused(web: FlaskClient, headers: dict[str, str]) -> None:
    answer = web.post("/predictions?model=table", data=ROW, headers=headers)

    assert answer.status_code == 403
    assert "Open the page here and send it again" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost"},
        {},
    ],
)
def test_a_form_of_this_server_is_accepted(web: FlaskClient, headers: dict[str, str]) -> None:
    answer = web.post("/predictions?model=table", data=ROW, headers=headers)

    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("scheme", "origin", "status"),
    [
        ("https", "https://localhost", 303),
        ("https", "http://localhost", 403),
        ("https", "HTTP://localhost", 403),
        ("http", "https://localhost", 303),  # behind a proxy that nobody has named
    ],
)
def test_what_a_page_without_tls_sends_to_one_with_it_may_be_anybodys(
    web: FlaskClient, scheme: str, origin: str, status: int
) -> None:
    answer = web.post(
        "/predictions?model=table", data=ROW, headers={"Origin": origin}, base_url=f"{scheme}://localhost"
    )

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://celeriac.lan", 303),
        ("https://CELERIAC.lan", 303),
        ("http://celeriac.lan:8443", 303),
        ("http://celeriac.lan:8080", 403),
        ("http://lan", 403),
    ],
)
def test_a_form_of_a_public_host_is_accepted_behind_a_proxy_that_changes_host(
    parts: WebParts, origin: str, status: int
) -> None:
    web = create_app(replace(parts, sites=Sites(PUBLIC))).test_client()

    answer = web.post("/predictions?model=table", data=ROW, headers={"Origin": origin})

    assert answer.status_code == status
    if status == 403:
        assert "PUBLIC_HOSTS" in answer.get_data(as_text=True)


@pytest.mark.parametrize("host", ["celeriac.lan", "celeriac.lan:8443", "CELERIAC.LAN:9", "celeriac.lan."])
def test_a_public_host_is_known_at_every_port(host: str) -> None:
    assert code_of(Sites(PUBLIC), Host=host) == ""


@pytest.mark.parametrize(
    "host", ["evil.com", "celeriac.lan.evil.com", "evil-celeriac.lan", "lan.", "1.2.3.4.5", "localhost.com"]
)
def test_of_names_that_anybody_may_have_only_public_hosts_are_known(host: str) -> None:
    expected = "" if host == "lan." else "unknown_host"

    assert code_of(Sites(PUBLIC), Host=host) == expected


def test_the_name_that_is_listened_on_and_that_of_the_machine_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Box.example.org")

    sites = sites_of(Settings(host="celeriac.example.net"))

    hosts = ["box.example.org:5100", "celeriac.example.net", "other.example.org"]
    assert [code_of(sites, Host=host) for host in hosts] == ["", "", "unknown_host"]


def test_as_many_names_as_anybody_likes_are_judged_and_few_remembered() -> None:
    sites = Sites(PUBLIC)

    codes = {code_of(sites, Host=f"{number}.evil.com") for number in range(REMEMBERED * 3)}

    assert codes == {"unknown_host"}
    assert code_of(sites, Host="celeriac.lan") == ""


@pytest.mark.parametrize(
    ("method", "mode", "code"),
    [
        ("GET", "navigate", ""), ("HEAD", "navigate", ""), ("GET", "", ""),
        ("GET", "cors", "foreign_page"), ("GET", "no-cors", "foreign_page"), ("GET", "websocket", "foreign_page"),
        ("POST", "navigate", "foreign_page"), ("OPTIONS", "cors", "foreign_page"), ("PUT", "", "foreign_page"),
    ],
)  # fmt: skip
def test_another_sites_page_may_link_here_and_do_nothing_else(method: str, mode: str, code: str) -> None:
    modes = {"Sec-Fetch-Mode": mode} if mode else {}

    assert code_of(Sites(), method, Host="localhost", Sec_Fetch_Site="cross-site", **modes) == code


def test_two_origins_are_none() -> None:
    assert code_of(Sites(), Host="localhost", Origin="http://localhost,http://evil.com") == "foreign_page"
