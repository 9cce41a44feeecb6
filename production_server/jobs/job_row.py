"""A new job's rows, and ids that sort by time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from production_server.jobs.bulk import insert_many
from production_server.jobs.database import now
from production_server.jobs.priority import decide_priority
from production_server.jobs.records import NewJob
from production_server.jobs.tables import item, item_input, job


def insert_job(connection: Connection, job_id: UUID, told: Mapping[str, Any]) -> None:
    """Insert a job that waits: `told` are its model, version, source, client, and what is not as usual."""
    usual = {"id": job_id, "state": "queued", "priority": "normal", "total": 0, "created_at": now()}
    values: dict[str, Any] = usual | dict(told)
    values["effective_priority"] = decide_priority(
        values["priority"], values["total"], is_growing=values.get("is_growing", False)
    )
    connection.execute(insert(job).values(values))


def job_values(new: NewJob) -> dict[str, object]:
    """What `insert_job` is told of a new job."""
    return {
        "model": new.model,
        "version": new.version,
        "source": new.source,
        "client": new.client,
        "idempotency_key": new.idempotency_key,
        "request_digest": new.request_digest,
        "priority": new.priority,
        "total": len(new.items),
        "stream": new.stream,
        "tells_results": new.tells_results,
    }


def insert_items(connection: Connection, job_id: UUID, new: NewJob) -> None:
    """Insert a new job's items and their inputs."""
    insert_many(
        connection,
        item,
        {"job_id": job_id, "state": "queued"},
        ("idx", "name", "expected", "outside_training_range"),
        (
            (index, entry.name, entry.expected, list(entry.outside_training_range) or None)
            for index, entry in enumerate(new.items)
        ),
    )
    insert_many(
        connection,
        item_input,
        {"job_id": job_id},
        ("idx", "payload"),
        ((index, entry.payload) for index, entry in enumerate(new.items)),
    )


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF000 << 64) | 0x7000 << 64
    return UUID(int=value & ~(0xC000 << 48) | 0x8000 << 48)
