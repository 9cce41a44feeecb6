"""Rollouts: versions that channels are to name when workers have loaded them. Canaries, and what is seen of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollout",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("version", sa.String(9), nullable=False),
        sa.Column("before", sa.String(9), nullable=True),
        sa.Column("percent", sa.Double(), nullable=True),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("told", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("despite", sa.String(255), nullable=True),
        sa.Column("actor", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("replay", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("replay_until", sa.Double(), nullable=True),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_rollout_state", "rollout", ["state", "id"])
    op.create_index("ix_rollout_model", "rollout", ["model", "id"])
    op.create_table(
        "observation",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("version", sa.String(9), nullable=False),
        sa.Column("work", sa.String(8), nullable=False),
        sa.Column("process", sa.Uuid(), nullable=False),
        sa.Column("counts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model", "since", "version", "work", "process"),
        sqlite_with_rowid=False,
    )
    for table in ("channel", "channel_event"):
        op.add_column(table, sa.Column("percent", sa.Double(), nullable=True))


def downgrade() -> None:
    for table in ("channel_event", "channel"):
        op.drop_column(table, "percent")
    op.drop_table("observation")
    op.drop_table("rollout")
