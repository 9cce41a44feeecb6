"""Items that lie in buckets, scans that make them, and when items were finished."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("is_growing", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("item", sa.Column("finished_at", sa.Double(), nullable=True))
    op.create_table(
        "item_reference",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("etag", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "idx"),
    )
    op.create_table(
        "classified_object",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("idx", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_classified_object_job", "classified_object", ["job_id", "idx"], unique=False)
    op.create_table(
        "scan",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("pattern", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=9), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("cursor", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("listed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("matched", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_scan_state", "scan", ["state", "id"], unique=False)
    op.create_index(
        "ux_scan_listing",
        "scan",
        ["url", "pattern", "model", "version", "again", "dry_run"],
        unique=True,
        sqlite_where=sa.text("state = 'listing'"),
        postgresql_where=sa.text("state = 'listing'"),
    )


def downgrade() -> None:
    op.drop_index(
        "ux_scan_listing",
        table_name="scan",
        sqlite_where=sa.text("state = 'listing'"),
        postgresql_where=sa.text("state = 'listing'"),
    )
    op.drop_index("ix_scan_state", table_name="scan")
    op.drop_table("scan")
    op.drop_index("ix_classified_object_job", table_name="classified_object")
    op.drop_table("classified_object")
    op.drop_table("item_reference")
    op.drop_column("item", "finished_at")
    op.drop_column("job", "is_growing")
