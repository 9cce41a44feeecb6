"""The tables. A change here needs a migration; a test compares the two on SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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
    false,
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
    Column("priority", String(8), nullable=False),  # normal | high, as it was asked for
    Column("state", String(9), nullable=False),  # queued | running | finished | cancelled
    Column("total", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("cancelled", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Double, nullable=False),
    Column("published_at", Double),  # when its queued items were last given to the broker
    Column("started_at", Double),
    Column("finished_at", Double),
    # A scan still adds items: a job that grows is not over when all that it has is done.
    Column("is_growing", Boolean(create_constraint=False), nullable=False, server_default=false()),
    # How its chunks travel, as was decided when its items were stored; null: by a release that did not.
    Column("effective_priority", String(8)),
    # Items from this one on wait for somebody who publishes them, and since when; null: none do (`publication`).
    Column("unpublished_from", Integer),
    Column("unpublished_since", Double),
    # Its items refer to objects: they wait as object_chunk, and no message speaks of them.
    Column("of_objects", Boolean(create_constraint=False), nullable=False, server_default=false()),
    # The stream whose messages it was made of, and whether that is told what becomes of them.
    Column("stream", String(64)),
    Column("tells_results", Boolean(create_constraint=False), nullable=False, server_default=false()),
    CheckConstraint("succeeded + failed + cancelled <= total", name="ck_job_counts"),
    Index("ux_job_idempotency", "client", "idempotency_key", unique=True),
    Index("ix_job_state", "state", "id"),
    Index("ix_job_model", "model", "id"),
    # What of a stream waits.
    Index(
        "ix_job_stream",
        "stream",
        sqlite_where=text("stream IS NOT NULL AND finished_at IS NULL"),
        postgresql_where=text("stream IS NOT NULL AND finished_at IS NULL"),
    ),
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
    Column("label", Text),  # of several at once: as models.tasks.label_sets writes them
    Column("score", Double),
    # What the model's task keeps of its answer: see its module in models/tasks.
    Column("output", JSON(none_as_null=True)),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("ms", Double),
    # Both only of an item that succeeded or failed.
    Column("finished_at", Double),
    Column("series_id", Integer),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    # The latest results, and those that a search wants: what it asks for is read from the index, not from the rows.
    # What only waits or runs is not in it, so claims need not touch it.
    Index(
        "ix_item_finished",
        "finished_at",
        "series_id",
        "label",
        "score",
        sqlite_where=text("finished_at IS NOT NULL"),
        postgresql_where=text("finished_at IS NOT NULL"),
    ),
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

# Of an item whose input lies in a bucket: where, and what it was when it was listed. Instead of a row in item_input.
item_reference = Table(
    "item_reference",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("url", Text, nullable=False),
    Column("etag", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("fault", Text),  # why nobody can ask for it; its URL is then one to read, not to fetch
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    # In the order of code points, whatever the database's language: a search wants all that begins alike.
    Index("ix_item_reference_url", "url", postgresql_ops={"url": "text_pattern_ops"}),
)

# Items of one job whose objects lie in one bucket: what is fetched together. They wait here, in no queue of the broker.
object_chunk = Table(
    "object_chunk",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("stop", Integer, nullable=False),
    Column("bucket", Text, nullable=False),  # s3://photos
    Column("is_high", Boolean(create_constraint=False), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),  # after which something was missing
    # Since when some of it does not come, though others of its bucket do, and what was said of the last try.
    Column("missing_since", Double),
    Column("message", Text),
    Column("lease_token", Uuid),
    Column("lease_until", Double),  # without a token: when it is tried again
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ix_object_chunk_bucket", "bucket"),
)

# Buckets that do not answer: of each one chunk at a time asks again, and all others wait.
away_bucket = Table(
    "away_bucket",
    metadata,
    Column("bucket", Text, primary_key=True),
    Column("since", Double, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("next_try_at", Double, nullable=False),
    Column("lease_token", Uuid),  # of the chunk that asks
    Column("lease_until", Double),
)

# Which item has which object, as it was, for which version of a model: whoever tells of it again makes no second one.
classified_object = Table(
    "classified_object",
    metadata,
    # SHA-256 over model, version, URL, etag and client: URLs have up to 2 kB, and there may be 10^8 of them.
    Column("digest", LargeBinary(32), primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("idx", Integer, nullable=False),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ix_classified_object_job", "job_id", "idx"),
)

# A listing that becomes the job of the same id, page by page; of a dry run there is no job.
scan = Table(
    "scan",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client", String(64), nullable=False, server_default=text("'anonymous'")),
    Column("url", Text, nullable=False),
    Column("pattern", String(255), nullable=False),
    Column("model", String(64), nullable=False),
    Column("version", String(9), nullable=False),
    Column("again", Boolean(create_constraint=False), nullable=False),
    Column("dry_run", Boolean(create_constraint=False), nullable=False),
    Column("state", String(9), nullable=False),  # listing | listed | failed | cancelled
    Column("cursor", Text, nullable=False, server_default=text("''")),  # behind which object to go on
    Column("listed", BigInteger, nullable=False, server_default=text("0")),  # objects that were looked at
    Column(
        "skipped", BigInteger, nullable=False, server_default=text("0")
    ),  # … that match, and were done already
    Column("matched", BigInteger, nullable=False, server_default=text("0")),  # … that became items, or would
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("lease_token", Uuid),
    Column("lease_until", Double),
    # Why it has failed; of one that lists, why it does not go on: `lease_until` is when it is tried again.
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("vain_tries", Integer, nullable=False, server_default=text("0")),  # in a row
    Index("ix_scan_state", "state", "id"),
    # Whoever asks for what is being scanned already gets that scan.
    Index(
        "ux_scan_listing",
        "client",
        "url",
        "pattern",
        "model",
        "version",
        "again",
        "dry_run",
        unique=True,
        sqlite_where=text("state = 'listing'"),
        postgresql_where=text("state = 'listing'"),
    ),
)

# Results that belong together: of one version of a model, by one front door, of one client. Rows are never deleted.
series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String(64), nullable=False),
    Column("version", String(9), nullable=False),
    Column("source", String(64), nullable=False),
    Column("client", String(64), nullable=False, server_default=text("'anonymous'")),
    Index("ux_series", "model", "version", "source", "client", unique=True),
)

# How many items were finished in each minute …
tally_minute = Table(
    "tally_minute",
    metadata,
    Column("minute", Integer, primary_key=True, autoincrement=False),  # minutes since the Unix epoch
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# … and in each hour with which result.
tally_hour = Table(
    "tally_hour",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),  # hours since the Unix epoch
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column(
        "tenth", Integer, primary_key=True, autoincrement=False
    ),  # of the score: 0 to 9; -1 of failed items, -2 of each of several labels, -3 of values
    Column(
        "result", Text, primary_key=True
    ),  # the label; of failed items their error's code; of values their bin
    Column("total", Integer, nullable=False),  # items
    sqlite_with_rowid=False,
)

worker = Table(
    "worker",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("warm", JSON, nullable=False),  # model/version that it has loaded
    Column("items_done", Integer, nullable=False),
    Column("imports", String(8)),  # onnx | all; null: no file of a model
    # Why it has not loaded what it should have, by model/version; null: by a release that did not tell.
    Column("failing", JSON(none_as_null=True)),
    # Where it takes interactive calls, and by which protocol; null: it is a web process as well.
    Column("calls", JSON(none_as_null=True)),
)

# Which version a channel of a model names. A model without a row for `stable` serves its newest version.
channel = Table(
    "channel",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("channel", String(32), primary_key=True),
    Column("version", String(9), nullable=False),
    Column("set_at", Double, nullable=False),
    Column("set_by", String(64), nullable=False),  # a client
    Column("percent", Double),  # of the canary: what it gets of the work that asks for no version; null: none
    sqlite_with_rowid=False,
)

# Which versions take no new work. The row of one whose files were deleted stays.
retired_version = Table(
    "retired_version",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("version", String(9), primary_key=True),
    Column("retired_at", Double, nullable=False),
    sqlite_with_rowid=False,
)

# A version that a channel is to name as soon as every worker has loaded it, and what became of that.
rollout = Table(
    "rollout",
    metadata,
    Column("id", Uuid, primary_key=True),  # UUIDv7
    Column("model", String(64), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("version", String(9), nullable=False),
    Column("before", String(9)),  # what the channel named then; null: nothing
    Column("percent", Double),  # of a canary
    Column("state", String(9), nullable=False),  # loading | live | refused | overtaken
    Column("told", Text, nullable=False, server_default=text("''")),  # why it did not become live
    Column("reason", Text, nullable=False),
    Column("despite", String(255)),  # checks of the gate that were overridden, with spaces between
    Column("actor", JSON(none_as_null=True), nullable=False),  # who is told of in the history and the audit
    Column("replay", JSON(none_as_null=True)),  # what it answers to stored inputs; null: nobody has looked
    Column("replay_until", Double),  # so long somebody has it in hand
    Column("began_at", Double, nullable=False),
    Column("ended_at", Double),
    Index("ix_rollout_state", "state", "id"),
    Index("ix_rollout_model", "model", "id"),
)

# What processes counted of the answers of versions while a canary was tried: a row grows while it is.
observation = Table(
    "observation",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("since", Double, primary_key=True),  # when the canary got its share
    Column("version", String(9), primary_key=True),
    Column("work", String(8), primary_key=True),  # calls | items
    Column("process", Uuid, primary_key=True),
    Column("counts", JSON(none_as_null=True), nullable=False),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)

# Each change of channels and of retired versions, in the order of the ids. Rows are only added.
channel_event = Table(
    "channel_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("model", String(64), nullable=False),
    Column(
        "act", String(16), nullable=False
    ),  # set | rolled_back | removed | refused | retired | restored | deleted
    Column("channel", String(32)),  # null: it is about a version alone
    Column("before", String(9)),  # the version that the channel named, or that it was done to
    Column("after", String(9)),
    Column("client", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column(
        "report", String(255), key="despite"
    ),  # checks of the gate that were overridden, with spaces between
    Column("percent", Double),  # of a canary
    Index("ix_channel_event_model", "model", "id"),
)

# Who may ask, and for what. Rows of keys are never deleted: as long as there is one, nobody gets in without a key.
api_key = Table(
    "api_key",
    metadata,
    Column("id", String(12), primary_key=True),  # the key's public part
    Column("name", String(64), nullable=False),
    Column("client", String(64), nullable=False),
    Column("scopes", String(255), nullable=False),  # separated by spaces
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the whole key
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("used_at", Double),  # roughly
    Column("parent", String(12)),  # of a session: the key that opened it, with which it ends
)

# A file that somebody has sent, on its way to being a version. The files themselves lie beside the versions.
model_import = Table(
    "model_import",
    metadata,
    Column("id", Uuid, primary_key=True),  # UUIDv7
    Column("client", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("file", String(255), nullable=False),  # what its sender calls it
    Column("asked", JSON(none_as_null=True), nullable=False),
    Column("actor", JSON(none_as_null=True), nullable=False),  # who is told of in the audit
    Column("needs_tensorflow", Boolean(create_constraint=False), nullable=False),
    Column("state", String(9), nullable=False),  # waiting | running | succeeded | failed | cancelled
    Column("said", Text, nullable=False, server_default=text("''")),  # what is being done
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("lease_token", Uuid),
    Column("lease_until", Double),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("notes", JSON(none_as_null=True)),  # what was assumed
    Column("manifest", JSON(none_as_null=True)),
    Column("report", JSON(none_as_null=True)),  # the gate's
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("faults", JSON(none_as_null=True)),
    Index("ix_model_import_state", "state", "id"),
)

# What people said of items. Rows are only ever added: one that is undone has another row that says so.
decision = Table(
    "decision",
    metadata,
    Column("id", Integer, primary_key=True),  # in the order in which they were taken
    Column("job_id", Uuid, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("model", String(64), nullable=False),
    Column("version", String(9), nullable=False),  # of the item's job
    Column("client", String(64), nullable=False),
    Column("who", String(64), nullable=False),  # the name of the key, or, without keys, of the client
    Column("at", Double, nullable=False),
    Column("kind", String(8), nullable=False),  # label | reject | ignore | skip | undo
    Column("answer", Text),  # the label that it is, or, of a rejection, that it is not
    Column("predicted", Text),  # what the model had answered then; null: nothing yet
    Column("score", Double),
    Column("chosen", String(8), nullable=False),  # margin | random | newest | second | direct | import
    Column("replaces", Integer),  # what was said of the item before; of an undo, what is undone
    Column("idempotency_key", String(255)),
    Column("request_digest", String(64)),  # SHA-256 of what was asked under that key
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ix_decision_item", "job_id", "idx"),
    Index("ix_decision_model", "model", "id"),
    Index("ix_decision_who", "model", "who", "id"),
    Index("ux_decision_idempotency", "client", "idempotency_key", unique=True),
    Index(
        "ux_decision_undo",
        "replaces",
        unique=True,
        sqlite_where=text("kind = 'undo'"),
        postgresql_where=text("kind = 'undo'"),
    ),
)

# Items that somebody was asked about, or that were drawn at random: how, and who has one in hand.
question = Table(
    "question",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("model", String(64), nullable=False),
    Column("chosen", String(8), nullable=False),
    # Accuracy is estimated from these: each answered item could have been one, whether it had a label by then or not.
    Column("is_drawn", Boolean(create_constraint=False), nullable=False),
    Column("holder", String(200)),  # null: nobody was asked
    Column("lease_until", Double),  # null: nobody has it in hand
    Column("undone_by", Integer),  # the decision by which it was put back in hand; null: it was asked
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ix_question_model", "model", "lease_until"),
)

# Labels of a model as they stood once, to be trained on.
label_set = Table(
    "label_set",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("client", String(64), nullable=False),  # who made it
    Column("created_at", Double, nullable=False),
    Column("items", Integer, nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 over the inputs and their labels
    Index("ux_label_set_name", "name", unique=True),
)

label_set_item = Table(
    "label_set_item",
    metadata,
    Column("set_id", Integer, primary_key=True, autoincrement=False),
    Column("job_id", Uuid, primary_key=True),
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("label", Text, nullable=False),
    ForeignKeyConstraint(["set_id"], ["label_set.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ix_label_set_item_job", "job_id"),
)

# What is known of faces as a whole: one row. Whoever changes what people said, or learns from it, holds its lock.
persona_state = Table(
    "persona_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("changes", Integer, nullable=False),  # how often what people said has changed
    Column("learnt", Integer, nullable=False),  # … when classifiers were made last
    Column("waiting_since", Double),  # since when there is something to learn; null: there is not
)

# How far the items of a job were looked at for faces: up to this one all were, and never are again.
face_mark = Table(
    "face_mark",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("read_to", Integer, nullable=False),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
)

# Faces of finished items. Biometric data: there are rows only where PERSONAS is on.
face = Table(
    "face",
    metadata,
    Column("id", Integer, primary_key=True),  # in the order in which they were found
    Column("job_id", Uuid, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("place", Integer, nullable=False),  # among the faces of its picture
    # Which version has embedded it: embeddings of two are never compared.
    Column("model", String(64), nullable=False),
    Column("version", String(9), nullable=False),
    Column("box", JSON(none_as_null=True), nullable=False),
    Column("landmarks", JSON(none_as_null=True), nullable=False),
    Column("score", Double, nullable=False),
    Column("side", Integer, nullable=False),  # pixels
    Column("sharpness", Double, nullable=False),
    Column("embedding", LargeBinary, nullable=False),  # 128 float32, little-endian
    # SHA-256 of the picture, or of where it lies; null: of one that was found before this was kept.
    Column("picture", LargeBinary(32)),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ux_face_place", "job_id", "idx", "place", unique=True),
    Index("ix_face_embedder", "model", "version", "id"),
    Index("ix_face_picture", "picture"),
    sqlite_autoincrement=True,
)

# People that faces may be of.
persona = Table(
    "persona",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("made_at", Double, nullable=False),
    Column("made_by", String(64), nullable=False),
    # Who it turned out to be: what was said of it counts as said of that one.
    Column("merged_into", Integer),
    ForeignKeyConstraint(["merged_into"], ["persona.id"], ondelete="CASCADE"),
    Index(
        "ux_persona_name",
        "name",
        unique=True,
        sqlite_where=text("merged_into IS NULL"),
        postgresql_where=text("merged_into IS NULL"),
    ),
    Index("ix_persona_merged", "merged_into"),
    sqlite_autoincrement=True,
)

# What people said of faces. Rows are only ever added, and deleted with their face or persona: that is all of them.
persona_decision = Table(
    "persona_decision",
    metadata,
    Column("id", Integer, primary_key=True),  # in the order in which they were taken
    Column("face_id", Integer, nullable=False),
    Column("batch", Uuid, nullable=False),  # those that were taken at once
    Column("kind", String(10), nullable=False),  # label | reject | stranger | not_a_face | ignore | undo
    Column("persona_id", Integer),  # who it is, or, of a rejection, who it is not
    Column("client", String(64), nullable=False),
    Column("who", String(64), nullable=False),
    Column("at", Double, nullable=False),
    # What the classifier had said then; null: nothing.
    Column("predicted_id", Integer),
    Column("cosine", Double),
    Column("classifier", Integer),
    Column("replaces", Integer),  # what was said of the face before; of an undo, what is undone
    # Of one that was carried over from the same face as another version has found it: what somebody said of that.
    Column("origin", Integer),
    ForeignKeyConstraint(["face_id"], ["face.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["persona_id"], ["persona.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["predicted_id"], ["persona.id"], ondelete="SET NULL"),
    Index("ix_persona_decision_face", "face_id", "id"),
    Index("ix_persona_decision_persona", "persona_id"),
    Index("ix_persona_decision_predicted", "predicted_id"),
    Index("ix_persona_decision_batch", "batch"),
    Index("ix_persona_decision_who", "client", "who", "id"),
    Index(
        "ix_persona_decision_origin",
        "origin",
        sqlite_where=text("origin IS NOT NULL"),
        postgresql_where=text("origin IS NOT NULL"),
    ),
    Index(
        "ux_persona_decision_undo",
        "replaces",
        unique=True,
        sqlite_where=text("kind = 'undo'"),
        postgresql_where=text("kind = 'undo'"),
    ),
    sqlite_autoincrement=True,
)

# Who faces are told to be by: the means of what was labelled, one for each version that embeds.
persona_classifier = Table(
    "persona_classifier",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("model", String(64), nullable=False),
    Column("version", String(9), nullable=False),
    Column("mark", Integer, nullable=False),  # the changes that it knows of
    Column("personas", JSON(none_as_null=True), nullable=False),  # their ids
    Column("means", LargeBinary, nullable=False),  # float32 [personas, 128], little-endian
    Column("threshold", Double, nullable=False),
    Column("scale", Double, nullable=False),
    Column("bias", Double, nullable=False),
    Column(
        "one_in", Integer, nullable=False, server_default=text("100")
    ),  # one stranger in so many may get a name
    # What came of that: of so many strangers so many would.
    Column("strangers_named", Integer, nullable=False),
    Column("strangers", Integer, nullable=False),
    Column("made_at", Double, nullable=False),
    Column("last_face", Integer, nullable=False),  # the last face that was there when it was made
    Column("judged_to", Integer, nullable=False),  # the last face that it has judged
    # Of the faces that were there: how many verdicts name another, name somebody now, or nobody any more.
    Column("changed", Integer, nullable=False),
    Column("gained", Integer, nullable=False),
    Column("lost", Integer, nullable=False),
    Index("ix_persona_classifier_model", "model", "version", "number"),
    sqlite_autoincrement=True,
)

# What is promised of the classifiers of a model's versions; of a model without a row, one in 100.
persona_promise = Table(
    "persona_promise",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("one_in", Integer, nullable=False),  # one stranger in so many may get a name
    Column("who", String(64), nullable=False),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)

# What the classifier says of faces that nobody has labelled; none of a face that is like nobody.
verdict = Table(
    "verdict",
    metadata,
    Column("face_id", Integer, primary_key=True, autoincrement=False),
    Column("persona_id", Integer),  # null: nobody who is known
    Column("nearest_id", Integer, nullable=False),
    Column("cosine", Double, nullable=False),
    Column("classifier", Integer, nullable=False),  # the number of the one that has said so
    ForeignKeyConstraint(["face_id"], ["face.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["persona_id"], ["persona.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["nearest_id"], ["persona.id"], ondelete="CASCADE"),
    Index("ix_verdict_persona", "persona_id", "cosine"),
    Index("ix_verdict_nearest", "nearest_id"),
)

# Who did what, and who was not let in. Rows are written, and cleared away when they are old; no code changes one.
audit = Table(
    "audit",
    metadata,
    Column("id", Uuid, primary_key=True),  # UUIDv7
    Column("at", Double, nullable=False),
    Column("client", String(64), nullable=False),  # empty: nobody knows who it was
    Column("key_id", String(12), nullable=False),  # the public part of the key that was brought; empty: none
    Column("act", String(32), nullable=False),
    Column("object", String(255), nullable=False),  # what it was done to; of what was refused, the operation
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("address", String(64), nullable=False),  # empty: on the machine itself
    Column("request_id", String(128), nullable=False),
    Column("times", Integer, nullable=False),  # how often, where one line tells of many refusals
    Index("ix_audit_at", "at", "id"),
    Index("ix_audit_client", "client", "at"),
    Index("ix_audit_act", "act", "at"),
)

# How much clients and addresses have used of their limits. Rows that count no more are deleted.
rate_window = Table(
    "rate_window",
    metadata,
    Column("minute", Integer, primary_key=True, autoincrement=False),  # minutes since the Unix epoch
    Column("subject", String(80), primary_key=True),  # a client or an address
    Column("kind", String(16), primary_key=True),  # requests | items | bytes | refusals
    Column("used", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A message of a stream that was taken, and which items it became: whoever brings it again makes no second ones.
arrival = Table(
    "arrival",
    metadata,
    # SHA-256 over the stream, where in it the message stands, and what it says (`jobs.arrivals`).
    Column("digest", LargeBinary(32), primary_key=True),
    Column("stream", String(64), nullable=False),
    Column("place", String(255), nullable=False),  # as people are told it: photos/3/1234
    Column("key", LargeBinary),  # what its results are told under
    Column("request_id", String(255)),  # as whoever sent it calls it
    Column("sent_at", Double, nullable=False),
    Column("taken_at", Double, nullable=False),
    Column("job_id", Uuid),
    Column("first_idx", Integer),
    Column("item_count", Integer, nullable=False, server_default=text("0")),
    # Of one that nothing can be made of: why.
    Column("error_code", String(64)),
    Column("error_message", Text),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ix_arrival_job", "job_id", "first_idx"),
    # The latest that were refused.
    Index(
        "ix_arrival_refused",
        "stream",
        "taken_at",
        sqlite_where=text("error_code IS NOT NULL"),
        postgresql_where=text("error_code IS NOT NULL"),
    ),
)

# What a stream is yet to be told: written where it becomes true, gone when it was told.
delivery = Table(
    "delivery",
    metadata,
    Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True
    ),  # in the order of completion
    Column("stream", String(64), nullable=False),
    # Items of a job that are done, as pairs of the first and the last of a run; null: those that were cancelled.
    Column("job_id", Uuid),
    Column("runs", JSON(none_as_null=True)),
    # … or a message that was refused, with what it said.
    Column("arrival", LargeBinary(32)),
    Column("message", LargeBinary),
    Column("headers", JSON(none_as_null=True)),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ix_delivery_stream", "stream", "id"),
    sqlite_autoincrement=True,
)

# Which process tells a stream its results: one at a time, so that they keep their order.
stream_turn = Table(
    "stream_turn",
    metadata,
    Column("stream", String(64), primary_key=True),
    Column("token", Uuid, nullable=False),
    Column("beats", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Processes that read a stream, as they last told of themselves.
stream_member = Table(
    "stream_member",
    metadata,
    Column("stream", String(64), primary_key=True),
    Column("process", String(255), primary_key=True),
    Column("seen_at", Double, nullable=False),
    Column("told", JSON(none_as_null=True), nullable=False),
    sqlite_with_rowid=False,
)

# A model that is trained again from its labels: each step is what the next one starts from.
training_run = Table(
    "training_run",
    metadata,
    Column("id", Uuid, primary_key=True),  # UUIDv7
    Column("model", String(64), nullable=False),
    Column("client", String(64), nullable=False),  # whose the job is that answers again
    Column("why", String(8), nullable=False),  # labels | time | hand
    Column("actor", JSON(none_as_null=True), nullable=False),  # who is told of in the audit
    Column("policy", JSON(none_as_null=True), nullable=False),  # as it was when the run began
    Column("state", String(9), nullable=False),  # open | succeeded | refused | failed | cancelled
    Column("step", String(8), nullable=False),  # freeze | train | import | roll_out | answer | done
    Column("label_mark", BigInteger, nullable=False),  # the last decision when it began
    Column("labels", Integer, nullable=False, server_default=text("0")),  # in its set
    Column("held_out", Integer, nullable=False, server_default=text("0")),  # … of which training sees none
    Column("said", Text, nullable=False, server_default=text("''")),  # what is being done, for people
    Column("log", Text, nullable=False, server_default=text("''")),  # the end of what the training wrote
    Column("import_id", Uuid),
    Column("version", String(9)),  # that it has made
    Column("rollout_id", Uuid),
    Column("answer_job", Uuid),
    Column("change", JSON(none_as_null=True)),  # what the new version answers otherwise
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("began_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("tries", Integer, nullable=False, server_default=text("0")),  # of the step in hand
    Column("lease_token", Uuid),
    Column("lease_until", Double),
    Index("ix_training_run_model", "model", "id"),
    # One of a model at a time.
    Index(
        "ux_training_run_open",
        "model",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

# Which item another one is the answer again of.
answered_again = Table(
    "answered_again",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column(
        "place", Integer, primary_key=True, autoincrement=False
    ),  # in the order in which they are answered
    Column("job_id", Uuid, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("truth", Text),  # what people say that it is; null: nothing
    Column("new_idx", Integer),  # in the run's job; null: it is not there yet
    ForeignKeyConstraint(["run_id"], ["training_run.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
    Index("ix_answered_again_job", "job_id", "idx"),
)
