from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from production_server.broker.links import LocalLink
from production_server.broker.local_queue import LocalQueue
from production_server.broker.transport import Transport
from production_server.intake.intake import Asked
from production_server.jobs.read import get_job
from production_server.jobs.records import Chunk, Job, NewItem
from production_server.parts import SharedParts
from production_server.settings import Settings, read_settings
from production_server.worker.embedded import EmbeddedWorker
from testing.processes import wait_until

ASKED = Asked(source="test", client="c")


@dataclass
class Place:
    """What a web process and its embedded worker share."""

    settings: Settings

    def __post_init__(self) -> None:
        self.queue, link = LocalQueue(), LocalLink()
        self.shared = SharedParts.build(self.settings, Transport(self.queue, link))
        self.worker: EmbeddedWorker | None = None
        self._link = link

    def start_worker(self) -> None:
        self.worker = EmbeddedWorker(self.shared, self.queue, self._link)
        self.worker.start()

    def submit(self, count: int) -> Job:
        version = self.shared.registry.resolve("table")
        return self.shared.intake.accept(version, [NewItem(b"[0,1]")] * count, ASKED)[0]

    def wait_for(self, job: Job) -> Job:
        wait_until(
            lambda: get_job(self.shared.database, job.id, whose=None).state == "finished",
            what="it is finished",
        )
        return get_job(self.shared.database, job.id, whose=None)

    def close(self) -> None:
        if self.worker is not None:
            self.worker.stop()
        self.shared.close()


@pytest.fixture
def settings(tmp_path: Path, small_models: Path) -> Settings:
    return read_settings({"STATE_DIR": str(tmp_path), "MODEL_STORE": str(small_models), "CHUNK_ITEMS": "8"})


@pytest.fixture
def place(settings: Settings) -> Iterator[Place]:
    made = Place(settings)
    made.shared.database.migrate()
    made.shared.standings.look_again()
    yield made
    made.close()


def test_what_is_published_is_worked_off(place: Place) -> None:
    place.start_worker()

    jobs = [place.submit(count) for count in (100, 1, 30)]

    assert [place.wait_for(job).succeeded for job in jobs] == [100, 1, 30]


def test_what_was_published_in_a_process_that_died_is_worked_off_by_the_next_one(
    place: Place, settings: Settings
) -> None:
    job = place.submit(40)
    following = Place(settings)

    following.start_worker()

    assert following.wait_for(job).succeeded == 40
    following.close()


def test_a_chunk_that_fails_for_no_known_reason_ends_no_thread(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.start_worker()
    nonsense = Chunk("no job", 0, 1, "high")  # type: ignore[arg-type]

    with caplog.at_level(logging.CRITICAL + 1, logger="production_server.worker.embedded"):
        place.queue.publish([nonsense] * 10)
        job = place.submit(20)

        assert place.wait_for(job).succeeded == 20


NO_CELERY = """
import sys
import production_server.run.server
import production_server.worker.embedded
from production_server.broker.transport import create_transport
from production_server.settings import read_settings

create_transport(read_settings({}))
print(sorted({name.partition(".")[0] for name in sys.modules} & {"celery", "kombu", "amqp", "billiard"}))
"""


def test_without_a_broker_nothing_of_celery_is_imported() -> None:
    said = subprocess.run(
        [sys.executable, "-c", NO_CELERY],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == "[]\n"
