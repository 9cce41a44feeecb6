"""What any door can have done, and what it says of who asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from production_server.broker.local_queue import LocalQueue
from production_server.errors import InvalidInput, Unavailable
from production_server.intake.checking import items_from_json
from production_server.intake.intake import Asked, Intake
from production_server.jobs.database import Database
from production_server.jobs.read import every_item, get_payloads, list_jobs
from production_server.jobs.reconcile import unpublished_chunks
from production_server.jobs.records import Chunk, Job
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.settings import Settings, read_settings
from production_server.storage.storage import Storage


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"STORAGE_ALLOW": f"file://{tmp_path}", "CHUNK_ITEMS": "2"})


@pytest.fixture
def intake(sqlite_database: Database, settings: Settings) -> Intake:
    publisher = LocalQueue()
    return Intake(settings, sqlite_database, Storage(settings.storage_allow), publisher)


@pytest.fixture
def table(small_registry: Registry) -> ModelVersion:
    return small_registry.resolve("table")


@dataclass(frozen=True)
class Lines:
    """A source that is given rows, line by line, as one that reads messages of a stream would be."""

    intake: Intake
    version: ModelVersion

    def take(self, lines: Iterable[str], *, client: str) -> Job:
        rows = [[float(number) for number in line.split()] for line in lines]
        items = items_from_json(self.version, [rows], self.intake.settings)
        return self.intake.accept(self.version, items, Asked(source="lines", client=client))[0]


def test_a_source_submits_rows(intake: Intake, table: ModelVersion) -> None:
    waiting = intake.waiting_messages()

    job = Lines(intake, table).take(["3 7", "4 8", "5 9"], client="somebody")

    assert (job.source, job.total, job.model, job.version) == ("lines", 3, "table", "1")
    assert len(get_payloads(intake.database, job.id, limit=9)) == 3
    assert [item.state for item in every_item(intake.database, job.id)] == ["queued"] * 3
    assert intake.waiting_messages() == waiting + 2
    assert not list(unpublished_chunks(intake.database, chunk_items=2, grace_s=0, is_queue_empty=False))


def test_rows_of_a_source_are_checked_as_any_others(intake: Intake, table: ModelVersion) -> None:
    with pytest.raises(InvalidInput) as refused:
        Lines(intake, table).take(["3 7", "4"], client="somebody")

    assert [fault.field for fault in refused.value.faults] == ["inputs[1]"]
    assert list_jobs(intake.database, limit=9, whose=None) == []


def test_an_idempotency_key_belongs_to_who_asks(intake: Intake, table: ModelVersion) -> None:
    items = items_from_json(table, [[[3, 7]]], intake.settings)

    def ask(client: str) -> tuple[Job, bool]:
        return intake.accept(table, items, Asked(source="test", client=client, idempotency_key="k"))

    first, again, other = ask("one"), ask("one"), ask("two")

    assert (first[0].id == again[0].id, first[0].id == other[0].id) == (True, False)
    assert [is_new for _, is_new in (first, again, other)] == [True, False, True]


class Down(LocalQueue):
    """A publisher whose broker does not answer."""

    def publish(self, chunks: Sequence[Chunk]) -> None:
        raise Unavailable("the broker does not answer")


def test_what_could_not_be_handed_over_is_accepted_and_waits_for_the_reconciler(
    sqlite_database: Database, settings: Settings, table: ModelVersion
) -> None:
    publisher = Down()
    intake = Intake(settings, sqlite_database, Storage(settings.storage_allow), publisher)
    job = Lines(intake, table).take(["3 7"], client="somebody")

    found = list(unpublished_chunks(sqlite_database, chunk_items=2, grace_s=0, is_queue_empty=False))

    assert found == [(job.id, [Chunk(job.id, 0, 1, "high")])]
