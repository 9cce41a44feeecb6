"""A bucket from within containers: they reach it while one is allowed, with credentials that are in files only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from testing.compose_project import ROOT, ComposeProject
from testing.docker import docker, inspect
from testing.processes import wait_until
from testing.s3 import S3, s3_store
from tests.integration.test_scans import png

SETTINGS = {"STORAGE_ALLOW": "s3://photos", "EVENTS_FILE": "photos.yaml", "MODEL_BUCKET": "s3://models/lab"}
RULES = "rules:\n  - {bucket: photos, prefix: told/, model: fashion_mnist}\n"
CREDENTIALS = "[default]\naws_access_key_id = KEYINAFILEONLY\naws_secret_access_key = secret/in/a/file/only\n"


@pytest.fixture(scope="module")
def store(engine: None) -> Iterator[S3]:
    """A store on this machine, at an address that containers with a way out reach."""
    (network,) = json.loads(docker("network", "inspect", "bridge").stdout)
    with s3_store(network["IPAM"]["Config"][0]["Gateway"]) as store:
        store.fill("photos", {f"in/{number}.png": png(number) for number in range(5)})
        store.fill("models", {})
        yield store


@pytest.fixture(scope="module")
def fetching(shared_project: ComposeProject, store: S3) -> Iterator[ComposeProject]:
    """The service that the tests share, told of the store; afterwards it is as before."""
    checkout = shared_project.checkout
    rules = checkout.root / "docker" / "events" / SETTINGS["EVENTS_FILE"]
    credentials = checkout.secrets / "aws_credentials"
    before = credentials.read_text()
    rules.write_text(RULES)
    credentials.write_text(CREDENTIALS)
    settings = SETTINGS | {"AWS_ENDPOINT_URL": store.url}
    checkout.env |= settings
    shared_project.up()
    shared_project.wait_until_ready()
    yield shared_project
    for name in settings:
        del checkout.env[name]
    credentials.write_text(before)
    rules.unlink()
    shared_project.up()


def inject(project: ComposeProject, location: str) -> dict[str, Any]:
    """What `python -m client inject --json` says."""
    command = [sys.executable, "-m", "client", "inject", location, "--model", "fashion_mnist", "--json"]
    command += ["--url", project.url]
    env = os.environ | {"CELERIAC_KEY": project.key}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_bucket_is_scanned_and_its_pictures_are_shown(fetching: ComposeProject) -> None:
    scan = inject(fetching, "s3://photos/in")

    assert (scan["job"]["state"], scan["job"]["succeeded"]) == ("finished", 5)
    image = fetching.web.get(f"/predictions/{scan['id']}/thumbnails/0.png")
    assert (image.status_code, image.headers["Content-Type"]) == (200, "image/png")


def test_what_an_event_tells_of_is_classified(fetching: ComposeProject, store: S3) -> None:
    store.client().put_object(Bucket="photos", Key="told/a b.png", Body=png(9))
    place = {"bucket": {"name": "photos"}, "object": {"key": "told/a+b.png"}}
    event = {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": place}]}
    token = fetching.checkout.passwords()["events_token"]

    refused = fetching.web.post("/events/s3?token=of-somebody-else", json=event)
    told = fetching.web.post("/events/s3", json=event, headers={"Authorization": f"Bearer {token}"})

    assert (refused.status_code, told.status_code) == (401, 202)
    (job,) = told.json()["jobs"]
    wait_until(lambda: fetching.web.get(f"/api/jobs/{job}").json()["succeeded"] == 1, what="it is classified")


def test_models_are_made_in_a_bucket_and_serve_from_their_copy_while_it_is_away(
    fetching: ComposeProject, store: S3
) -> None:
    made = fetching.imported("lent", ROOT / "examples" / "iris.onnx")
    listed = store.client().list_objects_v2(Bucket="models", Prefix="lab/lent/1/")["Contents"]
    assert (made["version"], made["error"]) == ("1", None)
    assert "lab/lent/1/manifest.json" in [each["Key"] for each in listed]

    with store.away():
        fetching.compose("restart", "web", "worker")
        fetching.wait_until_ready()
        job = fetching.wait_for(fetching.submit("lent", [[5.1, 3.5, 1.4, 0.2]]))

    assert fetching.results(job)[0]["label"] == "setosa"


def test_credentials_are_in_files_only_and_those_for_who_needs_them(fetching: ComposeProject) -> None:
    containers = fetching.containers(all_states=True)
    told = json.dumps(inspect(containers)) + fetching.compose("logs", "--no-color")
    for container in fetching.containers():
        told += docker("top", container, "-o", "pid,args").stdout

    secrets = ["KEYINAFILEONLY", "secret/in/a/file/only", fetching.checkout.passwords()["events_token"]]

    assert [secret for secret in secrets if secret in told] == []
    assert fetching.checkout.run("git", "status", "--porcelain").stdout == ""
    of_web = {"aws_credentials", "events_token", "api_keys"}
    for service, files in (("worker", {"aws_credentials"}), ("web", of_web)):
        listing = fetching.execute(fetching.containers(service)[0], "ls", "/run/secrets").stdout.split()
        assert set(listing) - {"broker_url", "database_url"} == files


def test_workers_are_still_called_as_their_containers(fetching: ComposeProject) -> None:
    assert fetching.alive_workers() == fetching.containers("worker")
