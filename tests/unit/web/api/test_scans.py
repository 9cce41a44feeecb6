"""/api/scans, and what the API says of items that lie in buckets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from production_server.jobs.away import note_away
from production_server.jobs.object_chunks import take
from production_server.settings import Settings, read_settings
from production_server.sources.scanner import Scanner
from production_server.web.edge.parts import WebParts
from tests.unit.test_inference import png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "dark.png").write_bytes(png(0))
    (photos / "bright.png").write_bytes(png(255))
    (photos / "notes.txt").write_bytes(b"no image")
    return photos


@pytest.fixture
def settings(tmp_path: Path, small_models: Path, folder: Path) -> Settings:
    return read_settings(
        {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'web.sqlite3'}",
            "MODEL_STORE": str(small_models),
            "STORAGE_ALLOW": f"file://{folder} s3://photos/in",
        }
    )


@pytest.fixture
def scanner(parts: WebParts, settings: Settings) -> Scanner:
    return Scanner(parts.database, parts.storage, parts.intake, settings)


def ask(web: Any, folder: Path, **changes: Any) -> Any:
    return web.post("/api/scans", json={"url": f"file://{folder}", "model": "picture"} | changes)


def test_a_scan_is_accepted_and_shown(web: Any, folder: Path) -> None:
    answer = ask(web, folder, pattern="*.png")

    scan = answer.json
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/scans/{scan['id']}")
    assert (scan["state"], scan["pattern"], scan["version"], scan["again"]) == (
        "listing",
        "*.png",
        "1",
        False,
    )
    assert (scan["job"]["id"], scan["job"]["source"], scan["job"]["growing"]) == (scan["id"], "scan", True)
    assert web.get(f"/api/scans/{scan['id']}").json == scan
    assert web.get("/api/scans").json == {"scans": [scan], "next": None}


def test_the_same_scan_while_it_lists_is_answered_with_200(web: Any, folder: Path) -> None:
    first, second = ask(web, folder), ask(web, folder)

    assert (second.status_code, second.json["id"]) == (200, first.json["id"])


def test_what_was_found_is_in_the_jobs_results(web: Any, folder: Path, scanner: Scanner) -> None:
    scan = ask(web, folder, pattern="*.png").json

    scanner.scan_next()

    found = web.get(f"/api/scans/{scan['id']}").json
    results = web.get(f"/api/jobs/{scan['id']}/results").json
    assert (found["state"], found["listed"], found["matched"], found["skipped"]) == ("listed", 3, 2, 0)
    assert {item["url"] for item in results["results"]} == {
        f"file://{folder}/dark.png",
        f"file://{folder}/bright.png",
    }
    assert results["next"] is None


def test_the_table_of_results_says_where_each_input_lies(web: Any, folder: Path, scanner: Scanner) -> None:
    scan = ask(web, folder, pattern="dark.png").json
    scanner.scan_next()

    header, line = web.get(f"/api/jobs/{scan['id']}/results.csv").text.splitlines()

    assert header.split(",")[:2] == ["index", "url"]
    assert line.split(",")[:2] == ["0", f"file://{folder}/dark.png"]


def test_results_go_on_while_a_scan_adds_items(web: Any, folder: Path) -> None:
    scan = ask(web, folder).json

    results = web.get(f"/api/jobs/{scan['id']}/results?after=-1").json

    assert results == {"results": [], "next": -1}


def test_an_items_image_is_fetched_for_its_thumbnail(web: Any, folder: Path, scanner: Scanner) -> None:
    scan = ask(web, folder, pattern="dark.png").json
    scanner.scan_next()
    path = f"/predictions/{scan['id']}/thumbnails/0.png"

    shown = web.get(path)
    (folder / "dark.png").unlink()
    gone = web.get(path)

    assert (shown.status_code, shown.mimetype) == (200, "image/png")
    assert gone.status_code == 404


def test_of_a_bucket_that_does_not_answer_no_thumbnail_is_asked_for(
    web: Any, folder: Path, scanner: Scanner, parts: WebParts
) -> None:
    scan = ask(web, folder, pattern="dark.png").json
    scanner.scan_next()
    held = take(parts.database, lease_s=60, patience_s=60)
    assert held is not None
    note_away(parts.database, held, "file:// does not answer")

    shown = web.get(f"/predictions/{scan['id']}/thumbnails/0.png")
    page = web.get(f"/predictions/{scan['id']}").text
    job = web.get(f"/api/jobs/{scan['id']}").json

    assert (shown.status_code, web.get("/api/jobs").json["jobs"][0]["waiting"]) == (503, job["waiting"])
    assert (job["waiting"]["bucket"], job["waiting"]["message"]) == ("file://", "file:// does not answer")
    assert "Waiting for <code>file://</code>" in page


def test_the_page_of_a_scans_job_is_shown_while_nothing_is_found_yet(web: Any, folder: Path) -> None:
    scan = ask(web, folder).json

    assert web.get(f"/predictions/{scan['id']}").status_code == 200


def test_a_dry_run_has_no_job(web: Any, folder: Path, scanner: Scanner) -> None:
    scan = ask(web, folder, dry_run=True).json
    scanner.scan_next()

    found = web.get(f"/api/scans/{scan['id']}").json
    assert (scan["job"], scan["links"]["job"], found["matched"]) == (None, None, 3)
    assert web.get(f"/api/jobs/{scan['id']}").status_code == 404


def test_a_scan_is_cancelled(web: Any, folder: Path) -> None:
    scan = ask(web, folder).json

    cancelled = web.delete(f"/api/scans/{scan['id']}")

    assert (cancelled.status_code, cancelled.json["state"], cancelled.json["job"]["state"]) == (
        200,
        "cancelled",
        "cancelled",
    )


def test_a_scan_that_failed_says_why(web: Any, folder: Path, scanner: Scanner) -> None:
    scan = ask(web, folder, url=f"file://{folder}/nothing").json
    scanner.scan_next()

    assert web.get(f"/api/scans/{scan['id']}").json["error"]["code"] == "object_missing"


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"url": "file:///etc"}, 400, "location_not_allowed", "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, 400, "invalid_input", "url"),
        ({"url": "s3://photos/in/../out"}, 400, "invalid_input", "url"),
        ({"url": "s3://photos/inside"}, 400, "location_not_allowed", "url"),
        ({"url": "s3://other"}, 400, "location_not_allowed", "url"),
        ({"url": "s3://" + "x" * 3000}, 400, "invalid_input", "url"),
        ({"url": 7}, 400, "invalid_input", "url"),
        ({"model": "nothing"}, 404, "model_not_found", None),
        ({"model": "picture", "version": "9"}, 404, "version_not_found", None),
        ({"model": "table"}, 400, "invalid_input", "model"),
        ({"pattern": ""}, 400, "invalid_input", "pattern"),
        ({"pattern": "a\0"}, 400, "invalid_input", "pattern"),
        ({"again": "often"}, 400, "invalid_input", "again"),
        ({"recursive": True}, 400, "invalid_input", "recursive"),
    ],
)
def test_a_scan_that_cannot_be_is_refused_with_the_field(
    web: Any, folder: Path, changes: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    answer = ask(web, folder, **changes)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert field is None or answer.json["faults"][0]["field"] == field
    assert web.get("/api/scans").json["scans"] == []


def test_a_scan_that_is_not_there_is_404(web: Any) -> None:
    path = "/api/scans/00000000-0000-0000-0000-000000000000"

    assert {web.get(path).json["code"], web.delete(path).json["code"]} == {"scan_not_found"}
