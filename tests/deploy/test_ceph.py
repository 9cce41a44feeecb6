"""Buckets of a real Ceph: scans, and notifications as the command line client sets them up."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from production_server.models.mirror import Mirror
from production_server.models.store import Store
from testing.celeriac import ROOT, Celeriac, celeriac
from testing.ceph import Ceph, running_ceph
from testing.environment import variables
from testing.gateway import Gateway, gateway
from testing.model_buckets import publish, remote_store_at
from testing.processes import wait_until
from testing.rig import must_have_rig

TOKEN = "t/o:k@e+n&more=%2F?#100%"
MODEL = "fashion_mnist"
TRICKY = (
    *(
        "a b.png",
        "a+b.png",
        "%20.png",
        "50%.png",
        "%2F%zz.png",
        "ä/日本.png",
        "q?x=1.png",
        "#1.png",
        "a&b=c;.png",
    ),
    *('it\'s "<quoted>".png', "back\\slash.png", "a//b.png", "tab\there.png", "x" * 200 + ".png"),
)
TOO_LARGE = 50_000
HUGE = 200 * 10**6
MANY = 5000
OUTAGE_S = float(os.environ.get("OUTAGE_S") or "15")
"""How long Ceph is away in the middle of a scan."""
FINE = ("--regex", ".*[0-9][.]png", "--metadata", "Camera=roof", "--tag", "kind=day")
RULES = """
rules:
  - {{bucket: {bucket}, model: fashion_mnist}}
"""


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((28, 28)).point(lambda level: level * value // 255).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def ceph() -> Iterator[Ceph]:
    rig = must_have_rig("ceph-up.sh", what="Ceph is started")
    with running_ceph(rig) as store:
        yield store


@pytest.fixture
def bucket(ceph: Ceph) -> Iterator[str]:
    with ceph.bucket() as name:
        yield name


@dataclass(frozen=True)
class Told:
    """A service, and a bucket that tells it of what comes: of `told/`, of some in `fine/`, and of `while/`.

    This Ceph looks for new topics every 30 s, so all tests share three; and it may stop to deliver to an address that
    refuses connections, so a gateway holds it.
    """

    ceph: Ceph
    bucket: str
    service: Celeriac
    gateway: Gateway

    def put(self, key: str, body: bytes, **more: object) -> None:
        self.ceph.put(self.bucket, key, body, **more)

    def wait_until_refused(self, keys: Iterable[str]) -> None:
        """Wait until the store was told for each object that its event is not taken now."""
        wanted = set(keys)
        wait_until(lambda: self.gateway.refused >= wanted, what="all were told of, in vain", timeout_s=90)

    def items(self, prefix: str) -> list[dict[str, Any]]:
        """The items of what the bucket has told of, below a prefix."""
        return [item for item in told_items(self.service) if key_of(item).startswith(prefix)]

    def wait_for(self, prefix: str, wanted: list[tuple[str, str]]) -> None:
        """Wait until what was told of below a prefix has come to exactly this."""
        expected = sorted((f"{prefix}{key}", outcome) for key, outcome in wanted)
        seen: list[Any] = []

        def has_come() -> bool:
            seen[:] = outcomes(self.items(prefix))
            return seen == expected

        try:
            wait_until(has_come, what="all is told and done", timeout_s=90)
        finally:
            assert seen == expected, self.service.log


@contextlib.contextmanager
def telling(ceph: Ceph, folder: Path) -> Iterator[tuple[str, Celeriac]]:
    """A bucket, and a service that takes what it tells of."""
    with ceph.bucket() as bucket:
        (folder / "events.yaml").write_text(RULES.format(bucket=bucket))
        settings = {
            "EVENTS_FILE": str(folder / "events.yaml"),
            "EVENTS_TOKEN": TOKEN,
            "STORAGE_ALLOW": f"s3://{bucket}",
            "STORAGE_PATIENCE_S": "5",
            "MAX_OBJECT_BYTES": str(TOO_LARGE),
        }
        with celeriac(folder, **settings, **ceph.environ) as service:
            yield bucket, service


@pytest.fixture(scope="module")
def told(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("told")
    with telling(ceph, folder) as (bucket, service), gateway(service.port) as before:
        to = ("--to", f"{before.url}/events/s3")
        notify(ceph, bucket, "--prefix", "told/", "--suffix", ".png", *to)
        notify(ceph, bucket, "--name", "fine", "--prefix", "fine/", *FINE, *to)
        notify(ceph, bucket, "--name", "while", "--prefix", "while/", *to)
        yield Told(ceph, bucket, service, before)
        for name in ("celeriac", "fine", "while"):
            notify(ceph, bucket, "--remove", "--name", name)


def client(environ: Any, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What the command line client says, as JSON."""
    command = [sys.executable, "-m", "client", *arguments, "--json"]
    kept = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **environ}, capture_output=True, text=True, check=False, timeout=100
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
    return found


def inject(service: Celeriac, location: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    return client({}, "inject", location, "--url", service.url, "--model", MODEL, *arguments, code=code)


def notify(ceph: Ceph, bucket: str, *arguments: str, code: int = 0) -> dict[str, Any]:
    environ = {**ceph.environ, "CELERIAC_EVENTS_TOKEN": TOKEN}
    found = client(environ, "notify", f"s3://{bucket}", *arguments, code=code)
    assert TOKEN not in str(found) and "%26more" not in str(found)
    return found


def items_of(service: Celeriac, job_id: str) -> list[dict[str, Any]]:
    answer = service.web.get(f"/api/jobs/{job_id}/results.json").raise_for_status()
    items: list[dict[str, Any]] = answer.json()["results"]
    return items


def told_items(service: Celeriac) -> list[dict[str, Any]]:
    """The items of everything that a service was told of."""
    answer = service.web.get("/api/jobs", params={"limit": 1000}).raise_for_status()
    jobs = [job for job in answer.json()["jobs"] if job["source"] == "event"]
    return [item for job in jobs for item in items_of(service, job["id"])]


def key_of(item: dict[str, Any]) -> str:
    key: str = item["url"].split("/", 3)[3]
    return key


def outcomes(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Key, and state or error, of each."""
    return sorted((key_of(item), item["error"]["code"] if item["error"] else item["state"]) for item in items)


def labels_of(service: Celeriac, images: list[bytes]) -> list[str]:
    """What the service says of images that are uploaded to it."""
    files = [("file", (f"{place}.png", image)) for place, image in enumerate(images)]
    answer = service.web.post("/api/jobs", data={"model": MODEL}, files=files).raise_for_status()
    job = answer.json()
    service.wait_for(job)
    return [item["label"] for item in service.results(job)]


def test_everything_in_a_bucket_is_classified_once(ceph: Ceph, bucket: str, tmp_path: Path) -> None:
    images = [png(value) for value in range(40, 256, 24)]
    keys = [*TRICKY, *(f"in/{number:03}.png" for number in range(300))]
    for place, key in enumerate(keys):
        ceph.put(bucket, key, images[place % len(images)])

    with celeriac(tmp_path, STORAGE_ALLOW=f"s3://{bucket}", **ceph.environ) as service:
        first = inject(service, f"s3://{bucket}")
        second = inject(service, f"s3://{bucket}")

        items = items_of(service, first["id"])
        expected = labels_of(service, images)
    assert outcomes(items) == sorted((key, "succeeded") for key in keys)
    assert {key_of(item): item["label"] for item in items} == {
        key: expected[place % len(images)] for place, key in enumerate(keys)
    }
    assert (second["listed"], second["matched"], second["skipped"]) == (len(keys), 0, len(keys))


def test_five_thousand_objects_are_classified_once_though_ceph_is_away_meanwhile(
    ceph: Ceph, bucket: str, tmp_path: Path
) -> None:
    images = [png(value) for value in range(256)]
    ceph.put_all(bucket, {f"in/{number:04}.png": images[number % 256] for number in range(MANY)})

    with celeriac(tmp_path, STORAGE_ALLOW=f"s3://{bucket}", FETCHES="4", **ceph.environ) as service:
        asked = {"url": f"s3://{bucket}", "model": MODEL}
        scan = service.web.post("/api/scans", json=asked).raise_for_status().json()
        wait_until(lambda: look(service, scan)["job"]["succeeded"] > 0, what="some are classified")
        with ceph.away():
            back_at = time.monotonic() + OUTAGE_S
            wait_until(lambda: "does not answer" in service.log, what="Ceph is missed")
            wait_until(lambda: time.monotonic() > back_at, what="it is back", timeout_s=OUTAGE_S + 1)
            missed = look(service, scan)["job"]
        wait_until(
            lambda: look(service, scan)["job"]["state"] == "finished", what="all is done", timeout_s=400
        )

        found, items = look(service, scan), items_of(service, scan["id"])
    assert (missed["state"], missed["failed"], missed["succeeded"] < MANY) == ("running", 0, True)
    assert (found["state"], found["listed"]) == ("listed", MANY)
    assert outcomes(items) == [(f"in/{number:04}.png", "succeeded") for number in range(MANY)]
    assert "Traceback" not in service.log


def look(service: Celeriac, scan: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = service.web.get(f"/api/scans/{scan['id']}").raise_for_status().json()
    return found


def test_what_is_uploaded_is_told_of_and_classified_once_whatever_its_key(told: Told) -> None:
    told.put("told/notes.txt", b"not told of")
    for place, key in enumerate(TRICKY):
        told.put(f"told/keys/{key}", png(place))

    told.wait_for("told/keys/", [(key, "succeeded") for key in TRICKY])

    # What is there already is known by URL and etag, whoever told of it first.
    scan = inject(told.service, f"s3://{told.bucket}/told/keys", "--pattern", "*.png")
    assert (scan["matched"], scan["skipped"]) == (0, len(TRICKY))
    # Neither do two of the same etag make two.
    told.put(f"told/keys/{TRICKY[0]}", png(0))
    told.put("told/keys/last.png", png(9))
    told.wait_for("told/keys/", [(key, "succeeded") for key in (*TRICKY, "last.png")])
    assert told.items("told/notes") == []
    assert TOKEN not in told.service.log


def test_a_second_run_of_notify_changes_nothing_and_other_arguments_change_one_notification(
    ceph: Ceph, bucket: str
) -> None:
    def state(name: str, *arguments: str) -> str:
        told = notify(ceph, bucket, "--name", name, *arguments)
        return str(told["state"])

    to = ("--to", "http://127.0.0.1:9/events/s3")

    assert [state("roof", *to, *FINE), state("roof", *to, *FINE)] == ["set", "unchanged"]
    assert [state("door", *to), state("roof", "--suffix", ".jpg", *to)] == ["set", "set"]
    assert state("roof", "--suffix", ".jpg", "--to", "http://127.0.0.1:10/events/s3") == "set"
    shown = {told["name"]: told for told in notify(ceph, bucket)["notifications"]}
    assert (shown["roof"]["suffix"], shown["roof"]["regex"], shown["door"]["suffix"]) == (".jpg", None, None)
    assert shown["roof"]["address"] == "http://127.0.0.1:10/events/s3?token=[redacted]"
    assert [state("roof", "--remove"), state("roof", "--remove")] == ["removed", "absent"]
    assert [told["name"] for told in notify(ceph, bucket)["notifications"]] == ["door"]
    assert state("door", "--remove") == "removed"


def test_only_what_the_store_was_asked_to_tell_of_comes(told: Told) -> None:
    told.put("fine/1.png", png(1), Metadata={"camera": "door"}, Tagging="kind=day")
    told.put("fine/2.png", png(2), Metadata={"camera": "roof"})
    told.put("fine/a.png", png(3), Metadata={"camera": "roof"}, Tagging="kind=day")
    told.put("fine/3.png", png(4), Metadata={"camera": "roof"}, Tagging="kind=day")

    told.wait_for("fine/", [("3.png", "succeeded")])


def test_after_its_removal_a_notification_causes_nothing(told: Told) -> None:
    told.put("while/before.png", png(1))
    told.wait_for("while/", [("before.png", "succeeded")])

    notify(told.ceph, told.bucket, "--remove", "--name", "while")
    told.put("while/after.png", png(2))
    told.put("told/after.png", png(3))

    told.wait_for("told/after", [(".png", "succeeded")])
    assert outcomes(told.items("while/")) == [("while/before.png", "succeeded")]
    assert inject(told.service, f"s3://{told.bucket}/while")["matched"] == 1


def test_nothing_is_lost_while_the_service_is_down_behind_a_gateway(told: Told) -> None:
    keys = [f"{number}.png" for number in range(40)]
    told.service.stop()
    for number, key in enumerate(keys):
        told.put(f"told/busy/{key}", png(number))
    told.wait_until_refused(f"told/busy/{key}" for key in keys)
    told.service.start()

    told.wait_for("told/busy/", [(key, "succeeded") for key in keys])


def test_a_scan_finds_what_was_uploaded_while_nobody_listened(ceph: Ceph, tmp_path: Path) -> None:
    keys = [f"{number}.png" for number in range(5)]
    with telling(ceph, tmp_path) as (bucket, service):
        notify(ceph, bucket, "--to", f"{service.url}/events/s3")
        service.stop()
        # This Ceph may never deliver to such an address again.
        for number, key in enumerate(keys):
            ceph.put(bucket, key, png(number))
        service.start()

        scan = inject(service, f"s3://{bucket}")

        listed, delivered = items_of(service, scan["id"]), told_items(service)
        notify(ceph, bucket, "--remove")
    assert sorted(map(key_of, listed + delivered)) == keys
    assert {outcome for _, outcome in outcomes(listed)} <= {"succeeded"}


def test_what_was_uploaded_while_nobody_listened_is_told_of_after_ceph_s_gateway_was_started_again(
    ceph: Ceph, tmp_path: Path
) -> None:
    keys = [f"{number}.png" for number in range(5)]
    with telling(ceph, tmp_path) as (bucket, service):
        notify(ceph, bucket, "--to", f"{service.url}/events/s3")
        service.stop()
        for number, key in enumerate(keys):
            ceph.put(bucket, key, png(number))
        service.start()
        with ceph.away():
            pass

        wait_until(
            lambda: sorted(map(key_of, told_items(service))) == keys, what="all is told", timeout_s=150
        )
        notify(ceph, bucket, "--remove")


def test_what_happens_to_an_object_between_its_event_and_its_fetch_is_told(told: Told) -> None:
    objects = {
        "deleted.png": png(1),
        "replaced.png": png(2),
        "secret/forbidden.png": png(3),
        "empty.png": b"",
        "text.png": b"no image",
        "large.png": png(4) + b"x" * TOO_LARGE,
        "huge.png": bytes(HUGE),
        "good.png": png(5),
    }
    told.service.stop()
    for key, body in objects.items():
        told.put(f"told/late/{key}", body)
    told.wait_until_refused(f"told/late/{key}" for key in objects)
    told.ceph.client().delete_object(Bucket=told.bucket, Key="told/late/deleted.png")
    told.put("told/late/replaced.png", png(6))
    told.ceph.forbid(told.bucket, "told/late/secret/*")
    told.service.start()

    told.wait_for(
        "told/late/",
        [
            ("deleted.png", "object_missing"),
            ("replaced.png", "object_replaced"),
            ("replaced.png", "succeeded"),
            ("secret/forbidden.png", "object_forbidden"),
            ("empty.png", "empty_file"),
            ("text.png", "not_an_image"),
            ("large.png", "object_too_large"),
            ("huge.png", "object_too_large"),
            ("good.png", "succeeded"),
        ],
    )


def test_a_bucket_of_somebody_else_and_a_wrong_key_are_refused_in_one_line(
    ceph: Ceph, bucket: str, tmp_path: Path
) -> None:
    with ceph.another_user() as stranger:
        others = (notify(stranger, bucket, code=3), notify(stranger, bucket, "--remove", code=3))
        set_by_others = notify(stranger, bucket, "--to", "http://127.0.0.1:9/events/s3", code=3)
        with celeriac(tmp_path, STORAGE_ALLOW=f"s3://{bucket}", **stranger.environ) as service:
            scan = inject(service, f"s3://{bucket}", code=1)
    wrong = notify(ceph.with_wrong_secret(), bucket, code=3)
    gone = notify(ceph, f"none-{secrets.token_hex(4)}", code=3)

    assert all("access to s3://" in told["error"] for told in (*others, set_by_others))
    assert scan["error"]["code"] == "object_forbidden"
    assert "secret key" in wrong["error"]
    assert "there is no bucket" in gone["error"]


def test_a_bucket_is_a_store_of_models_of_several_machines(ceph: Ceph, bucket: str, tmp_path: Path) -> None:
    url, copies = f"s3://{bucket}/lab", [tmp_path / name for name in "abcd"]
    with variables(ceph.environ):
        with ThreadPoolExecutor(len(copies)) as threads:
            published = threads.map(lambda copy: publish(remote_store_at(url), copy, tmp_path), copies)
            numbers = sorted(published)
        mirror = Mirror(tmp_path / "here", remote_store_at(url))
        mirror.look_now()
        with remote_store_at(url).withdrawn(("table", "2")):
            pass
        mirror.look_now()

        assert numbers == ["1", "2", "3", "4"]
        assert [each.key[1] for each in Store([tmp_path / "here"]).versions()] == ["1", "3", "4"]
        assert remote_store_at(url).claim("table") == "5"
        assert mirror.faults() == []
