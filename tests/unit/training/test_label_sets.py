"""Sets of labels as data of a training: the images of a database, once, by their digest."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete

from production_server.jobs.database import Database
from production_server.jobs.tables import job
from production_server.labels.sets import LabelSet, make_set
from production_server.training.errors import DataError
from production_server.training.label_sets import obtain
from production_server.training.user_images import prepare
from tests.unit.labels.answered import answered
from tests.unit.labels.test_decisions import say
from tests.unit.training.conftest import Transcript

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 12


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((32, 32), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'jobs.sqlite3'}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def kept(database: Database, *, payloads: list[bytes] | None = None) -> LabelSet:
    """A set of a dozen labelled pictures, half of them T-shirts."""
    payloads = payloads or [picture(10 + n) for n in range(COUNT)]
    for n, which in enumerate(answered(database, [0.9] * COUNT, payloads=payloads)):
        say(database, which, "T-shirt/top" if n % 2 else "../bag")
    return make_set(database, "november", "picture", whose=None, client="somebody")


def test_a_set_is_trained_on_and_the_manifest_names_it(
    sqlite_database: Database, environment: dict[str, str], transcript: Transcript, tmp_path: Path
) -> None:
    found = kept(sqlite_database)

    data = obtain("november", transcript, environment=environment)
    description, split = prepare(data.table, "clothes", size=None, seed=1, reporter=transcript)
    told = data.told_in(description)

    assert description.labels == ("../bag", "T-shirt/top")
    assert sum(map(len, (split.train, split.validation, split.test))) == COUNT
    assert [(each.name, each.sha256) for each in told.training_data] == [("labels:november", found.digest)]
    assert told.data.endswith("in labels:november")
    assert data.table.parent == tmp_path / "cache" / "celeriac" / "labels" / found.digest


def test_its_images_are_written_once(
    sqlite_database: Database, environment: dict[str, str], transcript: Transcript
) -> None:
    kept(sqlite_database)
    first = obtain("november", transcript, environment=environment).table.stat()

    second = obtain("november", transcript, environment=environment).table.stat()

    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


def test_a_set_that_is_not_there_or_not_whole_is_one_line(
    sqlite_database: Database, environment: dict[str, str], transcript: Transcript
) -> None:
    with pytest.raises(DataError, match="there is no set of labels"):
        obtain("november", transcript, environment=environment)
    kept(sqlite_database)
    with sqlite_database.write() as connection:
        connection.execute(delete(job))

    with pytest.raises(DataError, match="12 of 12 items were deleted since"):
        obtain("november", transcript, environment=environment)


def test_a_set_of_rows_is_refused(
    sqlite_database: Database, environment: dict[str, str], transcript: Transcript
) -> None:
    kept(sqlite_database, payloads=[b"[1, 2]"] * COUNT)

    with pytest.raises(DataError, match="expected images"):
        obtain("november", transcript, environment=environment)


def test_a_database_that_is_not_there_is_one_line(tmp_path: Path, transcript: Transcript) -> None:
    empty = tmp_path / "empty.sqlite3"
    empty.touch()

    for path, told in ((tmp_path / "none.sqlite3", "no such file"), (empty, "run migrate")):
        with pytest.raises(DataError, match=told):
            obtain("november", transcript, environment={"DATABASE_URL": f"sqlite:///{path}"})
    assert not (tmp_path / "none.sqlite3").exists()
