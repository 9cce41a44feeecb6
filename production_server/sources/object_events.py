"""From the body of a bucket notification to the events in it, whichever store sent it and however it was wrapped.

Pure: nothing is fetched, and whether the sender may say what it says is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice

from production_server.errors import MAX_FAULTS, Fault, InvalidInput
from production_server.sources.cloud_events import (
    cloud_event_readings,
    is_cloud_event,
    structured_readings,
)
from production_server.sources.envelopes import is_wrapped, opened, unwrapped
from production_server.sources.event import Dialect, ObjectEvent
from production_server.sources.event_bridge import read_event_bridge
from production_server.sources.readings import Reading, each_by_itself
from production_server.sources.refusals import CODE, MAX_EVENTS, too_many
from production_server.sources.s3_records import read_s3_record
from production_server.sources.sent import Sent, parse_json
from production_server.sources.strangers import unknown

__all__ = ["Dialect", "EventsRead", "ObjectEvent", "read_events"]


@dataclass(frozen=True, slots=True)
class EventsRead:
    """The events of one request, in its order, and how many could not be read."""

    events: list[ObjectEvent]
    refused: int = 0
    faults: tuple[Fault, ...] = ()
    """Why, of the first 20."""


def read_events(body: bytes, headers: Mapping[str, str]) -> EventsRead:
    """The events of one request; none where it only tests or confirms that they would arrive.

    One that cannot be read is left out, and told: a store would send those beside it again and again with it. `headers`
    by lower-case names. Events come twice and out of order: that is for the caller to see to.

    Raises:
        InvalidInput: it is no notification, or none of its events can be read (code `not_an_event`); the first 20
            faults are named by path.
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
    document = parse_json(body)
    # Several documents in one request, such as CloudEvents whose media type does not say that they are a batch.
    documents = document.items() if isinstance(document.value, list) and document.value else [document]
    for each in documents:
        yield from each_by_itself(_readings_of_wrapped(each))


def _readings_of_wrapped(document: Sent) -> Iterator[Reading]:
    if is_wrapped(document):
        yield from _opened_readings(document)
        return
    sent = document.get("Records")
    records = sent.items() if isinstance(sent.value, list) else []
    if not any(is_wrapped(record) for record in records):
        for inner in unwrapped(document):
            yield from _readings_of(inner)
        return
    for record in records:
        if is_wrapped(record):
            yield from each_by_itself(_opened_readings(record))
        else:
            yield partial(read_s3_record, record)


def _opened_readings(record: Sent) -> Iterator[Reading]:
    """The events in one message of a queue or a topic."""
    for inner in opened(record):
        yield from _readings_of(inner)


def _readings_of(document: Sent) -> Iterator[Reading]:
    if document.has("specversion"):
        yield from structured_readings(document)
    elif document.has("detail-type"):
        yield partial(read_event_bridge, document)
    # What S3 sends when a notification is set up.
    elif document.get("Event").value == "s3:TestEvent":
        return
    elif document.has("Records"):
        for record in document.get("Records").items():
            yield partial(read_s3_record, record)
    else:
        raise unknown(document)


def _read_all(readings: Iterable[Reading]) -> EventsRead:
    """Read each; gather faults instead of stopping at the first one."""
    events: list[ObjectEvent] = []
    errors: list[InvalidInput] = []
    refused = 0
    for read in readings:
        try:
            events.append(read())
        except InvalidInput as exc:
            refused += 1
            # Of one event there may be thousands: each holds memory until all are told.
            if len(_faults_of(errors)) < MAX_FAULTS:
                errors.append(exc)
    if events or not errors:
        return EventsRead(events, refused, _faults_of(errors))
    if len(errors) == 1:
        raise errors[0]
    raise InvalidInput(f"{refused} events cannot be read", _faults_of(errors), code=CODE)


def _faults_of(errors: Iterable[InvalidInput]) -> tuple[Fault, ...]:
    return tuple(islice((fault for error in errors for fault in error.faults), MAX_FAULTS))
