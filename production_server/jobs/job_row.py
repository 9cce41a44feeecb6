"""A new job's row, and ids that sort by time."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from production_server.jobs.database import now
from production_server.jobs.priority import decide_priority
from production_server.jobs.tables import job


def insert_job(connection: Connection, job_id: UUID, told: Mapping[str, Any]) -> None:
    """Insert a job that waits: `told` are its model, version, source, client, and what is not as usual."""
    usual = {"id": job_id, "state": "queued", "priority": "normal", "total": 0, "created_at": now()}
    values: dict[str, Any] = usual | dict(told)
    values["effective_priority"] = decide_priority(
        values["priority"], values["total"], is_growing=values.get("is_growing", False)
    )
    connection.execute(insert(job).values(values))


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF000 << 64) | 0x7000 << 64
    return UUID(int=value & ~(0xC000 << 48) | 0x8000 << 48)
