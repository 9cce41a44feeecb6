"""The command produce, at librdkafka's own cluster for tests."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from client.streams import opening
from client.streams.address import Place
from client.streams.carrying import Carrier
from client.streams.messages import Incoming
from client.streams.producing import Sent, send_all
from client.streams.requests import Payload, TableRows
from testing.kafka import QUICK, MockKafka
from testing.processes import free_ports, wait_until
from testing.s3 import S3
from tests.unit.client.conftest import PNG, Run

if TYPE_CHECKING:
    from collections.abc import Iterator


def sent_to(kafka: MockKafka, topic: str, count: int) -> dict[str, Incoming]:
    """The messages of a topic, by their ids. A consumer without a group is quick: it joins nothing."""
    found: list[Incoming] = []
    place = Place.read(f"kafka://{kafka.address}/{topic}")
    quick = {name: str(value) for name, value in QUICK.items()}
    with opening.reader(place, quick, group=None, from_beginning=True) as reader:

        def has_all() -> bool:
            found.extend(reader.take(most=100, wait_s=0.1))
            return len(found) >= count

        wait_until(has_all, what=f"{count} messages of {topic}")
    return {each.headers["id"]: each for each in found}


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_images_are_sent_with_their_names_the_model_and_an_id(
    run: Run, kafka: MockKafka, images: Path
) -> None:
    done = run("produce", f"kafka://{kafka.address}/in", images, "--model", "fashion_mnist", "--json")

    assert done.code == 0, done.stderr
    told = {line["id"]: line for line in lines_of(done.stdout)}
    found = sent_to(kafka, "in", 2)
    assert found.keys() == told.keys()
    for number, message in found.items():
        assert (message.value, message.receipt.key()) == (PNG, number.encode())
        assert message.headers["name"].endswith(told[number]["name"])
        assert (message.headers["content-type"], message.headers["model"]) == ("image/png", "fashion_mnist")
        assert told[number]["place"] == message.place


def test_rows_and_items_are_sent_as_json(run: Run, kafka: MockKafka, tmp_path: Path) -> None:
    items = tmp_path / "items.json"
    items.write_text('[{"a": 1}, [2, -3]]')
    address = f"kafka://{kafka.address}/in"

    codes = [run("produce", address, *inputs).code for inputs in (["1", "-2.5"], ["glucose=148"], [items])]

    assert codes == [0, 0, 0]
    inputs = [json.loads(each.value)["inputs"] for each in sent_to(kafka, "in", 4).values()]
    assert sorted(map(str, inputs)) == ["[[1, -2.5]]", "[[2, -3]]", "[{'a': 1}]", "[{'glucose': 148}]"]


def test_a_table_is_sent_by_rows_each_with_the_header(run: Run, kafka: MockKafka, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_bytes(b'name;age\r\n"two\r\nlines";30\r\n\r\nb\xe9;31\r\nlast;32')

    done = run("produce", f"kafka://{kafka.address}/in", "--csv", table, "--rows", "2", "--json")

    assert done.code == 0, done.stderr
    assert sorted(line["name"].split("/")[-1] for line in lines_of(done.stdout)) == [
        "people.csv row 3",
        "people.csv rows 1 to 2",
    ]
    assert sorted(each.value for each in sent_to(kafka, "in", 2).values()) == [
        b'name;age\r\n"two\r\nlines";30\r\nb\xe9;31\r\n',
        b"name;age\r\nlast;32\n",
    ]


@pytest.mark.parametrize(
    ("text", "has_header", "rows"),
    [
        ("a,b\n1,2\n", None, [b"a,b\n1,2\n"]),
        ("1,2\n3,4\n", None, [b"1,2\n", b"3,4\n"]),
        ("1,2\n3,4\n", True, [b"1,2\n3,4\n"]),
        ("red,blue\ngreen,blue\n", False, [b"red,blue\n", b"green,blue\n"]),
    ],
    ids=["names", "numbers", "numbers that are names", "words that are no names"],
)
def test_a_table_has_a_header_where_no_cell_is_a_number_or_where_it_is_said(
    tmp_path: Path, text: str, has_header: bool | None, rows: list[bytes]
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(text)

    assert [each.value for each in TableRows(table, rows=1, has_header=has_header)] == rows


def test_a_loop_sends_again_with_new_ids_until_the_count_is_reached(
    run: Run, kafka: MockKafka, patients: Path
) -> None:
    done = run("produce", f"kafka://{kafka.address}/in", "--csv", patients, "--loop", "--count", "7")

    assert done.code == 0
    assert "7 of 7 sent" in done.stderr
    assert len(sent_to(kafka, "in", 7)) == 7


def test_what_is_too_large_is_refused_by_name_and_stops_nothing(
    run: Run, kafka: MockKafka, images: Path
) -> None:
    (images / "huge.png").write_bytes(bytes(1_100_000))

    done = run("produce", f"kafka://{kafka.address}/in", images)

    assert done.code == 1
    assert "2 of 3 sent, 1 not" in done.stderr
    assert "huge.png: 1,100,000 bytes are more than a message may have" in done.errors[-1]
    assert "--by s3://BUCKET/PREFIX" in done.errors[-1]
    assert len(sent_to(kafka, "in", 2)) == 2


def test_what_is_too_large_goes_by_a_bucket(run: Run, kafka: MockKafka, images: Path, s3: S3) -> None:
    bucket = f"b{secrets.token_hex(6)}"
    s3.client().create_bucket(Bucket=bucket)
    (images / "huge.png").write_bytes(bytes(1_100_000))

    done = run("produce", f"kafka://{kafka.address}/in", images, "--by", f"s3://{bucket}/large/")

    assert done.code == 0, done.stderr
    ((number, message),) = (pair for pair in sent_to(kafka, "in", 3).items() if b"url" in pair[1].value)
    assert json.loads(message.value) == {"url": f"s3://{bucket}/large/{number}.png"}
    assert message.headers["content-type"] == "application/json"
    stored = s3.client().get_object(Bucket=bucket, Key=f"large/{number}.png")["Body"].read()
    assert stored == bytes(1_100_000)


def test_json_goes_by_no_bucket(run: Run, kafka: MockKafka, s3: S3) -> None:
    done = run("produce", f"kafka://{kafka.address}/in", "1", "2", "--by", "s3://photos/large", "--over", "3")

    assert (done.code, len(done.errors)) == (1, 2)
    assert "JSON goes by no bucket" in done.stderr


def test_an_interruption_sends_what_is_in_hand(kafka: MockKafka) -> None:
    def payloads() -> Iterator[Payload]:
        for number in range(3):
            yield Payload(f"item {number}", b"{}", "application/json")
        raise KeyboardInterrupt

    sent = Sent()
    place = Place.read(f"kafka://{kafka.address}/in")
    with (
        pytest.raises(KeyboardInterrupt),
        opening.writer(place, {}, lambda message, _, reason: sent.count(message, reason)) as writer,
    ):
        send_all(
            writer,
            payloads(),
            Carrier({}, writer.most_bytes).message,
            rate=None,
            fail=lambda *_: pytest.fail("nothing is wrong with it"),
        )

    assert (sent.delivered, sent.failed) == (3, 0)


def test_properties_come_from_files_and_the_environment(
    run: Run, kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# ours\n\nmessage.max.bytes = $MOST\nlinger.ms=1\n")
    monkeypatch.setenv("MOST", "1512")
    address, row = f"kafka://{kafka.address}/in", ["1.5"] * 300

    small = run("produce", address, "--options", file, *row)
    large = run("produce", address, "--options", file, "--options", "message.max.bytes=9000", *row)

    assert (small.code, "may have (1,000)" in small.stderr) == (1, True)
    assert large.code == 0, large.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kafka://h:1/in"], "give either inputs or --csv FILE"),
        (["kafka://h:1/", "1"], "expected a topic behind it"),
        (["kafka://h:1/a b", "1"], "a b: expected letters"),
        (["http://h:1/in", "1"], "expected kafka://HOST:PORT/TOPIC"),
        (["kafka://me:secret@h:1/in", "1"], "credentials go into --options"),
        (["kafka://h:1/in", "1", "--options", "sasl.password=secret"], "sasl.password is a secret"),
        (["kafka://h:1/in", "1", "--options", "sasl.password=$NO_SUCH"], "NO_SUCH is not set"),
        (["kafka://h:1/in", "1", "--options", "no.such=1"], 'No such configuration property: "no.such"'),
        (["kafka://h:1/in", "1", "--options", "message.max.bytes=many"], "invalid literal"),
        (["kafka://h:1/in", "1", "--options", "group.id=1"], "group.id is set by the command itself"),
        (["kafka://h:1/in", "1", "--options", "no-file"], "no-file: No such file"),
        (["pubsub://project/patients", "1", "--options", "linger.ms=1"], "--options are librdkafka's"),
        (["kafka://h:1/in", "1", "--by", "gs://photos"], "expected s3://BUCKET/PREFIX"),
        (["kafka://h:1/in", "items.csv"], "by --csv items.csv"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("items.csv").touch()

    done = run("produce", *arguments)

    assert (done.code, len(done.errors)) == (2, 1)
    assert said in done.stderr
    assert "secret@" not in done.stderr and "=secret" not in done.stderr


def test_a_broker_that_is_not_there_is_one_line(run: Run) -> None:
    (port,) = free_ports(1)

    done = run("produce", f"kafka://127.0.0.1:{port}/in", "1")

    assert (done.code, len(done.errors)) == (4, 1)
    assert f"nothing answers at kafka://127.0.0.1:{port}" in done.stderr


def test_credentials_that_are_not_taken_are_one_line(run: Run, kafka: MockKafka, tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=me\nsasl.password=hidden\n"
    )

    done = run("produce", f"kafka://{kafka.address}/in", "1", "--options", file)

    assert (done.code, len(done.errors)) == (3, 1)
    assert "does not take these credentials" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize("place", ["kafka://h:1/in", "pubsub://project/patients"])
def test_without_its_library_produce_says_how_to_get_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for name in list(sys.modules):
        if name.startswith(("client.streams.kafka", "client.streams.pubsub")):
            monkeypatch.delitem(sys.modules, name)
    for name in ("confluent_kafka", "google.cloud"):
        monkeypatch.setitem(sys.modules, name, None)

    done = run("produce", place, "1")

    assert (done.code, len(done.errors)) == (2, 1)
    assert "CLIENT_SET=client-streams" in done.stderr


def test_the_libraries_are_not_loaded_before_they_are_used() -> None:
    code = (
        "import sys, client.cli; sys.exit(bool({'confluent_kafka', 'google', 'grpc'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
