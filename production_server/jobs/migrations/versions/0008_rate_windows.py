"""What clients and addresses have used of their limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_window",
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "subject", "kind"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("rate_window")
