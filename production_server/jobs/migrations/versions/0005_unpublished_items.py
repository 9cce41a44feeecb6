"""From which item on the broker may know nothing of a job, and since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("unpublished_from", sa.Integer(), nullable=True))
    op.add_column("job", sa.Column("unpublished_since", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "unpublished_since")
    op.drop_column("job", "unpublished_from")
