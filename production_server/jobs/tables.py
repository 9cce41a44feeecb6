"""The tables. A change here needs a migration; a test compares the two on SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData()

# Times are seconds since the Unix epoch by the database's clock (`database.now`).
job = Table(
    "job",
    metadata,
    Column("id", Uuid, primary_key=True),  # UUIDv7: sorts by time of submission
    Column("model", String(64), nullable=False),
    Column("version", String(9), nullable=False),
    Column("source", String(64), nullable=False),  # the front door it came through
    Column("client", String(64), nullable=False),
    Column("idempotency_key", String(255)),
    Column("request_digest", String(64)),  # SHA-256 of what was asked under that key
    Column("priority", String(8), nullable=False),  # normal | high
    Column("state", String(9), nullable=False),  # queued | running | finished | cancelled
    Column("total", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("cancelled", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Double, nullable=False),
    Column("published_at", Double),  # when its queued items were last given to the broker
    Column("started_at", Double),
    Column("finished_at", Double),
    CheckConstraint("succeeded + failed + cancelled <= total", name="ck_job_counts"),
    Index("ux_job_idempotency", "client", "idempotency_key", unique=True),
    Index("ix_job_state", "state", "id"),
    Index("ix_job_model", "model", "id"),
)

item = Table(
    "item",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("name", String(255)),  # file name, where there is one
    Column("expected", Text),  # the true label, where the client knows it
    Column("outside_training_range", JSON(none_as_null=True)),  # names of features
    Column("state", String(9), nullable=False),  # queued | running | succeeded | failed | cancelled
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lease_token", Uuid),
    Column("lease_until", Double),
    Column("label", Text),
    Column("score", Double),
    # Probabilities in the order of the labels; of a model with `top` in its manifest its best labels only, best first:
    # [place among the labels, probability].
    Column("output", JSON(none_as_null=True)),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("ms", Double),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index(
        "ix_item_lease",
        "lease_until",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
)

# Inputs never change, items do: apart from each other, an update does not rewrite the bytes of an image.
item_input = Table(
    "item_input",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("payload", LargeBinary, nullable=False),  # a row as JSON, or an image file
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
)

worker = Table(
    "worker",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("warm", JSON, nullable=False),  # model/version that it has loaded
    Column("items_done", Integer, nullable=False),
)
