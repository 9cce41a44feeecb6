"""What a notification may be wrapped in on its way through AWS: a message of SQS, one of SNS, or SNS' inside SQS'."""

from __future__ import annotations

from collections.abc import Iterator

from production_server.sources.sent import Sent

_NOTIFICATION = "Notification"
_QUESTIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


def unwrapped(document: Sent) -> Iterator[Sent]:
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


def _messages_of_sqs(document: Sent) -> Iterator[Sent]:
    sent = document.get("Records")
    records = sent.items() if isinstance(sent.value, list) else []
    if not (records and records[0].has("body")):
        yield document
        return
    for record in records:
        yield record.get("body").parsed()
