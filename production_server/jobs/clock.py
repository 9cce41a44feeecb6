"""Comparing stored times with the database's clock, which may be set forward or back meanwhile.

A time that is further ahead than any that was ever stored comes from before the clock was set back.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement

from production_server.jobs.database import now

SLACK_S = 15.0
"""Times that others store may be ahead of ours: another server of a cluster may have another clock."""
LONGEST_PAUSE_S = 60.0
"""Nothing is put off for longer."""


def is_older(at: ColumnElement[Any], age_s: float) -> ColumnElement[bool]:
    """Whether a time is so many seconds ago, or from before the clock was set back; null where there is none."""
    return (at < now() - age_s) | (at > now() + SLACK_S)


def is_ahead(at: ColumnElement[Any], *, longest_s: float = LONGEST_PAUSE_S) -> ColumnElement[bool]:
    """Whether a time until which something was put off has not come; null where there is none.

    `longest_s`: what is further ahead is from before the clock was set back.
    """
    return (at > now()) & (at <= now() + longest_s)
