"""What Google's library raises, as errors of ours: one line each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from google.api_core import exceptions as google
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from client.errors import ClientError, InputError, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

ERRORS = (google.GoogleAPIError, GoogleAuthError)


@contextlib.contextmanager
def translated(what: str, *, project: str) -> Iterator[None]:
    """Raise what the library raises as ours; `what` is the topic or the subscription that was asked about.

    Raises:
        InputError: there are no credentials. Refused: Google says no. Unavailable: nobody answers.
    """
    try:
        yield
    except ERRORS as error:
        raise translate(error, what, project=project) from error


def translate(error: Exception, what: str, *, project: str) -> ClientError:
    """Ours for one of the library's."""
    text = " ".join(str(getattr(error, "message", "") or error).split())
    if isinstance(error, DefaultCredentialsError):
        return InputError(
            f"pubsub://{project}: no credentials: gcloud auth application-default login, or"
            " GOOGLE_APPLICATION_CREDENTIALS names a file of them, or PUBSUB_EMULATOR_HOST an emulator"
        )
    if isinstance(error, (google.Forbidden, google.Unauthorized, GoogleAuthError)):
        return Refused(f"these credentials may not do that with {what}: {text}")
    if isinstance(error, google.NotFound):
        how = f"python -m client topics create pubsub://{project} {what.partition(' ')[2]}"
        return Refused(f"there is no {what} in the project {project}: {how}")
    if isinstance(error, (google.ServerError, google.RetryError, google.TooManyRequests)):
        return Unavailable(f"pubsub://{project}: nothing answers in time: {text}")
    return Refused(f"pubsub://{project}: {text}")
