"""API keys, and whose scans and counted results are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SCAN = ("url", "pattern", "model", "version", "again", "dry_run")
_SERIES = ("model", "version", "source")


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.Column("parent", sa.String(12), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    # Until now all clients were one.
    for table in ("scan", "series"):
        client = sa.Column("client", sa.String(64), server_default=sa.text("'anonymous'"), nullable=False)
        op.add_column(table, client)
    _index_scans("client", *_SCAN)
    op.drop_index("ux_series", table_name="series")
    op.create_index("ux_series", "series", [*_SERIES, "client"], unique=True)


def downgrade() -> None:
    # The release before lets everybody in, and knows one client: of several that have the same listed, or the same
    # counted, it would have to take one.
    op.drop_index("ux_series", table_name="series")
    op.create_index("ux_series", "series", list(_SERIES), unique=True)
    _index_scans(*_SCAN)
    for table in ("series", "scan"):
        op.drop_column(table, "client")
    op.drop_table("api_key")


def _index_scans(*columns: str) -> None:
    op.drop_index("ux_scan_listing", table_name="scan")
    is_listing = sa.text("state = 'listing'")
    op.create_index(
        "ux_scan_listing",
        "scan",
        list(columns),
        unique=True,
        sqlite_where=is_listing,
        postgresql_where=is_listing,
    )
