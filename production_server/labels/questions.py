"""Which question is next: the least sure one without near-duplicates, every tenth at random, and nobody's twice."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from sqlalchemy import select

from production_server.jobs.database import Database, now
from production_server.jobs.read import belongs_to, item_columns, item_with_place, to_item
from production_server.jobs.tables import item, item_input, job
from production_server.labels.leases import LEASE_S, held_by_others, in_hand, lease
from production_server.labels.likeness import are_alike, vector_of
from production_server.labels.pool import Pool, Pools
from production_server.labels.records import Chosen, ItemId, Labeller, Order, Question
from production_server.labels.seen import (
    decided_since,
    is_answered,
    labelled_undrawn,
    last_decided,
    note_drawn,
    of_others,
    skipped,
    turn,
)
from production_server.models.registry import Registry
from production_server.models.tasks.task import Task

LOOKED_AT = 20
"""So many questions at most are passed over because they are like those."""
MOST_DRAWN = 1_000
"""Items that have labels and are drawn at random before one is that has none."""
MOST_AT_ONCE = 10


@dataclass(frozen=True)
class Questions:
    """Asks people about what models have answered. Safe to share between threads."""

    database: Database
    registry: Registry
    max_pixels: int
    pools: Pools = field(repr=False)

    def next(self, task: Task, order: Order, *, by: Labeller, count: int = 1) -> list[Question]:
        """Up to `count` questions about a model, which are somebody's for a while; those in his hands come first.

        Raises:
            Unavailable: the database does not answer.
        """
        model = task.manifest.name
        with self.database.read() as connection:
            mine = in_hand(connection, model, by=by)[:count]
        wanted: list[tuple[ItemId, Chosen]] = list(mine)
        while len(wanted) < count:
            but = {which for which, _ in wanted}
            found = self._take_one(task, order, by, but)
            if found is None and order != "second":
                # Perhaps something was answered in this moment: nobody who has nothing to do waits for it.
                self.pools.forget(model)
                found = self._take_one(task, order, by, but)
            if found is None:
                break
            wanted.append(found)
        return self._read(wanted, by)

    def left(self, task: Task, *, by: Labeller) -> tuple[int, bool]:
        """How many items somebody may still be asked about, and whether these are all."""
        pool = self._pool(task, by)
        with self.database.read() as connection:
            gone = decided_since(connection, pool, task.manifest.name)
            gone |= skipped(connection, task.manifest.name, by)
        return sum(which not in gone for which in pool.newest), pool.is_all

    def _pool(self, task: Task, by: Labeller) -> Pool:
        manifest = task.manifest
        labels = manifest.top or len(manifest.labels)
        return self.pools.of(
            manifest.name, lambda number: self._task(manifest.name, number), labels=labels, whose=by.whose
        )

    def _task(self, model: str, number: str) -> Task | None:
        known = {each.manifest.version: each.task for each in self.registry.versions(model)}
        task = known.get(number)
        return task if task is not None and task.is_one_of_its_choices else None

    def _take_one(
        self, task: Task, order: Order, by: Labeller, but: set[ItemId]
    ) -> tuple[ItemId, Chosen] | None:
        """Find an item that nobody has in hand, and give it to somebody."""
        model = task.manifest.name
        pool = self._pool(task, by)
        with self.database.read() as connection:
            gone = but | held_by_others(connection, model, by=by) | skipped(connection, model, by)
            if order != "second":
                gone |= decided_since(connection, pool, model)
            chosen = turn(connection, model) if order == "margin" else order
            recent = last_decided(connection, model, by) | but
            others = of_others(connection, model, by) if order == "second" else []
        candidates = self._candidates(task, pool, chosen, gone, recent, others, by)
        for which in candidates:
            with self.database.write() as connection:
                if not is_answered(connection, which, order, by) and lease(
                    connection, which, model, chosen, by=by
                ):
                    return which, chosen
        return None

    def _candidates(
        self,
        task: Task,
        pool: Pool,
        chosen: Chosen,
        gone: set[ItemId],
        recent: set[ItemId],
        others: Sequence[ItemId],
        by: Labeller,
    ) -> Iterator[ItemId]:
        if chosen == "random":
            yield from self._drawn(task.manifest.name, [each for each in pool.newest if each not in gone], by)
            return
        ordered = {"margin": pool.by_margin, "second": others}.get(chosen, pool.newest)
        left = [each for each in ordered if each not in gone]
        yield from self._unlike(task, left, recent) if chosen == "margin" else left

    def _unlike(self, task: Task, ordered: Sequence[ItemId], recent: set[ItemId]) -> Iterator[ItemId]:
        """The same items; those that are like what somebody has just answered come last."""
        seen = [vector for each in recent if (vector := self._vector(task, each)) is not None]
        passed_over = []
        for place, which in enumerate(ordered):
            vector = self._vector(task, which) if seen and place < LOOKED_AT else None
            if vector is not None and any(are_alike(vector, each) for each in seen):
                passed_over.append(which)
            else:
                yield which
        yield from passed_over

    def _vector(self, task: Task, which: ItemId) -> np.ndarray | None:
        return _vector_once(self.database, task, which, self.max_pixels)

    def _drawn(self, model: str, open_: Sequence[ItemId], by: Labeller) -> Iterator[ItemId]:
        """Items drawn at random of all that are answered: of one that has a label already nobody is asked again."""
        with self.database.read() as connection:
            labelled = labelled_undrawn(connection, model, by)
        left = list(open_)
        drawn: list[ItemId] = []
        random.shuffle(labelled)
        random.shuffle(left)
        while left and labelled and len(drawn) < MOST_DRAWN:
            if random.random() * (len(left) + len(labelled)) < len(left):  # noqa: S311  # it is no secret
                break
            drawn.append(labelled.pop())
        if drawn:
            with self.database.write() as connection:
                note_drawn(connection, drawn, model)
        yield from left

    def _read(self, wanted: Sequence[tuple[ItemId, Chosen]], by: Labeller) -> list[Question]:
        """The questions themselves, in order."""
        asked = []
        with self.database.read() as connection:
            until = connection.execute(select(now())).scalar_one() + LEASE_S
            for which, chosen in wanted:
                query = (
                    select(*item_columns, job.c.version)
                    .select_from(item_with_place.join(job, job.c.id == item.c.job_id))
                    .where(item.c.job_id == which.job_id, item.c.idx == which.idx)
                    .where(*belongs_to(job, by.whose))
                )
                row = connection.execute(query).one_or_none()
                found = None if row is None else to_item(row)
                if row is None or found is None or found.prediction is None:
                    continue
                asked.append(
                    Question(
                        item=which,
                        version=row.version,
                        name=found.name,
                        url=found.url,
                        prediction=found.prediction,
                        chosen=chosen,
                        until=until,
                    )
                )
        return asked


@lru_cache(maxsize=512)
def _vector_once(database: Database, task: Task, which: ItemId, max_pixels: int) -> np.ndarray | None:
    """An item's vector; what lies in a bucket is not fetched for it."""
    is_it = (item_input.c.job_id == which.job_id, item_input.c.idx == which.idx)
    with database.read() as connection:
        payload = connection.execute(select(item_input.c.payload).where(*is_it)).scalar_one_or_none()
    return None if payload is None else vector_of(task, bytes(payload), max_pixels=max_pixels)
