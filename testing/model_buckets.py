"""Stores of models in buckets of a test's own, and the versions in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from production_server.models.drafts import draft_version
from production_server.models.manifest import read_manifest
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


def publish(
    remote: RemoteStore, copy: Path, scratch: Path, write: Callable[[Path], Path] = write_table_model
) -> str:
    """Make a small model the next version of its name, by the copy of one machine; returns its number."""
    made = write(scratch / os.urandom(4).hex())
    with draft_version(copy, made.parent.name, remote=remote) as draft:
        shutil.copytree(made, draft.folder, dirs_exist_ok=True)
        manifest = read_manifest(made).model_copy(update={"version": draft.version})
        return draft.publish(manifest, check=lambda _folder: None).name


def put_anything(url: str, key: str, body: bytes) -> None:
    """Put an object there as no honest program would: whatever its name is. The store is in this process."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, f"{prefix}/{key}", body)
