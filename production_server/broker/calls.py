"""What travels between web and worker for interactive calls: batches of inputs, and what a worker answers to them.

A body is a header in JSON, which the first four bytes give the length of, and then raw bytes: tensors in C order,
little-endian, or image files one after another. Nothing in it can run code.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from production_server.errors import (
    BrokenVersion,
    CeleriacError,
    DeadlineExceeded,
    Fault,
    InferenceFailed,
    InvalidInput,
    NotFound,
    TooLarge,
    Unavailable,
)
from production_server.models.tensors import Tensors, count_items, describe_tensors, restore_tensors

MAX_REQUEST_BYTES = 16 * 2**20
"""What a batch may take on its way."""
MAX_REPLY_BYTES = 64 * 2**20
"""What the answer to it may take: some models answer more than they are asked."""

_LENGTH = struct.Struct(">I")
_ERRORS: dict[str, type[CeleriacError]] = {
    kind.__name__: kind
    for kind in (
        InvalidInput,
        TooLarge,
        NotFound,
        BrokenVersion,
        InferenceFailed,
        Unavailable,
        DeadlineExceeded,
    )
}

STRANGE = (KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What comes of a header whose values are of other kinds than ours."""

Inputs = Tensors | Sequence[bytes]
"""One batch for a model: what its graph takes, by name and in the manifest's order, or image files."""


def count_inputs(inputs: Inputs) -> int:
    """How many items a batch has."""
    return count_items(inputs) if isinstance(inputs, Mapping) else len(inputs)


def destination_of(inputs: Inputs) -> str:
    """What spans call where a batch goes."""
    return "celeriac.calls" if isinstance(inputs, Mapping) else "celeriac.calls.images"


@dataclass(frozen=True, slots=True)
class Request:
    """A batch of inputs for one version; `trace` is what a tracer wants to hand on (W3C trace context).

    `until` is the time of day, in seconds since 1970, when nobody waits for the answer any more.
    """

    model: str
    version: str
    inputs: Inputs
    trace: Mapping[str, str]
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request: the graph's outputs [items, …] and errors by item, or one error for all of it.

    `run_ms` is how long the worker took for the batch, decoding included, and `model_ms` what of it was the model's.
    Known to the caller only: when the batch was sent (on its monotonic clock, in seconds), and how many items it had.
    """

    outputs: Tensors | None
    errors: Mapping[int, CeleriacError]
    error: CeleriacError | None
    run_ms: float
    worker: str
    model_ms: float = 0.0
    sent_at: float = 0.0
    batch_items: int = 0


def encode_request(request: Request) -> bytes:
    """The body of a message."""
    header: dict[str, Any] = {
        "model": request.model,
        "version": request.version,
        "trace": dict(request.trace),
    }
    if request.until < math.inf:
        header["until"] = request.until
    if isinstance(request.inputs, Mapping):
        header["tensors"], pieces = describe_tensors(request.inputs)
        return _join(header, pieces)
    header["sizes"] = [len(image) for image in request.inputs]
    return _join(header, request.inputs)


def decode_request(body: bytes | memoryview) -> Request:
    """The request in a message's body; its tensors are views of it.

    Raises:
        ValueError: the body is not one that `encode_request` makes.
    """
    header, payload = _part(body)
    try:
        if "sizes" in header:
            inputs: Inputs = _split(payload, header["sizes"])
        else:
            inputs = restore_tensors(header["tensors"], payload)
        return Request(
            str(header["model"]),
            str(header["version"]),
            inputs,
            header["trace"],
            float(header.get("until", math.inf)),
        )
    except STRANGE as exc:
        raise ValueError(f"not a request: {exc!r}") from exc


def encode_reply(reply: Reply) -> bytes:
    """The body of a message."""
    header: dict[str, Any] = {"ms": reply.run_ms, "model_ms": reply.model_ms, "worker": reply.worker}
    if reply.errors:
        header["errors"] = {place: _error_to_data(error) for place, error in reply.errors.items()}
    if reply.error is not None:
        header["error"] = _error_to_data(reply.error)
    if reply.outputs is None:
        return _join(header, [])
    header["tensors"], pieces = describe_tensors(reply.outputs)
    return _join(header, pieces)


def decode_reply(body: bytes | memoryview) -> Reply:
    """The reply in a message's body.

    Raises:
        ValueError: the body is not one that `encode_reply` makes.
    """
    header, payload = _part(body)
    try:
        return Reply(
            outputs=restore_tensors(header["tensors"], payload) if "tensors" in header else None,
            errors={int(place): _error_of(data) for place, data in header.get("errors", {}).items()},
            error=_error_of(header["error"]) if "error" in header else None,
            run_ms=float(header["ms"]),
            worker=str(header["worker"]),
            model_ms=float(header["model_ms"]),
        )
    except STRANGE as exc:
        raise ValueError(f"not a reply: {exc!r}") from exc


def _join(header: Mapping[str, Any], payload: Sequence[bytes | memoryview]) -> bytes:
    try:
        head = orjson.dumps(header, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        # An error may repeat what a client has written: half of a surrogate pair, which only the standard library has.
        head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *payload])


def _part(body: bytes | memoryview) -> tuple[dict[str, Any], memoryview]:
    try:
        (length,) = _LENGTH.unpack_from(body)
        header = _header_of(bytes(body[_LENGTH.size : _LENGTH.size + length]))
    except (struct.error, ValueError, RecursionError) as exc:
        raise ValueError("a message without a header") from exc
    if not isinstance(header, dict):
        raise ValueError("a message without a header")  # noqa: TRY004  # of a peer's making, not a programming error
    return header, memoryview(body)[_LENGTH.size + length :]


def _header_of(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _split(payload: memoryview, sizes: Sequence[int]) -> list[bytes]:
    if sum(sizes) != len(payload):
        raise ValueError("a message whose files have other sizes than it says")
    ends = np.cumsum(sizes, dtype=int).tolist()
    return [bytes(payload[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _error_to_data(error: CeleriacError) -> dict[str, Any]:
    faults = error.faults if isinstance(error, InvalidInput) else ()
    return {
        "kind": type(error).__name__,
        "code": error.code,
        "detail": str(error),
        "faults": [(fault.field, fault.expected, fault.got) for fault in faults],
    }


def _error_of(data: Mapping[str, Any]) -> CeleriacError:
    kind = _ERRORS.get(data["kind"], CeleriacError)
    # A worker of a newer release may know codes that this one does not.
    code = data["code"] if kind.declares(data["code"]) else None
    if issubclass(kind, InvalidInput):
        return kind(data["detail"], tuple(Fault(*fault) for fault in data["faults"]), code=code)
    return kind(data["detail"], code=code)
