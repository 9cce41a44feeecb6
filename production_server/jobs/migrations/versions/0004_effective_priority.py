"""How a job's chunks travel, beside what was asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("effective_priority", sa.String(length=8), nullable=True))
    # Only jobs that are not over are published again. The release before sent small ones as "high", too.
    op.execute(
        "UPDATE job SET effective_priority = CASE WHEN total <= 16 AND NOT is_growing THEN 'high' ELSE priority END"
        " WHERE state IN ('queued', 'running')"
    )


def downgrade() -> None:
    op.drop_column("job", "effective_priority")
