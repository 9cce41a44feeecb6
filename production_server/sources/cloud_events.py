"""CloudEvents 1.0 over HTTP (github.com/cloudevents/spec): in the body, several in the body, or in headers.

Objects are spoken of by AWS and what is compatible with its S3 (topics of Ceph with `cloudevents=true`, Knative),
by Google and by Azure; `type` says by whom.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from functools import partial
from urllib.parse import unquote

from pydantic import TypeAdapter

from production_server.shown import describe
from production_server.sources.azure_storage import TYPE as AZURE
from production_server.sources.azure_storage import read_azure_blob
from production_server.sources.fields import Text
from production_server.sources.google_storage import TYPE as GOOGLE
from production_server.sources.google_storage import read_google_object
from production_server.sources.readings import Reading, each_by_itself
from production_server.sources.refusals import not_an_event
from production_server.sources.s3_records import read_s3_record
from production_server.sources.sent import Sent, parse_json

AMAZON = "com.amazonaws."
MEDIA_TYPE = "application/cloudevents"
_TYPES = f"{AMAZON}…, {GOOGLE}… or {AZURE}…"

_NAME = TypeAdapter(Text)


def is_cloud_event(headers: Mapping[str, str]) -> bool:
    """Whether the request says of itself that it is one."""
    return "ce-type" in headers or "ce-specversion" in headers or _media_type(headers).startswith(MEDIA_TYPE)


def cloud_event_readings(body: bytes, headers: Mapping[str, str]) -> Iterator[Reading]:
    """The object events of a request that `is_cloud_event`.

    Raises:
        InvalidInput, TooLarge: the body is not what the headers say.
    """
    media_type = _media_type(headers)
    if media_type == f"{MEDIA_TYPE}-batch+json":
        for event in parse_json(body).items():
            yield from each_by_itself(structured_readings(event))
    elif media_type == f"{MEDIA_TYPE}+json":
        yield from structured_readings(parse_json(body))
    elif media_type.startswith(MEDIA_TYPE):
        raise not_an_event(
            "content-type", f"{MEDIA_TYPE}+json or {MEDIA_TYPE}-batch+json", describe(media_type)
        )
    else:
        # Only the type is taken from headers: Ceph writes the key into one as it is, line breaks and all.
        yield from _readings(_header(headers, "specversion"), _header(headers, "type"), parse_json(body))


def structured_readings(event: Sent) -> Iterator[Reading]:
    """The object events of one CloudEvent that is wholly in the body.

    Raises:
        InvalidInput: it is none, or none about objects.
    """
    data = event.get("data")
    if event.has("data_base64"):
        data = _decode_base64(event.get("data_base64"))
    yield from _readings(event.get("specversion"), event.get("type"), data)


def _readings(specversion: Sent, kind: Sent, data: Sent) -> Iterator[Reading]:
    if specversion.value != "1.0":
        raise specversion.refuse('"1.0", the version of CloudEvents')
    event_name = kind.read(_NAME)
    if event_name.startswith(GOOGLE):
        yield partial(read_google_object, event_name, data)
    elif event_name.startswith(AZURE):
        yield partial(read_azure_blob, event_name, data)
    elif not event_name.startswith(AMAZON):
        raise kind.refuse(_TYPES)
    elif data.has("Records"):
        for record in data.get("Records").items():
            yield partial(read_s3_record, record)
    else:
        yield partial(read_s3_record, data)


def _decode_base64(sent: Sent) -> Sent:
    text = sent.text()
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as exc:
        raise sent.refuse("JSON in Base64") from exc
    return parse_json(data, sent.path)


def _header(headers: Mapping[str, str], attribute: str) -> Sent:
    """An attribute that came in a header: in quotes, perhaps, and percent-encoded (HTTP binding, section 3.1.3.2)."""
    name = f"ce-{attribute}"
    value = headers.get(name)
    if value is None:
        return Sent(name, None)
    try:
        return Sent(name, unquote(value.strip('"'), errors="strict"))
    except UnicodeDecodeError as exc:
        raise not_an_event(name, "percent-encoded UTF-8", describe(value)) from exc


def _media_type(headers: Mapping[str, str]) -> str:
    return media_type_of(headers.get("content-type", ""))


def media_type_of(content_type: str) -> str:
    """A content type without its parameters, in small letters."""
    return content_type.partition(";")[0].strip().lower()
