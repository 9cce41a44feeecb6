from __future__ import annotations

import pytest
from flask.testing import FlaskClient

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
    assert "another site" in answer.get_data(as_text=True)


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
