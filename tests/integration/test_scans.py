"""Scans by the service as a user runs it, and by its command line client: folders, buckets, kills, outages."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from testing.celeriac import ROOT, Celeriac, celeriac
from testing.processes import wait_until
from testing.s3 import S3
from testing.store import Store

SMALL_STEPS = {"CHUNK_ITEMS": "32", "BATCH_ITEMS": "8"}


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), value).save(buffer, "PNG")
    return buffer.getvalue()


def inject(service: Celeriac, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What `python -m client inject --json` says."""
    command = [sys.executable, "-m", "client", "inject", *arguments]
    command += ["--url", service.url, "--json", "--model", "fashion_mnist"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
    return found


def items_of(service: Celeriac, scan: dict[str, Any]) -> list[dict[str, Any]]:
    answer = service.web.get(f"/api/jobs/{scan['id']}/results.json")
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_a_folder_is_classified_from_the_command_line_and_a_second_time_only_what_is_new(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(40):
        (folder / "more" / f"{number}.png").write_bytes(png(number))
    (folder / "notes.txt").write_text("no image")
    with celeriac(tmp_path, STORAGE_ALLOW=f"file://{folder}", **SMALL_STEPS) as service:
        dry = inject(service, f"file://{folder}", "--pattern", "*.png", "--dry-run")
        first = inject(service, f"file://{folder}", "--pattern", "*.png")
        (folder / "new.png").write_bytes(png(200))
        second = inject(service, f"file://{folder}", "--pattern", "*.png")
        everything = inject(service, f"file://{folder}", code=1)
        refused = inject(service, "file:///etc", code=3)

        assert (dry["matched"], dry["job"]) == (40, None)
        assert (first["job"]["state"], first["job"]["succeeded"]) == ("finished", 40)
        assert (second["matched"], second["skipped"]) == (1, 40)
        assert [item["error"]["code"] for item in items_of(service, everything)] == ["not_an_image"]
        assert "STORAGE_ALLOW" in refused["error"]


def test_a_bucket_is_classified_with_all_that_can_be_wrong_in_it(tmp_path: Path, store: Store) -> None:
    good = {
        f"in/{name}": png(number) for number, name in enumerate(("a b+c%20d.png", "ä/日本.png", "q?u#e&.png"))
    }
    bad = {"in/empty.png": b"", "in/text.png": b"no image", "in/large.png": png(1) + b"x" * 200_000}
    store.fill("photos", good | bad | {"out/a.png": png(9)})
    url = f"{store.scheme}://photos"
    settings = {"STORAGE_ALLOW": f"{url}/in", "MAX_OBJECT_BYTES": "100000", **store.environ}
    with celeriac(tmp_path, **settings, **SMALL_STEPS) as service:
        scan = inject(service, f"{url}/in", code=1)

        found = {item["url"]: item["error"] and item["error"]["code"] for item in items_of(service, scan)}
        assert found == {f"{url}/{key}": None for key in good} | {
            f"{url}/in/empty.png": "empty_file",
            f"{url}/in/text.png": "not_an_image",
            f"{url}/in/large.png": "object_too_large",
        }
        assert not [secret for secret in store.environ.values() if secret in service.log]
        assert service.stop() == 0


def test_a_scan_survives_kill_9_and_every_object_is_classified_once(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(1500):
        (folder / f"{number}.png").write_bytes(png(number % 256))
    settings = {"STORAGE_ALLOW": f"file://{folder}", "FETCHES": "1"} | SMALL_STEPS
    with celeriac(tmp_path, **settings) as service:
        asked = {"url": f"file://{folder}", "model": "fashion_mnist"}
        scan = service.web.post("/api/scans", json=asked).json()
        wait_until(lambda: look(service, scan)["job"]["total"] > 0, what="something is listed")
        service.kill()
        service.start()
        wait_until(lambda: look(service, scan)["job"]["succeeded"] > 300, what="300 are classified")
        service.kill()
        service.start()
        wait_until(lambda: is_over(look(service, scan)), what="the scan is over", timeout_s=200)

        found, items = look(service, scan), items_of(service, scan)
        assert (found["state"], found["job"]["state"], found["job"]["succeeded"]) == (
            "listed",
            "finished",
            1500,
        )
        assert len({item["url"] for item in items}) == 1500
        assert [item["index"] for item in items] == list(range(1500))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_over_rabbitmq_a_scan_goes_on_while_workers_are_killed(
    tmp_path: Path, s3: S3, broker_url: str, database_url: str, workers: str
) -> None:
    bucket = f"many-{workers}"
    s3.fill(bucket, {f"{number:04}.png": png(number % 256) for number in range(600)})
    settings = {"STORAGE_ALLOW": f"s3://{bucket}", "WORKERS": workers, **s3.environ, **SMALL_STEPS}
    with celeriac(tmp_path, BROKER_URL=broker_url, DATABASE_URL=database_url, **settings) as service:
        asked = {"url": f"s3://{bucket}", "model": "fashion_mnist"}
        scan = service.web.post("/api/scans", json=asked).json()
        wait_until(lambda: look(service, scan)["job"]["succeeded"] > 100, what="100 are classified")
        for pid in service.children("worker"):
            subprocess.run(["kill", "-9", str(pid)], check=True)
        wait_until(lambda: is_over(look(service, scan)), what="the scan is over", timeout_s=200)

        assert look(service, scan)["job"]["succeeded"] == 600
        assert len({item["url"] for item in items_of(service, scan)}) == 600


def test_a_store_that_is_away_in_the_middle_of_a_scan_is_waited_for(tmp_path: Path, store: Store) -> None:
    # The other emulators take their time for each.
    count = 900 if store.scheme == "s3" else 400
    images = [png(value) for value in range(256)]
    store.fill("away", {f"{number:04}.png": images[number % 256] for number in range(count)})
    url = f"{store.scheme}://away"
    settings = {"STORAGE_ALLOW": url, "FETCHES": "1", **store.environ, **SMALL_STEPS}
    with celeriac(tmp_path, **settings) as service:
        asked = {"url": url, "model": "fashion_mnist"}
        scan = service.web.post("/api/scans", json=asked).json()
        wait_until(lambda: look(service, scan)["job"]["succeeded"] > 50, what="50 are classified")
        with store.away():
            wait_until(lambda: "does not answer" in service.log, what="the store is missed")
            before = look(service, scan)
        wait_until(lambda: is_over(look(service, scan)), what="the scan is over", timeout_s=200)

        found = look(service, scan)
        assert before["job"]["state"] == "running"
        assert (found["listed"], found["job"]["succeeded"], found["job"]["failed"]) == (count, count, 0)
        assert len({item["url"] for item in items_of(service, scan)}) == count


def test_an_object_of_200_mb_is_refused_without_a_place_for_it_in_memory(tmp_path: Path, s3: S3) -> None:
    size_bytes = 200 * 10**6
    s3.fill("huge", {"listed.png": bytes(size_bytes), "told.png": bytes(size_bytes), "good.png": png(1)})
    (tmp_path / "events.yaml").write_text("rules:\n  - {bucket: huge, model: fashion_mnist}\n")
    rules = {"EVENTS_FILE": str(tmp_path / "events.yaml"), "EVENTS_TOKEN": "0123456789abcdef"}
    with celeriac(tmp_path, STORAGE_ALLOW="s3://huge", **rules, **s3.environ) as service:
        inject(service, "s3://huge", "--pattern", "good.png")
        before_bytes = most_resident_bytes(service)
        # An event may say of the size what it likes.
        s3_of = {"bucket": {"name": "huge"}, "object": {"key": "told.png", "size": 10}}
        event = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3_of}
        told = service.web.post("/events/s3?token=0123456789abcdef", json={"Records": [event]}).json()
        scan = inject(service, "s3://huge", "--pattern", "listed.png", code=1)
        wait_until(
            lambda: service.web.get(f"/api/jobs/{told['jobs'][0]}").json()["failed"], what="it is done"
        )

        codes = [items_of(service, {"id": job})[0]["error"]["code"] for job in (told["jobs"][0], scan["id"])]
        assert codes == ["object_too_large"] * 2
        assert most_resident_bytes(service) - before_bytes < size_bytes // 4


def most_resident_bytes(service: Celeriac) -> int:
    """The most memory that the main process has held, which is all of a service without a broker."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def look(service: Celeriac, scan: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = service.web.get(f"/api/scans/{scan['id']}").json()
    return found


def is_over(scan: dict[str, Any]) -> bool:
    return bool(scan["state"] != "listing" and scan["job"]["state"] == "finished")
