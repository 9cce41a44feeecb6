"""Personas: what is promised of each model, and decisions that were carried over to another version's faces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "persona_promise",
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("one_in", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model"),
        sqlite_with_rowid=False,
    )
    op.add_column(
        "persona_classifier", sa.Column("one_in", sa.Integer(), nullable=False, server_default="100")
    )
    op.add_column("face", sa.Column("picture", sa.LargeBinary(32), nullable=True))
    op.create_index("ix_face_picture", "face", ["picture"])
    op.add_column("persona_decision", sa.Column("origin", sa.Integer(), nullable=True))
    op.create_index(
        "ix_persona_decision_origin",
        "persona_decision",
        ["origin"],
        sqlite_where=sa.text("origin IS NOT NULL"),
        postgresql_where=sa.text("origin IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_persona_decision_origin", "persona_decision")
    op.drop_column("persona_decision", "origin")
    op.drop_index("ix_face_picture", "face")
    op.drop_column("face", "picture")
    op.drop_column("persona_classifier", "one_in")
    op.drop_table("persona_promise")
