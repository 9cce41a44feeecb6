from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts

ROW = {"kind": "row", "value.index": "3", "value.weight": "7"}


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
    assert "another host" in answer.get_data(as_text=True)


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
    hosts = ("celeriac.lan", "celeriac.lan:8443")
    web = create_app(replace(parts, settings=replace(parts.settings, public_hosts=hosts))).test_client()

    answer = web.post("/predictions?model=table", data=ROW, headers={"Origin": origin})

    assert answer.status_code == status
    if status == 403:
        assert "PUBLIC_HOSTS" in answer.get_data(as_text=True)
