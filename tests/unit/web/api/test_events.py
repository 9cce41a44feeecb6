"""/events/s3: what buckets tell of becomes jobs, once, and only for who may send."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from production_server.errors import SettingsError
from production_server.settings import Settings, read_settings
from production_server.web.api import events
from production_server.web.app import create_app
from production_server.web.edge.parts import WebParts, build_parts
from production_server.web.edge.sizes import MAX_EVENTS_BYTES
from testing.small_models import write_image_model

NOTHING = {"accepted": 0, "known": 0, "ignored": 0, "refused": 0, "faults": [], "jobs": []}
TOKEN = "a secret of the tests".replace(" ", "-")
RULES = """
rules:
  - {bucket: photos, prefix: in/, suffix: [.png, .JPG], model: picture}
  - {bucket: photos, prefix: in/both/, model: other}
  - {bucket: closed, model: picture}
"""


@pytest.fixture
def settings(tmp_path: Path, two_image_models: Path) -> Settings:
    (tmp_path / "events.yaml").write_text(RULES)
    return read_settings(
        {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'web.sqlite3'}",
            "MODEL_STORE": str(two_image_models),
            "STORAGE_ALLOW": "s3://photos/in",
            "EVENTS_FILE": str(tmp_path / "events.yaml"),
            "EVENTS_TOKEN": TOKEN,
            "LIMIT_REFUSALS": "3",
        }
    )


@pytest.fixture(scope="session")
def two_image_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from testing.small_models import write_image_model, write_table_model

    folder = tmp_path_factory.mktemp("store")
    write_image_model(folder)
    write_image_model(folder, "other")
    write_table_model(folder)
    return folder


def record(
    key: str, *, bucket: str = "photos", etag: str = "1", name: str = "ObjectCreated:Put"
) -> dict[str, Any]:
    stored = {"key": key, "size": 7, "eTag": etag}
    return {"eventSource": "ceph:s3", "eventName": name, "s3": {"bucket": {"name": bucket}, "object": stored}}


def send(web: Any, *records: dict[str, Any], **options: Any) -> Any:
    options = {"headers": {"Authorization": f"Bearer {TOKEN}"}} | options
    return web.post("/events/s3", data=json.dumps({"Records": records}), **options)


def urls(web: Any) -> list[tuple[str, str]]:
    """Model and URL of each item of each job."""
    jobs = web.get("/api/jobs").json["jobs"]
    return sorted(
        (job["model"], item["url"])
        for job in jobs
        for item in web.get(f"/api/jobs/{job['id']}/results").json["results"]
    )


def test_an_object_that_was_created_becomes_an_item(web: Any) -> None:
    answer = send(web, record("in/a b+c%20ä.png"))

    (job,) = web.get("/api/jobs").json["jobs"]
    assert (answer.status_code, answer.json["accepted"], answer.json["jobs"]) == (202, 1, [job["id"]])
    assert (job["source"], job["version"], job["total"]) == ("event", "1", 1)
    assert urls(web) == [("picture", "s3://photos/in/a b+c%20ä.png")]


def test_every_model_whose_rule_matches_gets_the_object(web: Any) -> None:
    answer = send(web, record("in/both/a.png"), record("in/both/b.txt"), record("in/c.jpg"))

    assert answer.json["accepted"] == 4
    assert urls(web) == [
        ("other", "s3://photos/in/both/a.png"),
        ("other", "s3://photos/in/both/b.txt"),
        ("picture", "s3://photos/in/both/a.png"),
        ("picture", "s3://photos/in/c.jpg"),
    ]


@pytest.mark.parametrize(
    "told",
    [
        record("in/a.png", name="s3:ObjectRemoved:Delete"),
        record("in/a.txt"),
        record("out/a.png"),
        record("in/a.png", bucket="other"),
        record("in/both/folder/")
        | {"s3": {"bucket": {"name": "photos"}, "object": {"key": "in/both/x/", "size": 0}}},
    ],
    ids=["removed", "suffix", "prefix", "bucket", "folder"],
)
def test_what_no_rule_is_about_is_acknowledged_and_ignored(web: Any, told: dict[str, Any]) -> None:
    answer = send(web, told)

    assert (answer.status_code, answer.json) == (200, NOTHING | {"ignored": 1})
    assert urls(web) == []


def test_duplicates_and_disorder_change_nothing(web: Any) -> None:
    told = [record("in/a.png", etag="1"), record("in/a.png", etag="2"), record("in/b.png")]
    first = send(web, *told)

    repeated = [send(web, *order) for order in (told[::-1], told[1:], [told[0], told[0]])]

    assert first.json["accepted"] == 3
    assert [(each.status_code, each.json["accepted"]) for each in repeated] == [(200, 0)] * 3
    assert len(urls(web)) == 3


def test_an_object_that_comes_twice_in_one_request_is_one_item(web: Any) -> None:
    answer = send(web, record("in/a.png"), record("in/a.png"))

    assert (answer.json["accepted"], answer.json["known"]) == (1, 1)


def test_an_event_that_cannot_be_taken_is_told_and_stops_none_of_those_beside_it(web: Any) -> None:
    answer = send(
        web,
        record("in/a.png"),
        record("a.png", bucket="closed"),
        record("in/../../secret.png"),
        record(""),
        record("in/b.png"),
    )

    assert (answer.status_code, answer.json["accepted"], answer.json["refused"]) == (202, 2, 3)
    assert [fault["field"] for fault in answer.json["faults"]] == [
        "Records[3].s3.object.key",
        "Records[1]",
        "Records[2]",
    ]
    assert urls(web) == [("picture", "s3://photos/in/a.png"), ("picture", "s3://photos/in/b.png")]


def test_a_fault_names_the_place_where_its_sender_put_the_event(web: Any) -> None:
    unreadable = record("")
    unreadable["s3"]["object"]["key"] = 5

    answer = send(web, unreadable, record("in/../x.png"), record("in/good.png"))

    assert (answer.status_code, answer.json["accepted"], answer.json["refused"]) == (202, 1, 2)
    assert [fault["field"] for fault in answer.json["faults"]] == [
        "Records[0].s3.object.key",
        "Records[1]",
    ]


@pytest.mark.parametrize("size", [float("nan"), float("inf")])
def test_a_size_that_is_no_number_refuses_none_of_its_neighbours(web: Any, size: float) -> None:
    odd = record("in/odd.png")
    odd["s3"]["object"]["size"] = size

    answer = send(web, record("in/a.png"), odd, record("in/b.png"))

    assert (answer.status_code, answer.json["accepted"], answer.json["refused"]) == (202, 2, 1)
    assert [fault["field"] for fault in answer.json["faults"]] == ["Records[1].s3.object.size"]


def test_where_nothing_can_be_taken_each_event_has_its_fault(web: Any) -> None:
    answer = send(web, record(""), record("a.png", bucket="closed"), record("in/../x.png"))

    assert (answer.status_code, answer.json["code"]) == (400, "location_not_allowed")
    assert [fault["field"] for fault in answer.json["faults"]] == [
        "Records[0].s3.object.key",
        "Records[1]",
        "Records[2]",
    ]


def test_a_batch_that_is_sent_again_with_what_cannot_be_taken_changes_nothing(web: Any) -> None:
    told = [record("in/a.png"), record("in/../b.png")]
    send(web, *told)

    again = send(web, *told)

    assert (again.status_code, again.json["known"], again.json["refused"]) == (200, 1, 1)


def test_a_bucket_that_may_not_be_read_is_refused_where_nothing_else_comes(web: Any) -> None:
    answer = send(web, record("a.png", bucket="closed"))

    assert (answer.status_code, answer.json["code"]) == (400, "location_not_allowed")
    assert answer.json["faults"][0]["field"] == "Records[0]"


@pytest.mark.parametrize("key", ["in/both/.DS_Store", "in/both/Thumbs.db", "in/__MACOSX/a.png", "in/._a.png"])
def test_what_programs_leave_beside_pictures_is_ignored(web: Any, key: str) -> None:
    answer = send(web, record(key))

    assert (answer.status_code, answer.json) == (200, NOTHING | {"ignored": 1})


def test_an_etag_that_cannot_be_kept_is_an_item_that_says_so(web: Any, work: Any) -> None:
    answer = send(web, record("in/a.png", etag="e" * 300))

    (job,) = web.get("/api/jobs").json["jobs"]
    work(job)
    (item,) = web.get(f"/api/jobs/{job['id']}/results").json["results"]
    assert answer.status_code == 202
    assert item["error"]["code"] == "object_name_unusable"


def test_a_key_that_leads_elsewhere_is_refused(web: Any) -> None:
    answer = send(web, record("in/../../secret.png"))

    assert (answer.status_code, urls(web)) == (400, [])


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"Records": 7}', b"\xff", b"[" * 100_000])
def test_what_is_no_event_is_refused(web: Any, body: bytes) -> None:
    answer = web.post("/events/s3", data=body, headers={"Authorization": f"Bearer {TOKEN}"})

    assert (answer.status_code, answer.json["code"]) == (400, "not_an_event")


def test_a_test_event_is_acknowledged(web: Any) -> None:
    answer = web.post(
        "/events/s3",
        json={"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )

    assert (answer.status_code, answer.json["ignored"]) == (200, 0)


def test_without_its_database_it_takes_a_while_to_say_that_it_should_be_sent_again(
    web: Any, parts: WebParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BEFORE_503_S", 0.3)
    with parts.database.write() as connection:
        connection.execute(text("DROP TABLE classified_object"))
    begun = time.monotonic()

    refused = send(web, record("in/a.png"))

    assert (refused.status_code, refused.json["code"]) == (503, "unavailable")
    assert time.monotonic() - begun >= 0.3
    parts.waits.close()
    assert send(web, record("in/a.png")).status_code == 503


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_events_may_come_compressed_and_are_signed_as_they_were_before(web: Any, mark: bytes) -> None:
    body = mark + json.dumps({"Records": [record("in/a.png")]}).encode()
    signature = hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Encoding": "GZIP", "X-Hub-Signature-256": f"sha256={signature}"}

    answer = web.post("/events/s3", data=gzip.compress(body), headers=headers)

    assert (answer.status_code, urls(web)) == (202, [("picture", "s3://photos/in/a.png")])


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_events_over_their_own_limit_are_refused_by_that_limit(web: Any, coding: str) -> None:
    body = b" " * (MAX_EVENTS_BYTES + 1)
    headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Content-Encoding": coding} if coding else {})

    answer = web.post("/events/s3", data=gzip.compress(body) if coding else body, headers=headers)

    assert answer.status_code == 413
    assert f"limit of {MAX_EVENTS_BYTES} bytes" in answer.get_json(force=True)["detail"]


def test_a_body_over_the_limit_is_refused(web: Any) -> None:
    answer = web.post("/events/s3", data=b"x" * (5 * 2**20), headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 413


BODY = json.dumps({"Records": [record("in/a.png")]})
SIGNATURE = hmac.new(TOKEN.encode(), BODY.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"Authorization": f"Bearer {TOKEN}"}),
        ("", {"Authorization": f"Basic {base64.b64encode(f'ceph:{TOKEN}'.encode()).decode()}"}),
        (f"?token={TOKEN}", {}),
        ("", {"X-Hub-Signature-256": f"sha256={SIGNATURE}"}),
    ],
    ids=["bearer", "basic", "query", "signature"],
)
def test_whoever_knows_the_token_may_send(web: Any, query: str, headers: dict[str, str]) -> None:
    assert web.post(f"/events/s3{query}", data=BODY, headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("?token=", {}),
        ("?token=wrong", {}),
        ("", {"Authorization": "Bearer wrong"}),
        ("", {"Authorization": "Bearer"}),
        ("", {"Authorization": "ü"}),
        ("", {"Authorization": f"Basic {base64.b64encode(b'ceph:').decode()}"}),
        ("", {"X-Hub-Signature-256": SIGNATURE}),
        (f"?token={TOKEN}", {"X-Hub-Signature-256": "sha256=00"}),
    ],
)
def test_nobody_else_may_send(web: Any, query: str, headers: dict[str, str]) -> None:
    answer = web.post(f"/events/s3{query}", data=BODY, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert urls(web) == []


def test_without_rules_no_events_are_taken(tmp_path: Path, small_models: Path) -> None:
    parts = build_parts(read_settings({"DATABASE_URL": f"sqlite:///{tmp_path / 'db'}"}))

    web: Any = create_app(parts).test_client()
    answer = web.post("/events/s3", data=BODY)

    assert (answer.status_code, answer.json["code"]) == (404, "events_not_taken")


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ("rules:\n  - {bucket: photos, model: nothing}", "events.yaml:2: rules[0].model"),
        ("rules:\n  - bucket: photos\n    model: table", "events.yaml:3: rules[0].model"),
        ("rules: []", "rules"),
    ],
    ids=["unknown model", "no model of images", "no rules"],
)
def test_rules_that_cannot_be_used_are_refused_at_the_start_with_their_line(
    tmp_path: Path, settings: Settings, rules: str, fault: str
) -> None:
    assert settings.events_file is not None
    settings.events_file.write_text(rules)

    with pytest.raises(SettingsError) as refused:
        build_parts(settings)

    assert fault in str(refused.value)


def test_rules_without_a_token_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "events.yaml").write_text(RULES)

    with pytest.raises(SettingsError, match="EVENTS_TOKEN"):
        build_parts(read_settings({"EVENTS_FILE": str(tmp_path / "events.yaml")}))


def test_a_file_of_rules_that_is_not_there_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="EVENTS_FILE"):
        build_parts(read_settings({"EVENTS_FILE": "/nowhere.yaml", "EVENTS_TOKEN": TOKEN}))


@pytest.mark.parametrize(
    ("query", "origin", "allowed"),
    [
        (f"?token={TOKEN}", "eventgrid.azure.net", "eventgrid.azure.net"),
        (f"?token={TOKEN}", None, None),
        ("?token=wrong", "eventgrid.azure.net", None),
        ("", "eventgrid.azure.net", None),
    ],
)
def test_a_sender_that_asks_beforehand_may_send_if_it_knows_the_token(
    web: Any, query: str, origin: str | None, allowed: str | None
) -> None:
    headers = {} if origin is None else {"WebHook-Request-Origin": origin}

    answer = web.options(f"/events/s3{query}", headers=headers)

    assert (answer.status_code, answer.headers["Allow"]) == (200, "OPTIONS, POST")
    assert answer.headers.get("WebHook-Allowed-Origin") == allowed


def test_what_becomes_of_an_object_belongs_to_the_client_that_its_rule_names(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "events.yaml").write_text(
        "rules:\n- {bucket: photos, model: picture, client: anna}\n- {bucket: photos, model: picture}\n"
    )
    parts = build_parts(settings)
    parts.database.migrate()

    answer = send(create_app(parts).test_client(), record("in/a.png"))

    with parts.database.read() as connection:
        clients = connection.execute(text("SELECT client FROM job ORDER BY client")).scalars().all()
    assert (answer.json["accepted"], clients) == (2, ["anna", "anonymous"])


def test_wrong_tokens_are_limited_by_address_and_whoever_knows_it_is_taken_all_the_same(web: Any) -> None:
    there = {"REMOTE_ADDR": "192.0.2.7"}
    wrong = {"headers": {"Authorization": "Bearer wrong"}, "environ_base": there}
    asks = {"WebHook-Request-Origin": "eventgrid.azure.net"}

    sent = [send(web, record("in/a.png"), **wrong) for _ in range(2)]
    agreed = web.options("/events/s3?token=wrong", headers=asks, environ_base=there)
    limited = send(web, record("in/a.png"), **wrong)
    limited_agreement = web.options("/events/s3?token=wrong", headers=asks, environ_base=there)

    assert [answer.status_code for answer in (*sent, agreed, limited, limited_agreement)] == [
        401,
        401,
        200,
        429,
        429,
    ]
    assert (limited.json["code"], "Retry-After" in limited.headers) == ("too_many_requests", True)
    assert send(web, record("in/a.png"), environ_base=there).status_code == 202
    assert (
        send(web, record("in/b.png"), **wrong | {"environ_base": {"REMOTE_ADDR": "192.0.2.8"}}).status_code
        == 401
    )


def test_a_rule_whose_version_is_retired_keeps_no_other_rule_from_its_objects(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "own"
    for name, version in (("picture", "1"), ("picture", "2"), ("other", "1")):
        write_image_model(store, name=name, version=version)
    (tmp_path / "events.yaml").write_text(
        "rules:\n- {bucket: photos, prefix: in/, model: picture, version: '1'}\n"
        "- {bucket: photos, prefix: in/both/, model: other}\n"
    )
    parts = build_parts(replace(settings, model_store=store))
    parts.database.migrate()
    web: Any = create_app(parts).test_client()
    assert web.delete("/api/models/picture/versions/1").status_code == 200

    both, alone = send(web, record("in/both/a.png")), send(web, record("in/a.png"))

    assert (both.status_code, urls(web)) == (202, [("other", "s3://photos/in/both/a.png")])
    assert (alone.status_code, alone.json["code"]) == (410, "version_retired")
    assert "a rule of events cannot be followed: version 1 of model 'picture' is retired" in caplog.text
