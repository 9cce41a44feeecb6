"""Objects in buckets that somebody who asks is to see."""

from __future__ import annotations

from production_server.errors import StorageUnavailable
from production_server.jobs.away import why_away
from production_server.storage.objects import Reference
from production_server.web.edge.parts import WebParts


def fetch(parts: WebParts, reference: Reference) -> bytes:
    """An object, where its bucket answers; one that is known not to is not asked.

    Raises:
        InvalidInput, ObjectUnusable: it is not to be had. StorageUnavailable: its bucket does not answer.
    """
    away = why_away(parts.database, reference.bucket_url)
    if away:
        raise StorageUnavailable(away)
    with parts.fetches.place(reference.bucket_url):
        return parts.storage.fetch(reference, max_bytes=parts.settings.max_object_bytes)
