"""Personas: faces of finished items, who people say they are, and the classifiers made of that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "persona_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("learnt", sa.Integer(), nullable=False),
        sa.Column("waiting_since", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "face_mark",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("read_to", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("job_id"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "face",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(9), nullable=False),
        sa.Column("box", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("landmarks", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("sharpness", sa.Double(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ux_face_place", "face", ["job_id", "idx", "place"], unique=True)
    op.create_index("ix_face_embedder", "face", ["model", "version", "id"])
    op.create_table(
        "persona",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("made_at", sa.Double(), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("merged_into", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["merged_into"], ["persona.id"], ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    is_shown = sa.text("merged_into IS NULL")
    op.create_index(
        "ux_persona_name",
        "persona",
        ["name"],
        unique=True,
        sqlite_where=is_shown,
        postgresql_where=is_shown,
    )
    op.create_index("ix_persona_merged", "persona", ["merged_into"])
    op.create_table(
        "persona_decision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("face_id", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("persona_id", sa.Integer(), nullable=True),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("predicted_id", sa.Integer(), nullable=True),
        sa.Column("cosine", sa.Double(), nullable=True),
        sa.Column("classifier", sa.Integer(), nullable=True),
        sa.Column("replaces", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["face_id"], ["face.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["persona_id"], ["persona.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["predicted_id"], ["persona.id"], ondelete="SET NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_persona_decision_face", "persona_decision", ["face_id", "id"])
    op.create_index("ix_persona_decision_persona", "persona_decision", ["persona_id"])
    op.create_index("ix_persona_decision_predicted", "persona_decision", ["predicted_id"])
    op.create_index("ix_persona_decision_batch", "persona_decision", ["batch"])
    op.create_index("ix_persona_decision_who", "persona_decision", ["client", "who", "id"])
    is_undo = sa.text("kind = 'undo'")
    op.create_index(
        "ux_persona_decision_undo",
        "persona_decision",
        ["replaces"],
        unique=True,
        sqlite_where=is_undo,
        postgresql_where=is_undo,
    )
    op.create_table(
        "persona_classifier",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(9), nullable=False),
        sa.Column("mark", sa.Integer(), nullable=False),
        sa.Column("personas", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("means", sa.LargeBinary(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("scale", sa.Double(), nullable=False),
        sa.Column("bias", sa.Double(), nullable=False),
        sa.Column("strangers_named", sa.Integer(), nullable=False),
        sa.Column("strangers", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.Double(), nullable=False),
        sa.Column("last_face", sa.Integer(), nullable=False),
        sa.Column("judged_to", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("gained", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_persona_classifier_model", "persona_classifier", ["model", "version", "number"])
    op.create_table(
        "verdict",
        sa.Column("face_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("persona_id", sa.Integer(), nullable=True),
        sa.Column("nearest_id", sa.Integer(), nullable=False),
        sa.Column("cosine", sa.Double(), nullable=False),
        sa.Column("classifier", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("face_id"),
        sa.ForeignKeyConstraint(["face_id"], ["face.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["persona_id"], ["persona.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["nearest_id"], ["persona.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_verdict_persona", "verdict", ["persona_id", "cosine"])
    op.create_index("ix_verdict_nearest", "verdict", ["nearest_id"])


def downgrade() -> None:
    for table in (
        "verdict",
        "persona_classifier",
        "persona_decision",
        "persona",
        "face",
        "face_mark",
        "persona_state",
    ):
        op.drop_table(table)
