"""The latest answered items of a model that nobody has labelled, and how sure the model is of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from production_server.jobs.again import SOURCE
from production_server.jobs.database import Database
from production_server.jobs.read import frozen
from production_server.jobs.series import Chosen, find_series
from production_server.jobs.tables import decision, item, job
from production_server.labels.records import ItemId
from production_server.labels.standing import is_of, is_word
from production_server.models.tasks.task import Prediction, Task

POOL_ITEMS = 5_000
"""So many items are looked at to find the least sure one."""
POOL_NUMBERS = 2_000_000
"""… or fewer, of a model that keeps many probabilities of each."""
KEPT_S = 5.0
"""So old may be what is known of the pool; what was decided meanwhile is always known."""
MOST_POOLS = 32
TaskOf = Callable[[str], Task | None]
"""The task of a version of the model; None: it was taken away."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Items without a label: of some models not all there are, but the latest."""

    newest: Sequence[ItemId]
    by_margin: Sequence[ItemId]
    """The least sure answer first."""
    is_all: bool
    mark: int
    """The last decision when it was read."""


class Pools:
    """The pools of all models, each read now and then. Safe to share between threads."""

    def __init__(self, database: Database, *, kept_s: float = KEPT_S, most: int = POOL_ITEMS) -> None:
        self._database = database
        self._kept_s = kept_s
        self._most = most
        self._known: dict[tuple[str, str | None], tuple[float, Pool]] = {}
        self._reading = threading.Lock()

    def of(self, model: str, task_of: TaskOf, *, labels: int, whose: str | None) -> Pool:
        """The pool of a model with so many labels, of one client's items, or of all.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._reading:
            read_at, pool = self._known.get((model, whose), (float("-inf"), None))
            if pool is None or time.monotonic() - read_at > self._kept_s:
                most = max(100, min(self._most, POOL_NUMBERS // max(labels, 1)))
                pool = read_pool(self._database, model, task_of, whose=whose, most=most)
                while len(self._known) >= MOST_POOLS:
                    self._known.pop(next(iter(self._known)))
                self._known[model, whose] = time.monotonic(), pool
            return pool

    def forget(self, model: str) -> None:
        """Have the pools of a model read anew when they are asked for."""
        with self._reading:
            self._known = {key: known for key, known in self._known.items() if key[0] != model}


def read_pool(database: Database, model: str, task_of: TaskOf, *, whose: str | None, most: int) -> Pool:
    """Read it anew.

    Raises:
        Unavailable: the database does not answer.
    """
    with database.read() as connection:
        mark = connection.execute(
            select(func.max(decision.c.id)).where(decision.c.model == model)
        ).scalar_one()
        asked = find_series(connection, Chosen(model=model, client=whose))
        query = (
            select(item.c.job_id, item.c.idx, item.c.label, item.c.score, item.c.output, job.c.version)
            .join(job, job.c.id == item.c.job_id)
            .where(item.c.finished_at.is_not(None), item.c.series_id.in_(asked), item.c.label.is_not(None))
            # What a training has answered again is asked about as it was first answered, and labelled once.
            .where(job.c.source != SOURCE)
            .where(~select(decision.c.id).where(is_of(item.c), is_word()).exists())
            .order_by(item.c.finished_at.desc())
            .limit(most + 1)
        )
        rows = connection.execute(query).all()
    margins: dict[ItemId, float] = {}
    tasks: dict[str, Task | None] = {}
    for row in rows[:most]:
        if row.version not in tasks:
            tasks[row.version] = task_of(row.version)
        task = tasks[row.version]
        if task is not None:
            prediction = Prediction(row.label, row.score, frozen(row.output))
            margins[ItemId(row.job_id, row.idx)] = task.margin(prediction)
    return Pool(tuple(margins), tuple(sorted(margins, key=margins.__getitem__)), len(rows) <= most, mark or 0)
