"""From the body of a bucket notification to the events in it, whichever store sent it and however it was wrapped.

Pure: nothing is fetched, and whether the sender may say what it says is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice

from production_server.errors import MAX_FAULTS, Fault, InvalidInput
from production_server.sources.cloud_events import (
    Reading,
    cloud_event_readings,
    is_cloud_event,
    structured_readings,
)
from production_server.sources.envelopes import unwrapped
from production_server.sources.event import Dialect, ObjectEvent
from production_server.sources.event_bridge import read_event_bridge
from production_server.sources.refusals import CODE, MAX_EVENTS, too_many
from production_server.sources.s3_records import read_s3_record
from production_server.sources.sent import Sent, parse_json

__all__ = ["Dialect", "ObjectEvent", "read_events"]


def read_events(body: bytes, headers: Mapping[str, str]) -> list[ObjectEvent]:
    """The events of one request, in its order; none where it only tests or confirms that they would arrive.

    `headers` by lower-case names. Events come twice and out of order: that is for the caller to see to.

    Raises:
        InvalidInput: it is no notification (code `not_an_event`); the first 20 faults are named by path, and no event
            is taken.
        TooLarge: there are more than 10,000 events.
    """
    readings = list(islice(_readings(body, headers), MAX_EVENTS + 1))
    if len(readings) > MAX_EVENTS:
        raise too_many("", "events in one request", count="more")
    return _read_all(readings)


def _readings(body: bytes, headers: Mapping[str, str]) -> Iterator[Reading]:
    if is_cloud_event(headers):
        yield from cloud_event_readings(body, headers)
        return
    for document in unwrapped(parse_json(body)):
        yield from _readings_of(document)


def _readings_of(document: Sent) -> Iterator[Reading]:
    if document.has("specversion"):
        yield from structured_readings(document)
    elif document.has("detail-type"):
        yield partial(read_event_bridge, document)
    # What S3 sends when a notification is set up.
    elif document.get("Event").value != "s3:TestEvent":
        for record in document.get("Records").items():
            yield partial(read_s3_record, record)


def _read_all(readings: Iterable[Reading]) -> list[ObjectEvent]:
    """Read each; gather faults instead of stopping at the first one."""
    events: list[ObjectEvent] = []
    errors: list[InvalidInput] = []
    for read in readings:
        try:
            events.append(read())
        except InvalidInput as exc:
            errors.append(exc)
            # Of one event there may be thousands: each holds memory until all are told.
            if len(_faults_of(errors)) >= MAX_FAULTS:
                break
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise InvalidInput(f"{len(errors)} events cannot be read", _faults_of(errors), code=CODE)
    return events


def _faults_of(errors: Iterable[InvalidInput]) -> tuple[Fault, ...]:
    return tuple(fault for error in errors for fault in error.faults)
