from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from production_server.web.edge.request_ids import request_id_of


@pytest.mark.parametrize("path", ["/livez", "/no/such/path", "/api/jobs/none", "/"])
def test_every_answer_repeats_the_requests_id(web: FlaskClient, path: str) -> None:
    assert web.get(path, headers={"X-Request-Id": "my-id.7"}).headers["X-Request-Id"] == "my-id.7"


@pytest.mark.parametrize("header", [None, "", "two words", "ä", "a" * 129, "a\tb"])
def test_an_id_that_is_not_fit_for_a_log_line_is_replaced(header: str | None) -> None:
    made = {request_id_of(header) for _ in range(3)}

    assert len(made) == 3 and all(re.fullmatch("[0-9a-f]{16}", each) for each in made)


def test_a_bug_is_logged_with_the_requests_id(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    from production_server.work_in_hand import work_in_hand

    seen: list[str] = []

    def fail() -> str:
        seen.append(work_in_hand()["request_id"])
        raise RuntimeError("a bug")

    app.view_functions["models.index"] = fail

    response = app.test_client().get("/api/models", headers={"X-Request-Id": "r1"})

    assert (response.status_code, response.headers["X-Request-Id"], seen) == (500, "r1", ["r1"])
    assert "request_id" not in work_in_hand()
