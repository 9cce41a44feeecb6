"""What stands in streams.yaml is taken as it is meant, or refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import SettingsError
from production_server.sources.streams.rules import read_streams

FULL = """
streams:
  photos:
    from: kafka://one:9092,two:9092/photos
    group: lab
    properties:
      security.protocol: SASL_SSL
      sasl.password: $STREAM_PASSWORD
    models: [fashion_mnist, digits]
    results: answers
    dead_letters: refused
    most_waiting: 500
  rows:
    from: pubsub://project/rows
    models: diabetes
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "streams.yaml"
    path.write_text(text)
    return path


def test_streams_are_read_with_secrets_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_PASSWORD", "s3cret")

    rules = read_streams(written(tmp_path, FULL))

    photos, rows = rules["photos"], rules["rows"]
    assert (photos.kind, photos.host, photos.place) == ("kafka", "one:9092,two:9092", "photos")
    assert photos.properties["sasl.password"] == "s3cret"
    assert "s3cret" not in repr(photos)
    assert (photos.models, photos.most_waiting, photos.tells_refusals) == (
        ("fashion_mnist", "digits"),
        500,
        True,
    )
    assert (rows.kind, rows.models, rows.results, rows.read) == ("pubsub", ("diabetes",), None, "auto")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("group: lab", "grup: lab"), "grup"),
        (("/photos", ""), "kafka://host:port/topic"),
        (("kafka://", "kafka://user:password@"), "without a password"),
        (("results: answers", "results: photos"), "not the topic it reads"),
        (("results: answers", "results: a b"), "letters, digits"),
        (("security.protocol", "enable.auto.commit"), "enable.auto.commit"),
        (("$STREAM_PASSWORD", "$NOT_SET_ANYWHERE"), "$NOT_SET_ANYWHERE"),
        (("most_waiting: 500", "most_waiting: 0"), "most_waiting"),
        (("[fashion_mnist, digits]", "[]"), "models"),
        (("streams:", "stream:"), "streams"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], named: str
) -> None:
    monkeypatch.setenv("STREAM_PASSWORD", "s3cret")

    with pytest.raises(SettingsError) as refused:
        read_streams(written(tmp_path, FULL.replace(*change)))

    assert named in str(refused.value)
    assert "streams.yaml:" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"STREAMS_FILE: .*nowhere\.yaml"):
        read_streams(tmp_path / "nowhere.yaml")
