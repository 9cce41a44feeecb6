"""Imports: files that are on their way to being versions, and which workers take them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_import",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("file", sa.String(255), nullable=False),
        sa.Column("asked", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("actor", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("needs_tensorflow", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("said", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("notes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("manifest", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("report", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_code", sa.String(64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("faults", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_model_import_state", "model_import", ["state", "id"])
    op.add_column("worker", sa.Column("imports", sa.String(8), nullable=True))


def downgrade() -> None:
    op.drop_column("worker", "imports")
    op.drop_table("model_import")
