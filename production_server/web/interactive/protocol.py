"""What a protocol is to the front: it reads requests and writes answers; it sends nothing and waits for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import orjson

from production_server.broker.calls import Inputs, Reply
from production_server.errors import CeleriacError, TooManyRequests
from production_server.models.store import ModelVersion
from production_server.web.edge.headers import STICKY_HEADER
from production_server.web.edge.rate_fields import fields_of_refusal


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request with its whole body; the path is decoded, and names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def sticky(self) -> str:
        """What is the same in requests that want the same version, while a canary is tried; empty: nothing."""
        return self.headers.get(STICKY_HEADER.lower(), "")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What is sent back."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks: these inputs of this version, within so many seconds (None: as long as the server says).

    `details` are the protocol's own, for its answer.
    """

    version: ModelVersion
    inputs: Inputs
    timeout_s: float | None
    details: Any = None


class InferenceProtocol(Protocol):
    """One convention of asking over HTTP. Its methods are pure, and safe to call from several threads."""

    name: str
    route: str
    """The pattern of its paths, for traces."""

    def takes(self, method: str, path: str) -> bool:
        """Whether a request is one that asks for inference in this protocol."""

    def read(self, request: HttpRequest) -> Ask:
        """What it asks.

        Raises:
            InvalidInput, TooLarge, NotFound: it names the field, what was expected, and what came.
        """

    def write(self, ask: Ask, reply: Reply) -> HttpAnswer:
        """The answer; `reply` has outputs for every input and no error."""

    def write_error(self, error: CeleriacError) -> HttpAnswer:
        """The answer if something is wrong, in the protocol's own form."""


def error_answer(error: CeleriacError, status: int) -> HttpAnswer:
    """The form of an error that both protocols have."""
    headers = fields_of_refusal(error) if isinstance(error, TooManyRequests) else {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"retry-after": "1"}
    body = orjson.dumps({"error": str(error), "code": error.code})
    return HttpAnswer(status, "application/json", body, headers)
