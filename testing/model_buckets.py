"""Stores of models in buckets of a test's own, and the versions in them."""

from __future__ import annotations

import os
from pathlib import Path

from production_server.models.drafts import draft_version
from production_server.models.manifest import MANIFEST_FILE, read_manifest
from production_server.models.remote_store import RemoteStore
from production_server.storage.locations import Location
from production_server.storage.writable import BucketFolder
from testing.s3 import S3
from testing.small_models import write_table_model


def new_bucket(s3: S3) -> str:
    """The URL of a store of models in a bucket that is new."""
    bucket = f"models-{os.urandom(4).hex()}"
    s3.fill(bucket, {})
    return f"s3://{bucket}/lab"


def remote_store_at(url: str) -> RemoteStore:
    """The store, as another machine opens it."""
    return RemoteStore(BucketFolder(Location.parse(url)))


def publish(remote: RemoteStore, copy: Path, scratch: Path) -> str:
    """Make a small model the next version of `table`, by the copy of one machine; returns its number."""
    made = scratch / os.urandom(4).hex()
    write_table_model(made)
    with draft_version(copy, "table", remote=remote) as draft:
        for path in sorted((made / "table" / "1").rglob("*")):
            if path.is_file() and path.name != MANIFEST_FILE:
                target = draft.folder / path.relative_to(made / "table" / "1")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        manifest = read_manifest(made / "table" / "1").model_copy(update={"version": draft.version})
        return draft.publish(manifest, check=lambda _folder: None).name


def put_anything(url: str, key: str, body: bytes) -> None:
    """Put an object there as no honest program would: whatever its name is. The store is in this process."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, f"{prefix}/{key}", body)
