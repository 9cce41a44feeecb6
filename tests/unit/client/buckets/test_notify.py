"""The command notify against Amazon's protocol, as moto speaks it; tests/deploy/test_ceph.py has what Ceph adds."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import exceptions as aws

from client.buckets.notification import Filter, redacted, with_password, with_query
from client.buckets.store_errors import translate
from client.errors import ClientError, InputError, Refused, Unavailable
from testing.processes import free_ports
from testing.s3 import S3
from tests.unit.client.conftest import Run

TOKEN = "s3cr/et&more"
TO = "http://celeriac.example.org:5100/events/s3"
TOPIC = "arn:aws:sns:us-east-1:123456789012:photos"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:other"


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of this test's own; the environment leads to its store and has the token."""
    name = f"b{secrets.token_hex(6)}"
    s3.client().create_bucket(Bucket=name)
    for topic in ("photos", "more"):
        sns().create_topic(Name=topic)
    monkeypatch.setenv("CELERIAC_EVENTS_TOKEN", TOKEN)
    return name


def sns() -> Any:
    return boto3.client("sns")


def notifications(run: Run, bucket: str) -> dict[str, dict[str, Any]]:
    shown = run("notify", f"s3://{bucket}", "--json")
    assert shown.code == 0, shown.stderr
    return {told["name"]: told for told in json.loads(shown.stdout)["notifications"]}


def test_a_bucket_tells_a_topic_of_what_is_asked_for(run: Run, bucket: str) -> None:
    done = run("notify", f"s3://{bucket}", "--prefix", "in/", "--suffix", ".jpg", "--topic", TOPIC)

    assert (done.code, done.stdout) == (0, f"s3://{bucket}: the notification celeriac is set\n")
    assert notifications(run, bucket)["celeriac"] == {
        "name": "celeriac",
        "target": TOPIC,
        "address": None,
        "events": ["s3:ObjectCreated:*"],
        "prefix": "in/",
        "suffix": ".jpg",
        "regex": None,
        "metadata": {},
        "tags": {},
    }
    assert "prefix in/, suffix .jpg" in run("notify", f"s3://{bucket}").stdout


def test_a_second_run_changes_nothing_and_says_so(run: Run, bucket: str) -> None:
    asked = ("notify", f"s3://{bucket}", "--suffix", ".jpg", "--topic", TOPIC)
    run(*asked)

    again = run(*asked, "--json")

    assert json.loads(again.stdout) == {
        "bucket": bucket,
        "name": "celeriac",
        "state": "unchanged",
        "changed": False,
    }
    assert "is set already: nothing is changed" in run(*asked).stdout


def test_other_arguments_replace_the_notification_of_that_name_and_touch_no_other(
    run: Run, s3: S3, bucket: str
) -> None:
    other = {"Id": "other", "QueueArn": QUEUE, "Events": ["s3:ObjectRemoved:*"]}
    s3.client().put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [other]}
    )
    run("notify", f"s3://{bucket}", "--suffix", ".jpg", "--topic", TOPIC)

    run("notify", f"s3://{bucket}", "--suffix", ".png", "--topic", TOPIC.replace("photos", "more"))

    found = notifications(run, bucket)
    assert (found["celeriac"]["suffix"], found["celeriac"]["target"][-4:]) == (".png", "more")
    assert (found["other"]["target"], found["other"]["events"]) == (QUEUE, ["s3:ObjectRemoved:*"])
    assert run("notify", f"s3://{bucket}", "--remove").code == 0
    assert notifications(run, bucket).keys() == {"other"}


def test_a_topic_that_posts_is_made_and_removed_with_its_notification(run: Run, bucket: str) -> None:
    def topics() -> set[str]:
        return {told["TopicArn"].rpartition(":")[2] for told in sns().list_topics()["Topics"]}

    # All of moto's servers in one process have the same topics: those of other tests are among them.
    before = topics()

    made = run("notify", f"s3://{bucket}", "--suffix", ".jpg", "--to", TO, "--name", "roof")

    assert (made.code, topics()) == (0, before | {f"roof-{bucket}"})
    first, second = (run("notify", f"s3://{bucket}", "--remove", "--name", "roof") for _ in range(2))
    assert (first.code, second.code, topics()) == (0, 0, before)
    assert "roof is removed" in first.stdout
    assert "roof does not exist: nothing is changed" in second.stdout


def test_a_topic_that_somebody_else_has_made_is_not_removed(run: Run, bucket: str) -> None:
    run("notify", f"s3://{bucket}", "--topic", TOPIC)

    run("notify", f"s3://{bucket}", "--remove")

    assert TOPIC in {told["TopicArn"] for told in sns().list_topics()["Topics"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--topic", TOPIC, "--regex", ".*"], "Ceph's own"),
        (["--topic", TOPIC, "--metadata", "camera=roof"], "Ceph's own"),
        (["--topic", TOPIC, "--tag", "a=b"], "Ceph's own"),
        (["--topic", TOPIC, "--to", TO], "only one"),
        (["--to", TO, "--remove"], "only one"),
        (["--suffix", ".jpg"], "needs --to or --topic"),
        (["--suffix", ".jpg", "--remove"], "needs --to or --topic"),
        (["--to", "celeriac:5100"], "expected http://HOST:PORT"),
        (["--to", "http://h:99999/events/s3"], "expected http://HOST:PORT"),
        (["--to", f"http://any:{TOKEN}@h/events/s3"], "expected http://HOST:PORT"),
        (["--to", "http://any:secret@h/events/s3"], "CELERIAC_EVENTS_TOKEN"),
        (["--to", "http://h/events/s3?token=secret"], "CELERIAC_EVENTS_TOKEN"),
        (["--topic", "photos"], "expected the ARN"),
        (["--to", TO, "--tag", "a"], "expected NAME=VALUE"),
        (["--name", "a b"], "expected letters"),
        (["--endpoint-url", "nowhere"], "Invalid endpoint"),
    ],
)
def test_what_does_not_go_is_wrong_usage(run: Run, bucket: str, arguments: list[str], said: str) -> None:
    done = run("notify", f"s3://{bucket}", *arguments)

    assert (done.code, len(done.errors)) == (2, 1)
    assert said in done.stderr
    assert "secret" not in done.stderr and TOKEN not in done.stderr


@pytest.mark.parametrize("location", ["photos", "s3://photos/in", "s3://", "file:///photos"])
def test_what_is_no_bucket_is_wrong_usage(run: Run, location: str) -> None:
    done = run("notify", location)

    assert (done.code, len(done.errors)) == (2, 1)
    assert "expected s3://BUCKET" in done.stderr


def test_without_a_token_nothing_is_set(run: Run, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERIAC_EVENTS_TOKEN")

    done = run("notify", f"s3://{bucket}", "--to", TO)

    assert (done.code, len(done.errors)) == (2, 1)
    assert "CELERIAC_EVENTS_TOKEN" in done.stderr


def test_a_bucket_that_is_not_there_is_one_line(run: Run, bucket: str) -> None:
    done = run("notify", f"s3://not-{bucket}", "--topic", TOPIC)

    assert (done.code, len(done.errors)) == (3, 1)
    assert f"there is no bucket s3://not-{bucket}" in done.stderr


def test_a_store_that_does_not_answer_is_one_line(run: Run, bucket: str) -> None:
    (port,) = free_ports(1)

    done = run("notify", f"s3://{bucket}", "--endpoint-url", f"http://127.0.0.1:{port}")

    assert (done.code, len(done.errors)) == (4, 1)
    assert f"nothing answers at http://127.0.0.1:{port}" in done.stderr


def test_an_address_that_is_no_store_is_one_line(run: Run, bucket: str, server: Any) -> None:
    done = run("notify", f"s3://{bucket}", "--endpoint-url", server.url)

    assert (done.code, len(done.errors)) == (4, 1)
    assert "does not answer as an object store does" in done.stderr


def test_credentials_that_are_missing_are_one_line(
    run: Run, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    missing = run("notify", f"s3://{bucket}")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    unknown = run("notify", f"s3://{bucket}")

    assert (missing.code, missing.errors) == (2, ["error: Unable to locate credentials"])
    assert (unknown.code, unknown.errors) == (2, ["error: The config profile (lab) could not be found"])


def test_without_its_library_notify_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    for name in ("client.buckets.store", "client.buckets.store_errors"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    done = run("notify", "s3://photos")

    assert (done.code, len(done.errors)) == (2, 1)
    assert "CLIENT_SET=client-notify" in done.stderr


def test_other_commands_do_not_load_the_library() -> None:
    code = "import sys, client.cli; sys.exit('botocore' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def an_answer(code: str | None, status: int, message: str | None = None) -> aws.ClientError:
    told = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(told, "CreateTopic")  # type: ignore[arg-type, unused-ignore]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (an_answer("AccessDenied", 403), Refused, "access to s3://photos is denied"),
        (an_answer("InvalidAccessKeyId", 403), Refused, "does not know this access key"),
        (an_answer("SignatureDoesNotMatch", 403), Refused, "the secret key"),
        (an_answer("NoSuchKey", 404), Refused, "a topic or queue is unknown"),
        (an_answer("InvalidArgument", 400, f"no {TOKEN}"), Refused, "(no [redacted])"),
        (an_answer("InternalError", 500), Unavailable, "out of order"),
        (an_answer("301", 301, "Moved"), Unavailable, "does not answer as an object store does"),
        (aws.ClientError({"Code": "InvalidInput", "Message": None}, "CreateTopic"), Refused, "InvalidInput"),  # type: ignore[arg-type, unused-ignore]
        (aws.NoRegionError(), InputError, "region"),
        (aws.EndpointConnectionError(endpoint_url="u"), Unavailable, "nothing answers"),
        (aws.ReadTimeoutError(endpoint_url="u"), Unavailable, "http://store"),
        (aws.SSLError(endpoint_url="u", error="bad"), Unavailable, "bad"),
    ],
)
def test_what_the_library_raises_is_told_in_one_line(
    error: Exception, kind: type[ClientError], said: str
) -> None:
    ours = translate(error, "s3://photos", endpoint="http://store", secrets=(TOKEN,))

    assert type(ours) is kind
    assert said in str(ours)
    assert "\n" not in str(ours) and TOKEN not in str(ours)


def test_an_address_is_shown_without_its_secrets() -> None:
    shown = {redacted(make(f"{TO}?a=b", TOKEN)) for make in (with_password, with_query)}

    assert shown == {
        "http://celeriac:[redacted]@celeriac.example.org:5100/events/s3?a=[redacted]",
        f"{TO}?a=[redacted]&token=[redacted]",
    }


def test_what_ceph_filters_by_is_written_as_it_is_read() -> None:
    rules = Filter("in/", ".jpg", ".*[0-9]", {"camera": "roof"}, {"kind": "day"})

    assert rules.write()["Metadata"] == {"FilterRules": [{"Name": "x-amz-meta-camera", "Value": "roof"}]}
    assert Filter.read(rules.write()) == rules
