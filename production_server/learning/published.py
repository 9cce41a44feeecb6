"""What an import has published already: whoever made it may have died before he could tell."""

from __future__ import annotations

from uuid import UUID

from production_server.errors import NotFound, ObjectUnusable, StorageUnavailable, StoreNotWritable
from production_server.models.importing.version import Made
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.models.remote_store import remote_store_of
from production_server.settings import Settings

NOTE = "The worker that made it ended before it could tell; what it assumed is not known any more."


def published_by(import_id: UUID, model: str, registry: Registry, settings: Settings) -> Made | None:
    """The version that an import has become, here or in the bucket that the store is a copy of; None: it has none.

    Raises:
        StoreNotWritable: the bucket does not say.
    """
    registry.look_again()
    try:
        versions = registry.versions(model)
    except NotFound:
        versions = []
    for version in versions:
        if _is_of(import_id, version.manifest):
            return Made(manifest=version.manifest, notes=(NOTE,), folder=version.folder)
    return _in_bucket(import_id, model, {each.manifest.version for each in versions}, settings)


def _in_bucket(import_id: UUID, model: str, here: set[str], settings: Settings) -> Made | None:
    remote = remote_store_of(settings)
    if remote is None:
        return None
    try:
        for name, number in remote.versions():
            if name == model and number not in here:
                manifest = _manifest_in(remote.manifest((name, number)))
                if manifest is not None and _is_of(import_id, manifest):
                    folder = settings.model_stores[-1] / name / number
                    return Made(manifest=manifest, notes=(NOTE,), folder=folder)
    except (ObjectUnusable, StorageUnavailable) as exc:
        raise StoreNotWritable(f"the model store does not say what was published: {exc}") from exc
    return None


def _manifest_in(written: bytes) -> Manifest | None:
    try:
        return Manifest.model_validate_json(written)
    except ValueError:
        return None  # Anybody may put anything there.


def _is_of(import_id: UUID, manifest: Manifest) -> bool:
    return manifest.source is not None and manifest.source.import_id == import_id
