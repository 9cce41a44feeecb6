"""What botocore raises, as errors of ours: one line each, with no secret in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from client.buckets.notification import REDACTED
from client.errors import ClientError, InputError, Refused, Unavailable

_USERS: tuple[type[Exception], ...] = (
    aws.ConfigNotFound,
    aws.ConfigParseError,
    aws.CredentialRetrievalError,
    aws.InvalidConfigError,
    aws.InvalidRegionError,
    aws.NoCredentialsError,
    aws.NoRegionError,
    aws.ParamValidationError,
    aws.PartialCredentialsError,
    aws.ProfileNotFound,
    aws.SSOError,
    aws.TokenRetrievalError,
    # An endpoint that is no URL.
    ValueError,
)
_REFUSALS = {
    "NoSuchBucket": "there is no bucket {place}",
    "AccessDenied": "access to {place} is denied to these credentials",
    "InvalidAccessKeyId": "the store does not know this access key",
    "SignatureDoesNotMatch": "the secret key does not belong to this access key",
    "NoSuchKey": "a topic or queue is unknown to the store",
    "NotFound": "a topic or queue is unknown to the store",
    "NoSuchEntity": "a topic or queue is unknown to the store",
}


@contextlib.contextmanager
def translated(place: str, *, endpoint: str, secret: str = "") -> Iterator[None]:
    """Raise what botocore raises as ours; `place` is what was asked about.

    Raises:
        InputError: credentials, region, profile or an argument are missing or wrong.
        Refused: the store said no; its code is the store's.
        Unavailable: nobody answered, or one who is no such store, or it is out of order.
    """
    try:
        yield
    except (aws.BotoCoreError, aws.ClientError, ResponseParserError, ValueError) as error:
        raise translate(error, place, endpoint=endpoint, secrets=_forms(secret)) from error


def translate(error: Exception, place: str, *, endpoint: str, secrets: Sequence[str] = ()) -> ClientError:
    """Ours for one of botocore's."""
    if isinstance(error, aws.ClientError):
        return _of_answer(error, place, endpoint=endpoint, secrets=secrets)
    text = _hidden(" ".join(str(error).split()), secrets)
    if isinstance(error, _USERS):
        return InputError(text)
    if isinstance(error, (aws.EndpointConnectionError, aws.ConnectTimeoutError)):
        return Unavailable(f"nothing answers at {endpoint}: is the store running, and is that its address?")
    if isinstance(error, ResponseParserError):
        return Unavailable(f"{endpoint} does not answer as an object store does")
    return Unavailable(f"{endpoint}: {text}")


def _of_answer(error: aws.ClientError, place: str, *, endpoint: str, secrets: Sequence[str]) -> ClientError:
    # Ceph answers about topics in another form than Amazon.
    told = error.response.get("Error") or error.response
    code, message = str(told.get("Code") or ""), _hidden(str(told.get("Message") or ""), secrets)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500:
        return Unavailable(f"{endpoint} is out of order: {code} {message}".rstrip())
    if code.isdigit() or not code:
        return Unavailable(f"{endpoint} does not answer as an object store does: {status} {message}".rstrip())
    reason = _REFUSALS.get(code, "the store refuses it: {code}").format(place=place, code=code)
    return Refused(f"{reason} ({message})" if message else reason, code=code)


def _forms(secret: str) -> tuple[str, ...]:
    return tuple({secret, quote(secret), quote(secret, safe="")} - {""})


def _hidden(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text
