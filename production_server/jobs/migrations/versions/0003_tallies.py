"""Counts of results by time, label and score, and what a search for results wants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=9), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_series", "series", ["model", "version", "source"], unique=True)
    op.create_table(
        "tally_minute",
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "series_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tally_hour",
        sa.Column("hour", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenth", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "series_id", "tenth", "result"),
        sqlite_with_rowid=False,
    )
    op.add_column("item", sa.Column("series_id", sa.Integer(), nullable=True))
    _count_what_is_there()
    op.create_index(
        "ix_item_finished",
        "item",
        ["finished_at", "series_id", "label", "score"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NOT NULL"),
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "ix_item_reference_url",
        "item_reference",
        ["url"],
        unique=False,
        postgresql_ops={"url": "text_pattern_ops"},
    )


def _count_what_is_there() -> None:
    """Count the results of releases that did not; before revision 0002 an item's time was not kept: its job's then."""
    op.execute("INSERT INTO series (model, version, source) SELECT DISTINCT model, version, source FROM job")
    op.execute(
        "UPDATE item SET series_id = (SELECT series.id FROM job JOIN series ON series.model = job.model"
        " AND series.version = job.version AND series.source = job.source WHERE job.id = item.job_id),"
        " finished_at = coalesce(finished_at,"
        " (SELECT coalesce(job.finished_at, job.created_at) FROM job WHERE job.id = item.job_id))"
        " WHERE state IN ('succeeded', 'failed')"
    )
    # PostgreSQL rounds where it casts, SQLite cuts off: after `floor` both do the same.
    minute, hour, tenth = (
        f"CAST(floor({what}) AS INTEGER)" for what in ("finished_at / 60", "finished_at / 3600", "score * 10")
    )
    is_success = "CASE WHEN state = 'succeeded' THEN"
    bounded = f"CASE WHEN score >= 1 THEN 9 WHEN score < 0 THEN 0 ELSE {tenth} END"
    op.execute(
        f"INSERT INTO tally_minute SELECT {minute}, series_id, sum({is_success} 1 ELSE 0 END),"  # noqa: S608
        f" sum({is_success} 0 ELSE 1 END) FROM item WHERE series_id IS NOT NULL GROUP BY 1, 2"
    )
    op.execute(
        f"INSERT INTO tally_hour SELECT {hour}, series_id, {is_success} {bounded} ELSE -1 END,"  # noqa: S608
        f" {is_success} label ELSE coalesce(error_code, 'unknown') END, count(*)"
        " FROM item WHERE series_id IS NOT NULL GROUP BY 1, 2, 3, 4"
    )


def downgrade() -> None:
    op.drop_index("ix_item_reference_url", table_name="item_reference")
    op.drop_index("ix_item_finished", table_name="item")
    op.drop_column("item", "series_id")
    op.drop_table("tally_hour")
    op.drop_table("tally_minute")
    op.drop_table("series")
