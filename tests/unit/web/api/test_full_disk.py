"""What a client, the log and whoever watches are told of a full disk."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, event

from production_server.jobs.workers import beat
from production_server.web.edge.parts import WebParts
from tests.unit.web.api.test_submitting import ROW, post, problem


def test_a_full_disk_is_in_the_answer_in_the_log_and_in_readyz(
    web: FlaskClient, parts: WebParts, caplog: pytest.LogCaptureFixture
) -> None:
    beat(parts.database, "warm", warm=["table/1"], items_done=0)
    before = web.get("/readyz")

    @event.listens_for(parts.database.engine, "begin")
    def let_be_full(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    answers = [post(web, {"model": "table", "inputs": [ROW] * 50}) for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code != 202]
    after = web.get("/readyz")

    assert (before.status_code, after.status_code) == (200, 503)
    assert {problem(answer)[:2] for answer in refused} == {(503, "unavailable")}
    assert "cannot be written to: database or disk is full" in refused[0].get_json(force=True)["detail"]
    assert [record.levelname for record in caplog.records if "disk is full" in record.message] == ["ERROR"]
    checks = after.get_json()["checks"]
    assert (checks["database"]["ok"], checks["workers"]["ok"]) == (False, True)
    assert checks["database"]["detail"].endswith("cannot be written to: database or disk is full")
