"""What people send who have set up something that looks alike: it is refused, by its name and with the way out."""

from __future__ import annotations

from production_server.errors import InvalidInput
from production_server.shown import describe_names
from production_server.sources.refusals import not_an_event
from production_server.sources.sent import Sent

EXPECTED = "`Records` of S3, an event of EventBridge (`detail-type`), or a CloudEvent (`specversion`)"


def unknown(document: Sent) -> InvalidInput:
    """The error for a document that is no notification; the caller raises it."""
    return not_an_event(document.path, *_told(document))


def _told(document: Sent) -> tuple[str, str]:
    """What was expected, and what came."""
    if document.has("message") and document.has("subscription"):
        way_out = "a CloudEvent, as an Eventarc trigger sends them"
        return way_out, "what Google Pub/Sub pushes, which says in attributes only what happened"
    if document.get("kind").value == "storage#object":
        return (
            "a CloudEvent, as an Eventarc trigger sends them",
            "an object of Google without what happened to it",
        )
    if document.has("eventType") and document.has("eventTime"):
        way_out = "CloudEvents 1.0, the other schema that a subscription of Event Grid can be set to"
        return way_out, "an event of Event Grid's own schema"
    return EXPECTED, describe_names(document.value if isinstance(document.value, dict) else {})
