"""What a notification may be wrapped in on its way through AWS: a message of SQS, one of SNS, or SNS' inside SQS'.

A queue's messages come as records, each of them with a `body`; those of a topic by themselves or, from a function that
the topic calls, as records with an `Sns`.
"""

from __future__ import annotations

from collections.abc import Iterator

from production_server.sources.sent import Sent

_NOTIFICATION = "Notification"
_QUESTIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_QUEUE = "aws:sqs"
_TOPIC = "aws:sns"


def is_wrapped(record: Sent) -> bool:
    """Whether one of `Records` is a message of a queue or a topic, and no record of S3."""
    return isinstance(record.value, dict) and (
        record.has("body") or record.has("Sns") or _source_of(record) in (_QUEUE, _TOPIC)
    )


def opened(record: Sent) -> Iterator[Sent]:
    """The document in a record that `is_wrapped`.

    Raises:
        InvalidInput: it does not hold JSON.
    """
    if record.has("Sns") or _source_of(record) == _TOPIC:
        yield from unwrapped(record.get("Sns"))
    else:
        yield from unwrapped(record.get("body").parsed())


def unwrapped(document: Sent) -> Iterator[Sent]:
    """The document in a message of a topic, or itself if it is none.

    A topic's question whether it may go on sending holds none.

    Raises:
        InvalidInput: the message does not hold JSON.
    """
    kind = document.get("Type").value
    if kind == _NOTIFICATION:
        yield document.get("Message").parsed()
    elif kind not in _QUESTIONS:
        yield document


def _source_of(record: Sent) -> object:
    """Who speaks: queues write the name small, topics large."""
    return record.get("eventSource").value or record.get("EventSource").value
