"""Labels: what people decide of items, which of them they have in hand, and sets of labels to train on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(9), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("predicted", sa.Text(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("chosen", sa.String(8), nullable=False),
        sa.Column("replaces", sa.Integer(), nullable=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("request_digest", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_decision_item", "decision", ["job_id", "idx"])
    op.create_index("ix_decision_model", "decision", ["model", "id"])
    op.create_index("ix_decision_who", "decision", ["model", "who", "id"])
    op.create_index("ux_decision_idempotency", "decision", ["client", "idempotency_key"], unique=True)
    is_undo = sa.text("kind = 'undo'")
    op.create_index(
        "ux_decision_undo",
        "decision",
        ["replaces"],
        unique=True,
        sqlite_where=is_undo,
        postgresql_where=is_undo,
    )
    op.create_table(
        "question",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("chosen", sa.String(8), nullable=False),
        sa.Column("is_drawn", sa.Boolean(), nullable=False),
        sa.Column("holder", sa.String(200), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("undone_by", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "idx"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_question_model", "question", ["model", "lease_until"])
    op.create_table(
        "label_set",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_label_set_name", "label_set", ["name"], unique=True)
    op.create_table(
        "label_set_item",
        sa.Column("set_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("set_id", "job_id", "idx"),
        sa.ForeignKeyConstraint(["set_id"], ["label_set.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_label_set_item_job", "label_set_item", ["job_id"])


def downgrade() -> None:
    for table in ("label_set_item", "label_set", "question", "decision"):
        op.drop_table(table)
