"""Objects wait in the database, by bucket, with what is known of buckets that do not answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Objects of jobs that are not over are still told of by messages: whoever gets one lets them wait here (`adopt`).
    op.create_table(
        "object_chunk",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("start", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stop", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("is_high", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("missing_since", sa.Double(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "start"),
    )
    op.create_index("ix_object_chunk_bucket", "object_chunk", ["bucket"])
    op.create_table(
        "away_bucket",
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("next_try_at", sa.Double(), nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("bucket"),
    )
    op.add_column("item_reference", sa.Column("fault", sa.Text(), nullable=True))
    op.add_column("scan", sa.Column("vain_tries", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "job",
        sa.Column(
            "of_objects", sa.Boolean(create_constraint=False), server_default=sa.false(), nullable=False
        ),
    )


def downgrade() -> None:
    # The release before publishes what its jobs still lack.
    op.drop_column("job", "of_objects")
    op.drop_column("scan", "vain_tries")
    op.drop_column("item_reference", "fault")
    op.drop_table("away_bucket")
    op.drop_index("ix_object_chunk_bucket", table_name="object_chunk")
    op.drop_table("object_chunk")
