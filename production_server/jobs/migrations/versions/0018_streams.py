"""Streams: messages that were taken, what is yet to be told of them, and who reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("stream", sa.String(64), nullable=True))
    op.add_column("job", sa.Column("tells_results", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_job_stream",
        "job",
        ["stream"],
        sqlite_where=sa.text("stream IS NOT NULL AND finished_at IS NULL"),
        postgresql_where=sa.text("stream IS NOT NULL AND finished_at IS NULL"),
    )
    op.create_table(
        "arrival",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("stream", sa.String(64), nullable=False),
        sa.Column("place", sa.String(255), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("request_id", sa.String(255), nullable=True),
        sa.Column("sent_at", sa.Double(), nullable=False),
        sa.Column("taken_at", sa.Double(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("first_idx", sa.Integer(), nullable=True),
        sa.Column("item_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_arrival_job", "arrival", ["job_id", "first_idx"])
    op.create_index(
        "ix_arrival_refused",
        "arrival",
        ["stream", "taken_at"],
        sqlite_where=sa.text("error_code IS NOT NULL"),
        postgresql_where=sa.text("error_code IS NOT NULL"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stream", sa.String(64), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("runs", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("arrival", sa.LargeBinary(32), nullable=True),
        sa.Column("message", sa.LargeBinary(), nullable=True),
        sa.Column("headers", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_stream", "delivery", ["stream", "id"])
    op.create_table(
        "stream_turn",
        sa.Column("stream", sa.String(64), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stream_member",
        sa.Column("stream", sa.String(64), nullable=False),
        sa.Column("process", sa.String(255), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("told", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("stream", "process"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("stream_member", "stream_turn", "delivery", "arrival"):
        op.drop_table(table)
    op.drop_index("ix_job_stream", table_name="job")
    op.drop_column("job", "tells_results")
    op.drop_column("job", "stream")
