"""TLS in front of `GuardedHttp`, with the same bounds.

The event loop has TLS of its own. It tells nobody of a connection before the handshake, keeps 256 KiB for each and as
much again as the largest answer it has got, and waits for the other side at the end (ADR 34).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import partial
from typing import Any

from uvicorn.server import ServerState

from production_server import descriptors
from production_server.run.certificate import Certificate
from production_server.run.guarded_http import Crowd, GuardedHttp
from production_server.run.tls_session import TlsSession

log = logging.getLogger(__name__)

HANDSHAKE_S = 10
"""How long a client may take for a handshake, which is two round trips."""
MOST_ANSWERS_BYTES = 64 * 2**10
"""What waits to be sent to a client that has TLS itself answer (a new key is asked for) and does not read."""
_HANDSHAKE_RECORD = 0x16
_PROBLEM = (
    b'{"type":"about:blank","status":400,"code":"invalid_input","title":"Bad Request",'
    b'"detail":"this port speaks https: ask it by an https:// address","faults":[]}\n'
)
_NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_PROBLEM), _PROBLEM)
)


class GuardedTls(asyncio.Protocol):
    """One connection: a guest of the crowd until the handshake is done, then what its HTTP reads from."""

    def __init__(
        self,
        *,
        certificate: Certificate,
        crowd: Crowd,
        server_state: ServerState,
        _loop: asyncio.AbstractEventLoop | None = None,
        **of_http: Any,
    ) -> None:
        self._certificate = certificate
        self._crowd = crowd
        self._connections: set[Any] = server_state.connections
        self._loop = _loop or asyncio.get_event_loop()
        self._make_http = partial(
            GuardedHttp, crowd=crowd, server_state=server_state, _loop=self._loop, **of_http
        )
        self._session: TlsSession | None = None
        self._http: GuardedHttp | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._patience = self._loop.call_later(HANDSHAKE_S, self.give_way)
        self._connections.add(self)
        self._crowd.let_in(self, count=len(self._connections))
        if descriptors.is_kept(transport.get_extra_info("socket").fileno()):
            self.give_way()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._http is None:
            self._leave_crowd()
        else:
            self._http.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        try:
            if self._http is None:
                self._shake_hands(data)
            else:
                self._take(self._http, data)
        except ssl.SSLError as exc:
            self._end(exc)

    def pause_writing(self) -> None:
        if self._http is not None:
            self._http.pause_writing()

    def resume_writing(self) -> None:
        if self._http is not None:
            self._http.resume_writing()

    def give_way(self) -> None:
        """Close the connection for another one, or because it takes too long: nobody has said anything yet."""
        self.transport.abort()

    shutdown = give_way
    """What uvicorn calls when the server stops."""

    def _shake_hands(self, data: bytes) -> None:
        if self._session is None:
            if data[0] != _HANDSHAKE_RECORD:
                self._refuse_plain(data)
                return
            # Only now: who sends nothing costs no more than one without TLS.
            self._session = TlsSession(self._certificate.context)
        self._session.begin(data)
        self.transport.write(self._session.take())
        if self._session.has_begun:
            self._leave_crowd()
            self._http = self._make_http()
            self._http.connection_made(_Encrypted(self.transport, self._session))
            self._take(self._http, b"")

    def _take(self, http: GuardedHttp, data: bytes) -> None:
        assert self._session is not None  # noqa: S101  # there is no HTTP before it
        if self.transport.is_closing():
            return  # it was refused when the handshake was done
        decrypted = self._session.decrypt(data)
        if decrypted:
            http.data_received(decrypted)
        self._answer(self._session.take())
        if self._session.is_over:
            http.leave()

    def _answer(self, own: bytes) -> None:
        """Send what TLS itself has to say; to those who ask for it again and again and do not read, nothing more."""
        if own and self.transport.get_write_buffer_size() > MOST_ANSWERS_BYTES:
            self.transport.abort()
        elif own:
            self.transport.write(own)

    def _refuse_plain(self, data: bytes) -> None:
        """Tell somebody who speaks HTTP, and nobody else."""
        if data[:1].isalpha():
            self.transport.write(_NOT_TLS)
        self.transport.close()

    def _end(self, exc: ssl.SSLError) -> None:
        # Whoever likes can bring this about.
        log.debug("TLS failed: %s", exc)
        if self._http is not None:
            self._http.leave()
        elif self._session is not None:
            self.transport.write(self._session.take())
            self.transport.close()

    def _leave_crowd(self) -> None:
        self._patience.cancel()
        self._crowd.forget(self)
        self._connections.discard(self)


class _Encrypted(asyncio.Transport):
    """What HTTP writes to: the connection's transport, in front of which all is encrypted at once."""

    def __init__(self, transport: asyncio.Transport, session: TlsSession) -> None:
        super().__init__({"sslcontext": session.context})
        self._transport = transport
        self._session = session
        self.abort = transport.abort  # type: ignore[method-assign]
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]
        self.get_write_buffer_size = transport.get_write_buffer_size  # type: ignore[method-assign]

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return super().get_extra_info(name, self._transport.get_extra_info(name, default))

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._session.encrypt(bytes(data)))

    def close(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._session.end())
            self._transport.close()
