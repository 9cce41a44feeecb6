from __future__ import annotations

from sqlalchemy import text

from production_server.jobs.database import Database
from production_server.web.edge.waits import BoundedWaits, wait_until_over
from tests.unit.jobs.test_jobs import accept


def test_a_job_that_is_waited_for_stays_accepted_when_the_database_falls_away(
    sqlite_database: Database,
) -> None:
    job = accept(sqlite_database, 1)
    with sqlite_database.write() as connection:
        connection.execute(text("ALTER TABLE job RENAME TO gone"))

    assert wait_until_over(job, 5, place=BoundedWaits(1).place(), database=sqlite_database) == job
