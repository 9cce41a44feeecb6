"""/api/models/<name>/versions, …/channels, …/history: what the use cases say, with the statuses of HTTP."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from production_server.access.audit import Wanted, every_line
from production_server.jobs.database import now
from production_server.jobs.observations import Observed, store_observation
from production_server.jobs.tables import retired_version
from production_server.jobs.workers import beat
from production_server.learning.canary import Seen
from production_server.learning.report import Measured, Verdict
from production_server.models.manifest import Metric
from production_server.serving.serving import SETTLED_S
from production_server.settings import Settings, read_settings
from production_server.web.edge.parts import WebParts
from testing.fake_workers import has_loaded
from testing.processes import wait_until
from testing.small_models import write_table_model
from tests.unit.learning.test_promotion import version_in, with_report

TABLE = "/api/models/table"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    for version in ("1", "2", "3"):
        write_table_model(tmp_path / "store", version=version)
    return read_settings(
        {"DATABASE_URL": settings.database_url or "", "MODEL_STORE": str(tmp_path / "store")}
    )


def promote(web: Any, version: str, channel: str = "stable", **told: Any) -> Any:
    return web.put(f"{TABLE}/channels/{channel}", json={"version": version, **told})


def settle(parts: WebParts) -> None:
    with parts.database.write() as connection:
        connection.execute(update(retired_version).values(retired_at=now() - SETTLED_S - 1))


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def test_promoting_changes_what_serves_and_is_told(web: Any, parts: WebParts) -> None:
    answer = promote(web, "1", reason="fewer false alarms", expected="3")

    assert answer.status_code == 200
    assert (answer.json["channel"], answer.json["version"], answer.json["by"]) == ("stable", "1", "anonymous")
    assert web.get(TABLE).json["channels"] == {"stable": "1"}
    job = web.post("/api/jobs", json={"model": "table", "inputs": [[1, 7]]}).json
    assert job["version"] == "1"
    (event,) = web.get(f"{TABLE}/history").json["events"]
    assert (event["before"], event["after"], event["reason"]) == ("3", "1", "fewer false alarms")
    (line,) = every_line(parts.database, Wanted())
    assert (line.act, line.object, line.by.client, line.by.request_id != "") == (
        "channel.set", "table/stable", "anonymous", True,
    )  # fmt: skip


def test_stable_tells_that_nobody_has_set_it(web: Any) -> None:
    stable = {"channel": "stable", "version": "3", "set": None, "by": None, "percent": None}

    assert web.get(f"{TABLE}/channels/stable").json == stable
    assert web.get(f"{TABLE}/channels").json == {"channels": [stable]}
    assert problem(web.get(f"{TABLE}/channels/qa")) == (404, "channel_not_found")


def test_a_channel_that_moved_is_not_overwritten(web: Any) -> None:
    promote(web, "1")

    assert problem(promote(web, "2", expected="3")) == (409, "channel_moved")
    assert problem(promote(web, "2", "qa", expected="1")) == (409, "channel_moved")
    assert promote(web, "2", "qa", expected="").status_code == 200


def test_requests_may_name_a_channel_wherever_they_name_a_version(web: Any) -> None:
    promote(web, "1", "qa")

    job = web.post("/api/jobs", json={"model": "table", "version": "qa", "inputs": [[1, 7]]}).json

    assert job["version"] == "1"
    assert web.get("/v2/models/table/versions/qa").status_code == 200
    assert web.get("/v1/models/table/labels/qa").json["model_version_status"][0]["version"] == "1"
    assert "version 1" in web.get("/models/table?version=qa").text
    assert problem(web.post("/api/jobs", json={"model": "table", "version": "no", "inputs": [[1, 7]]})) == (
        404, "version_not_found",
    )  # fmt: skip


def test_a_retired_version_takes_no_new_work_and_what_it_did_stays(web: Any) -> None:
    job = web.post("/api/jobs", json={"model": "table", "version": "1", "inputs": [[1, 7]]}).json

    retired = web.delete(f"{TABLE}/versions/1?reason=old")

    assert (retired.status_code, retired.json["retired"]) == (200, True)
    body = {"model": "table", "version": "1", "inputs": [[1, 7]]}
    assert problem(web.post("/api/jobs", json=body)) == (410, "version_retired")
    assert problem(promote(web, "1")) == (410, "version_retired")
    assert web.get("/v2/models/table/versions/1").status_code == 410
    assert web.get(job["links"]["results"]).status_code == 200
    assert web.get(job["links"]["page"]).status_code == 200
    assert web.get("/models/table?version=1").status_code == 200
    assert web.get("/predictions?model=table&version=1").status_code == 410
    statuses = web.get("/v1/models/table").json["model_version_status"]
    assert {each["version"]: each["state"] for each in statuses}["1"] == "END"
    index = web.post("/v2/repository/index").json
    assert [each["reason"] for each in index if (each["name"], each["version"]) == ("table", "1")] == [
        "it is retired"
    ]
    restored = web.post(f"{TABLE}/versions/1/restore", json={"reason": "for a comparison"})
    assert (restored.status_code, restored.json["retired"]) == (200, False)
    assert web.post("/api/jobs", json=body).status_code == 202


def test_what_serves_is_neither_retired_nor_deleted(web: Any) -> None:
    assert problem(web.delete(f"{TABLE}/versions/3")) == (409, "version_on_channel")
    assert problem(web.delete(f"{TABLE}/versions/3?files=true")) == (409, "version_not_retired")


def test_the_files_of_a_retired_version_are_deleted(web: Any, parts: WebParts, tmp_path: Path) -> None:
    web.delete(f"{TABLE}/versions/1")
    soon = web.delete(f"{TABLE}/versions/1?files=true")
    settle(parts)

    deleted = web.delete(f"{TABLE}/versions/1?files=true&reason=room")

    assert problem(soon) == (409, "version_in_use")
    assert (deleted.status_code, deleted.json["version"]) == (200, "1")
    assert not (tmp_path / "store" / "table" / "1").exists()
    acts = [event["act"] for event in web.get(f"{TABLE}/history").json["events"]]
    assert acts == ["deleted", "retired"]


def test_what_comes_with_the_release_is_not_deleted(web: Any, parts: WebParts) -> None:
    write_table_model(parts.settings.model_stores[-1], name="diabetes", version="2")
    web.put("/api/models/diabetes/channels/stable", json={"version": "2"})
    web.delete("/api/models/diabetes/versions/1")
    settle(parts)

    assert problem(web.delete("/api/models/diabetes/versions/1?files=true")) == (409, "version_built_in")


def test_a_channel_is_taken_away_but_for_stable(web: Any) -> None:
    promote(web, "1", "qa")

    left = web.delete(f"{TABLE}/channels/qa?reason=done")

    assert [each["channel"] for each in left.json["channels"]] == ["stable"]
    assert problem(web.delete(f"{TABLE}/channels/qa")) == (404, "channel_not_found")
    assert problem(web.delete(f"{TABLE}/channels/stable")) == (400, "invalid_input")


def test_a_promotion_that_workers_are_not_ready_for_is_a_rollout(web: Any, parts: WebParts) -> None:
    promote(web, "1")
    beat(parts.database, "w1", warm=["table/1"], items_done=0)

    begun = promote(web, "2", reason="better")
    where = begun.headers["Location"]
    waiting = web.get(where).json
    has_loaded(parts.database, "w1", "table/1", "table/2")
    parts.serving.rollouts.move_on()
    done = web.get(where).json

    assert (begun.status_code, begun.json["rollout"]) == (202, waiting)
    assert (waiting["state"], waiting["waits_for"], waiting["before"], waiting["ended"]) == (
        "loading", ["w1"], "1", None,
    )  # fmt: skip
    assert (done["state"], done["waits_for"], done["reason"], done["client"]) == (
        "live",
        [],
        "better",
        "anonymous",
    )
    assert web.get(done["links"]["channel"]).json["version"] == "2"
    assert [each["version"] for each in web.get(f"{TABLE}/rollouts").json["rollouts"]] == ["2", "1"]
    assert problem(web.get(where.replace("table", "picture"))) == (404, "rollout_not_found")


def test_who_would_rather_wait_gets_the_channel(web: Any, parts: WebParts) -> None:
    promote(web, "1")
    beat(parts.database, "w1", warm=["table/1"], items_done=0)
    timer = threading.Timer(0.3, has_loaded, (parts.database, "w1", "table/2"))
    timer.start()

    answer = web.put(f"{TABLE}/channels/stable", json={"version": "2"}, headers={"Prefer": "wait=60"})

    timer.join()
    assert (answer.status_code, answer.json["version"]) == (200, "2")


def test_a_version_that_a_worker_cannot_load_is_a_conflict_and_what_served_serves_on(
    web: Any, parts: WebParts
) -> None:
    promote(web, "1")
    beat(parts.database, "w1", warm=["table/1"], items_done=0)
    timer = threading.Timer(
        0.3,
        beat,
        (parts.database, "w1"),
        {"warm": ["table/1"], "items_done": 0, "failing": {"table/2": "it is damaged"}},
    )
    timer.start()

    answer = web.put(f"{TABLE}/channels/stable", json={"version": "2"}, headers={"Prefer": "wait=60"})

    timer.join()
    assert problem(answer) == (409, "version_does_not_load")
    assert answer.json["detail"] == "w1 cannot load it: it is damaged"
    assert web.get(f"{TABLE}/channels/stable").json["version"] == "1"
    assert web.get(f"{TABLE}/history").json["events"][0]["act"] == "refused"


def test_going_back_is_done_at_once(web: Any) -> None:
    promote(web, "1")
    promote(web, "2")

    refused = web.post(f"{TABLE}/channels/stable/rollback", json={"expected": "1"})
    answer = web.post(f"{TABLE}/channels/stable/rollback", json={"reason": "nonsense", "expected": "2"})

    assert problem(refused) == (409, "channel_moved")
    assert (answer.status_code, answer.json["version"]) == (200, "1")
    event = web.get(f"{TABLE}/history").json["events"][0]
    assert (event["act"], event["before"], event["after"], event["reason"]) == (
        "rolled_back",
        "2",
        "1",
        "nonsense",
    )


def test_a_canary_says_how_it_does(web: Any, parts: WebParts) -> None:
    promote(web, "1")
    assert problem(web.get(f"{TABLE}/canary")) == (404, "canary_not_found")
    promote(web, "2", "canary", percent=5)
    since = parts.serving.known.now()["table"].canary_since
    with parts.database.write() as connection:
        for version, answers in (("1", 240), ("2", 12)):
            about = Observed("table", since, version, "calls")
            store_observation(connection, uuid4(), about, Seen(answers, 0, Counter({1: answers})).to_json())

    told = web.get(f"{TABLE}/canary").json

    assert (told["version"], told["stable"], told["percent"], told["verdict"]) == ("2", "1", 5, "unknown")
    assert told["reasons"] == ["too few: 12 of 200 calls of the canary"]
    assert told["seen"]["calls"]["canary"] == {"answers": 12, "failed": 0, "p95_ms": 1.05, "labels": {}}


def test_versions_tell_how_they_stand(web: Any, parts: WebParts) -> None:
    beat(parts.database, "w1", warm=["table/3"], items_done=0, failing={"table/2": "no such file"})

    found = web.get(f"{TABLE}/versions").json["versions"]

    assert [(each["version"], each["channels"], each["loaded_by"], each["failing"]) for each in found] == [
        ("3", ["stable"], ["w1"], {}),
        ("2", [], [], {"w1": "no such file"}),
        ("1", [], [], {}),
    ]
    assert found[0] == web.get(f"{TABLE}/versions/3").json
    assert found[0]["manifest"]["metrics"]["values"]


def test_a_history_comes_in_pages(web: Any) -> None:
    for version in ("1", "2", "3"):
        promote(web, version)

    first = web.get(f"{TABLE}/channels/stable/history?limit=2").json
    second = web.get(f"{TABLE}/channels/stable/history?limit=2&before={first['next']}").json

    assert [event["after"] for event in first["events"] + second["events"]] == ["3", "2", "1"]
    assert second["next"] is None


def test_readyz_tells_what_serves_and_does_not_load_and_the_others_serve_on(
    web: Any, parts: WebParts
) -> None:
    beat(parts.database, "w1", warm=["table/2"], items_done=0)
    before = web.get("/readyz").json["checks"]["models"]

    beat(parts.database, "w1", warm=["table/2"], items_done=0, failing={"table/3": "model.onnx is damaged"})
    answer = web.get("/readyz")

    assert before == {"ok": True, "detail": "what channels name loads, as far as workers have tried"}
    assert answer.json["checks"]["models"] == {
        "ok": False, "detail": "table/3 does not load in 1 of the workers",
    }  # fmt: skip
    assert answer.json["checks"]["workers"]["ok"]
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/models/no/history", "/api/models/a%00b/history", f"{TABLE}/channels/qa/history",
             f"{TABLE}/channels/a%00/history", "/api/models/no/versions", f"{TABLE}/versions/9"],
)  # fmt: skip
def test_what_there_is_not_is_not_found(web: Any, path: str) -> None:
    assert web.get(path).status_code == 404


@pytest.mark.parametrize(
    ("channel", "told", "field"),
    [("qa", {}, "version"), ("qa", {"version": "1", "percent": 5}, "percent"), ("7", {"version": "1"}, "channel"),
     ("qa", {"version": "1", "reason": "a\nb"}, "reason"), ("qa", {"version": 1}, "version")],
)  # fmt: skip
def test_what_cannot_be_promoted_is_refused_by_its_field(
    web: Any, channel: str, told: dict[str, Any], field: str
) -> None:
    answer = web.put(f"{TABLE}/channels/{channel}", json=told)

    assert (answer.status_code, answer.json["faults"][0]["field"]) == (400, field)


def test_lists_stay_whole_when_a_version_that_serves_is_not_here(web: Any, tmp_path: Path) -> None:
    promote(web, "3")
    shutil.rmtree(tmp_path / "store" / "table" / "3")
    wait_until(lambda: web.get(TABLE).json["versions"] == ["1", "2"], what="the store was looked at")

    body = {"model": "table", "inputs": [[1, 7]]}

    assert problem(web.post("/api/jobs", json=body)) == (503, "broken_version")
    assert web.get(TABLE).json["channels"] == {"stable": "3"}
    for path in ("/", "/predictions", "/models/table", "/api/models", "/stats"):
        assert web.get(path).status_code == 200, path


def test_what_the_gate_says_of_a_version_is_told_where_it_came_by_one(web: Any, tmp_path: Path) -> None:
    assert problem(web.get(f"{TABLE}/versions/2/report")) == (404, "report_not_found")
    folder = tmp_path / "store" / "table"
    with_report(folder / "2", version_in(folder / "1"), memory=Verdict.ALLOWED)
    wait_until(
        lambda: web.get(f"{TABLE}/versions/2/report").status_code == 200, what="the store was looked at"
    )

    told = web.get(f"{TABLE}/versions/2/report").json

    assert (told["passed"], told["against"], told["measured"]) == (True, "1", None)
    assert told["checks"][-1] == {
        "name": "memory", "verdict": "allowed", "expected": "e", "found": "as it came in", "numbers": {},
    }  # fmt: skip
    assert web.get(f"{TABLE}/versions/9/report").status_code == 404


def test_what_the_gate_finds_wrong_is_overridden_by_name_and_told(web: Any, tmp_path: Path) -> None:
    promote(web, "3")
    write_table_model(tmp_path / "store", version="4", labels=["no", "maybe"])

    refused = promote(web, "4")
    tried = promote(web, "4", dry_run=True, breaking=True)
    before = web.get(TABLE).json["channels"]
    done = promote(web, "4", breaking=True, despite=["latency"])

    assert problem(refused) == (409, "gate_closed")
    (fault,) = refused.json["faults"]
    assert (fault["field"], fault["got"]) == (
        "signature", "something else than version 3 has: labels (maybe instead of yes)",
    )  # fmt: skip
    assert (tried.json["dry_run"], tried.json["version"], before) == (True, "3", {"stable": "3"})
    assert (done.json["version"], done.json["report"]["against"]) == ("4", "3")
    checks = {check["name"]: check["verdict"] for check in done.json["report"]["checks"]}
    assert (checks["signature"], checks["latency"]) == ("allowed", "not done")
    assert [event["despite"] for event in web.get(f"{TABLE}/history").json["events"]] == [["signature"], []]


def test_a_dry_run_of_a_new_channel_names_nothing(web: Any) -> None:
    tried = promote(web, "2", "qa", dry_run=True)

    assert (tried.status_code, tried.json["version"], tried.json["report"]) == (200, None, None)
    assert web.get(f"{TABLE}/channels/qa").status_code == 404


@pytest.mark.parametrize("despite", [["loads"], ["signature"], [""], "latency", ["latency"] * 4])
def test_what_may_never_fail_is_not_overridden(web: Any, despite: Any) -> None:
    answer = promote(web, "2", despite=despite)

    assert (answer.status_code, answer.json["faults"][0]["field"].split("[")[0]) == (400, "despite")


def test_what_a_sample_said_is_told_of_its_version(web: Any, tmp_path: Path) -> None:
    kept = Measured(
        data="9 rows of the sample", sha256="a" * 64, items=9, values={"error_rate": Metric(mean=0.1)}
    )
    with_report(tmp_path / "store" / "table" / "3", None, kept=kept)
    told = {"data": "9 rows of the sample", "sha256": "a" * 64, "items": 9,
            "values": {"error_rate": {"mean": 0.1, "std": None}}}  # fmt: skip

    wait_until(lambda: web.get(TABLE).json["measured"] == told, what="the store was looked at")

    assert [each["measured"] for each in web.get(f"{TABLE}/versions").json["versions"]] == [told, None, None]
    assert web.get(f"{TABLE}/versions/3/report").json["measured"] == told


@pytest.mark.parametrize("body", [{}, {"json": {}}, {"json": {"reason": "needed"}}, {"data": b""}])
def test_a_body_in_which_nothing_has_to_be_said_may_be_left_out(web: Any, body: dict[str, Any]) -> None:
    web.delete(f"{TABLE}/versions/1")

    restored = web.post(f"{TABLE}/versions/1/restore", **body)

    assert (restored.status_code, restored.json["retired"]) == (200, False)


def test_a_body_that_is_said_to_be_something_else_is_none(web: Any) -> None:
    web.delete(f"{TABLE}/versions/1")

    texts = [
        web.post(f"{TABLE}/versions/1/restore", data=data, content_type=kind)
        for data, kind in ((b"", "text/plain"), (b"reason=x", "application/x-www-form-urlencoded"))
    ]
    untold = web.post(f"{TABLE}/versions/1/restore", data=b'{"reason": "x"}')

    assert {problem(each) for each in (*texts, untold)} == {(415, "unsupported_media_type")}
    assert problem(web.put(f"{TABLE}/channels/stable")) == (415, "unsupported_media_type")


def test_no_client_is_told_where_a_store_lies(
    web: Any, parts: WebParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.delete(f"{TABLE}/versions/1")
    settle(parts)

    def refuse(self: Path, *_: object) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "rename", refuse)
    answer = web.delete(f"{TABLE}/versions/1?files=true")

    assert problem(answer) == (507, "store_not_writable")
    assert answer.json["detail"] == "the model store cannot be written: Read-only file system"


def test_no_client_is_told_where_the_database_lies(
    web: Any, parts: WebParts, caplog: pytest.LogCaptureFixture
) -> None:
    assert parts.database.is_sqlite
    (file,) = {parts.database.engine.url.database}
    assert file is not None
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        answers = [promote(web, "1"), web.post("/api/jobs", json={"model": "table", "inputs": [[1, 7]]})]

    for answer in answers:
        assert (answer.status_code, answer.json["detail"]) == (
            503, "the database is busy: database is locked",
        )  # fmt: skip
