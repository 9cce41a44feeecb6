"""What a notification may be wrapped in on its way through AWS: a message of SQS, one of SNS, or SNS' inside SQS'."""

from __future__ import annotations

import re
from collections.abc import Iterator

from production_server.sources.json_fields import Field, parse_json

_NOTIFICATION = "Notification"
_SUBSCRIPTION = "SubscriptionConfirmation"
_QUESTIONS = (_SUBSCRIPTION, "UnsubscribeConfirmation")
_SUBSCRIBE_URL = re.compile(r"https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[!-~]{1,1000}")


def unwrapped(document: Field) -> Iterator[Field]:
    """The documents inside `document`, or itself if it is no envelope. What is wrapped in any other way stays so.

    A topic's question whether it may go on sending holds none.

    Raises:
        InvalidInput, TooLarge: an envelope does not hold JSON, or too many messages.
    """
    for message in _messages_of_sqs(document):
        kind = message.get("Type").value
        if kind == _NOTIFICATION:
            yield message.get("Message").parsed()
        elif kind not in _QUESTIONS:
            yield message


def subscription_url(body: bytes) -> str | None:
    """Where the operator confirms a topic's subscription, if `body` asks for that.

    It is to be shown, never fetched: whoever can send to this server can write such a message. Only an address of SNS
    is returned.

    Raises:
        InvalidInput: `body` is not a JSON object.
    """
    message = parse_json(body)
    url = message.get("SubscribeURL").value
    if message.get("Type").value != _SUBSCRIPTION or not isinstance(url, str):
        return None
    return url if _SUBSCRIBE_URL.fullmatch(url) else None


def _messages_of_sqs(document: Field) -> Iterator[Field]:
    sent = document.get("Records")
    records = sent.items() if isinstance(sent.value, list) else []
    if not (records and records[0].has("body")):
        yield document
        return
    for record in records:
        yield record.get("body").parsed()
