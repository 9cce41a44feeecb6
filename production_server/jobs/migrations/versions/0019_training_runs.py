"""Training runs, and which items they have answered again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "training_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("why", sa.String(8), nullable=False),
        sa.Column("actor", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("policy", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("step", sa.String(8), nullable=False),
        sa.Column("label_mark", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("held_out", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("said", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("log", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("import_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.String(9), nullable=True),
        sa.Column("rollout_id", sa.Uuid(), nullable=True),
        sa.Column("answer_job", sa.Uuid(), nullable=True),
        sa.Column("change", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_training_run_model", "training_run", ["model", "id"])
    op.create_index(
        "ux_training_run_open",
        "training_run",
        ["model"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "answered_again",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("truth", sa.Text(), nullable=True),
        sa.Column("new_idx", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "place"),
        sa.ForeignKeyConstraint(["run_id"], ["training_run.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_answered_again_job", "answered_again", ["job_id", "idx"])


def downgrade() -> None:
    op.drop_table("answered_again")
    op.drop_table("training_run")
