"""Events of Google's and Azure's stores, from an object that is written to its stored result."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from testing.azure_storage import AzureStorage
from testing.celeriac import Celeriac, celeriac
from testing.google_storage import GoogleStorage
from testing.processes import wait_until

TOKEN = "a-secret-of-the-tests"
RULES = "rules:\n  - {bucket: photos, prefix: in/, suffix: .png, model: fashion_mnist}\n"

Told = tuple[str, Mapping[str, Any]]


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), value).save(buffer, "PNG")
    return buffer.getvalue()


def told_by_google(store: GoogleStorage, key: str) -> Told:
    """The type and the data of the event that Google sends when an object has been written."""
    blob = store.client.bucket("photos").get_blob(key)
    data = {"bucket": "photos", "name": key, "generation": str(blob.generation)}
    data |= {"metageneration": "1", "size": str(blob.size), "etag": blob.etag, "contentType": "image/png"}
    return "google.cloud.storage.object.v1.finalized", data


def told_by_azure(store: AzureStorage, key: str) -> Told:
    """The type and the data of the event that Azure sends when a blob has been written."""
    blob = store.client.get_blob_client("photos", key)
    found = blob.get_blob_properties()
    path = blob.url.partition("/devstoreaccount1")[2]
    data = {"api": "PutBlob", "eTag": found.etag.strip('"'), "contentLength": found.size}
    data |= {"blobType": "BlockBlob", "url": f"https://devstoreaccount1.blob.core.windows.net{path}"}
    return "Microsoft.Storage.BlobCreated", data


TELL: dict[str, Callable[[Any, str], Told]] = {"gs": told_by_google, "az": told_by_azure}


def send(service: Celeriac, told: Told) -> dict[str, Any]:
    kind, data = told
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/tests", "ce-type": kind}
    headers["Authorization"] = f"Bearer {TOKEN}"
    answer = service.web.post("/events/s3", json=data, headers=headers)
    assert answer.status_code in {200, 202}, answer.text
    found: dict[str, Any] = answer.json()
    return found


def item_of(service: Celeriac, told: Told) -> dict[str, Any]:
    """What became of the one item of an event."""
    (job,) = send(service, told)["jobs"]
    wait_until(
        lambda: service.web.get(f"/api/jobs/{job}").json()["state"] == "finished", what="the job is over"
    )
    (item,) = service.web.get(f"/api/jobs/{job}/results.json").json()["results"]
    found: dict[str, Any] = item
    return found


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_what_a_store_tells_of_is_fetched_and_classified_once(
    request: pytest.FixtureRequest, tmp_path: Path, scheme: str
) -> None:
    store, tell = request.getfixturevalue(scheme), TELL[scheme]
    key = "in/a b+c%20ä.png"
    store.fill("photos", {key: png(1), "in/replaced.png": png(2), "in/gone.png": png(3)})
    written, replaced, gone = (tell(store, each) for each in (key, "in/replaced.png", "in/gone.png"))
    store.fill("photos", {"in/replaced.png": png(4)})
    store.remove("photos", "in/gone.png")
    (tmp_path / "events.yaml").write_text(RULES)
    settings = {"STORAGE_ALLOW": f"{scheme}://photos/in", **store.environ}
    settings |= {"EVENTS_FILE": str(tmp_path / "events.yaml"), "EVENTS_TOKEN": TOKEN}

    with celeriac(tmp_path, **settings) as service:
        item = item_of(service, written)
        again = send(service, written)
        errors = [item_of(service, told)["error"]["code"] for told in (replaced, gone)]
        scan = service.web.post(
            "/api/scans", json={"url": f"{scheme}://photos/in", "model": "fashion_mnist"}
        ).json()
        wait_until(lambda: listed(service, scan)["state"] == "listed", what="the bucket is listed")

        assert (item["state"], item["url"]) == ("succeeded", f"{scheme}://photos/{key}")
        assert (again["accepted"], again["known"]) == (0, 1)
        assert errors == ["object_replaced", "object_missing"]
        # The one that was replaced is new to it; the other is that of the event.
        assert (listed(service, scan)["listed"], listed(service, scan)["skipped"]) == (2, 1)


def listed(service: Celeriac, scan: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = service.web.get(f"/api/scans/{scan['id']}").json()
    return found
