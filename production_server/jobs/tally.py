"""Counting results as they are stored, in the same transaction: by minute, and by hour, label and score, or value.

What a dashboard shows of any number of items is read from these counts, never from the items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from production_server.jobs.database import dialect_of
from production_server.jobs.records import Failure, Success
from production_server.jobs.tables import tally_hour, tally_minute
from production_server.models.tasks.label_sets import labels_in

MINUTE_S = 60
HOUR_S = 3600
TENTHS = 10
FAILED = -1
"""The tenth of what has no score."""
ONE_OF_SEVERAL = -2
"""The tenth of each of several labels of an item, which is counted by its score beside them; of none, without label."""
VALUE = -3
"""The tenth of values: the result is the bin that they are in."""


def count_results(
    connection: Connection, series_id: int, finished_at: float, results: Iterable[Success | Failure]
) -> None:
    """Count results that were stored with this time of the database's clock. Last in a transaction: it locks counts."""
    by_result: Counter[tuple[int, str]] = Counter()
    items = failed = 0
    for result in results:
        items += 1
        failed += isinstance(result, Failure)
        by_result.update(_places(result))
    if not items:
        return
    minute = {"minute": int(finished_at // MINUTE_S), "series_id": series_id}
    counts = {"succeeded": items - failed, "failed": failed}
    hour = {"hour": int(finished_at // HOUR_S), "series_id": series_id}
    _add(connection, tally_minute, [minute | counts], counts)
    # In one order, whoever counts: two who did it in different ones could wait for each other.
    rows = [
        hour | {"tenth": tenth, "result": result, "total": count}
        for (tenth, result), count in sorted(by_result.items())
    ]
    _add(connection, tally_hour, rows, ["total"])


def tenth_of(score: float) -> int:
    """Which of ten equal parts a score lies in: 0 for [0, 0.1), … 9 for [0.9, 1]; beyond them the first or last one.

    Scores are probabilities, but for those of models that answer something else.
    """
    return min(max(int(score * TENTHS), 0), TENTHS - 1)


def _places(result: Success | Failure) -> list[tuple[int, str]]:
    if isinstance(result, Failure):
        return [(FAILED, result.error_code)]
    if result.bin is not None:
        return [(VALUE, str(result.bin))]
    tenth, several = tenth_of(result.score or 0.0), labels_in(result.label)
    if several is None:
        # What has no label is counted all the same.
        return [(tenth, result.label or "")]
    return [(tenth, ""), *((ONE_OF_SEVERAL, label) for label in several or [""])]


def _add(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], counted: Iterable[str]
) -> None:
    statement = dialect_of(connection).insert(table)
    added = {name: table.c[name] + statement.excluded[name] for name in counted}
    keys = list(table.primary_key.columns)
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=added), rows)
