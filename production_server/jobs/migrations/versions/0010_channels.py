"""Channels, retired versions, and what became of them; what workers cannot load."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channel",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("version", sa.String(9), nullable=False),
        sa.Column("set_at", sa.Double(), nullable=False),
        sa.Column("set_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("model", "channel"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "retired_version",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(9), nullable=False),
        sa.Column("retired_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "channel_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(32), nullable=True),
        sa.Column("before", sa.String(9), nullable=True),
        sa.Column("after", sa.String(9), nullable=True),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("report", sa.String(255), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_channel_event_model", "channel_event", ["model", "id"])
    op.add_column("worker", sa.Column("failing", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("worker", "failing")
    op.drop_table("channel_event")
    op.drop_table("retired_version")
    op.drop_table("channel")
