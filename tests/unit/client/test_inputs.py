"""What a user typed after `predict`: files of arrays, and items in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from client.errors import InputError
from client.inputs import Files, Items, read_inputs
from client.submission import Submission

if TYPE_CHECKING:
    from pathlib import Path

    from testing.api_server import ApiServer
    from tests.unit.client.conftest import Run


def test_files_of_arrays_are_sent_as_they_are_and_their_items_named_by_the_server(tmp_path: Path) -> None:
    file = tmp_path / "items.NPZ"
    file.write_bytes(b"anything")

    assert read_inputs([str(file)]) == Files([file])
    assert Submission([str(file)], table=None, is_recursive=False).names == []


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ('{"a": 1}', [{"a": 1}]),
        ('[{"a": [9007199254740993]}]', [{"a": [2**53 + 1]}]),
        ("3", [3]),
    ],
)
def test_a_file_of_json_has_one_item_or_a_list_of_them(
    tmp_path: Path, text: str, items: list[object]
) -> None:
    file = tmp_path / "items.json"
    file.write_text(text)

    assert read_inputs([str(file)]) == Items(items)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[1,", "expected JSON, a list of items"),
        ("[NaN]", "NaN is no JSON"),
        ("[]", "expected at least one item"),
        ("[" * 100_000, "expected JSON"),
        ("\xff", "expected JSON"),
    ],
)
def test_what_is_no_json_is_refused_by_its_file(tmp_path: Path, text: str, error: str) -> None:
    file = tmp_path / "items.json"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(InputError, match=error):
        read_inputs([str(file)])


def test_json_and_images_do_not_mix(tmp_path: Path) -> None:
    for name in ("a.json", "b.png"):
        (tmp_path / name).write_text("[1]")

    with pytest.raises(InputError, match="expected a file of JSON, as the others are"):
        read_inputs([str(tmp_path / "a.json"), str(tmp_path / "b.png")])


def test_items_in_json_are_one_job(run: Run, server: ApiServer, tmp_path: Path) -> None:
    for name, glucose in (("a.json", 148), ("b.json", 85)):
        (tmp_path / name).write_text(f"[[6, {glucose}, 72, 35, 0, 33.6, 0.627, 50]]")

    outcome = run("predict", "--model", "diabetes", tmp_path / "a.json", tmp_path / "b.json")

    assert outcome.code == 0
    assert [line.split()[:3] for line in outcome.stdout.splitlines()[1:]] == [
        ["row", "1", "positive"], ["row", "2", "negative"],
    ]  # fmt: skip
    assert len(server.jobs) == 1
