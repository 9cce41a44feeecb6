"""One TLS session between bytes that were encrypted and bytes that are not. Knows OpenSSL, and no sockets."""

from __future__ import annotations

import contextlib
import ssl

SLICE_BYTES = 16 * 2**10
"""So much is encrypted or decrypted at once, a record's worth: OpenSSL's buffers grow with it, and never shrink."""


class TlsSession:
    """A session that has yet to begin; a server's, unless it is said that it is a client's."""

    def __init__(self, context: ssl.SSLContext, *, is_server: bool = True) -> None:
        self.context = context
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server)
        self.has_begun = False
        """Whether the handshake is done."""
        self.is_over = False
        """Whether the other side has said that it sends no more."""

    def begin(self, data: bytes) -> None:
        """Take in what has come of the handshake; what is to be sent then, an alert too, `take` has.

        Raises:
            ssl.SSLError: there will be no session.
        """
        self._incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._ssl.do_handshake()
            self.has_begun = True

    def decrypt(self, data: bytes) -> bytes:
        """What is in `data`, and in what came before it. `take` may have an answer to it.

        Raises:
            ssl.SSLError: it is no part of this session.
        """
        parts = []
        for start in range(0, len(data), SLICE_BYTES) or (0,):
            self._incoming.write(data[start : start + SLICE_BYTES])
            parts += self._read()
        return b"".join(parts)

    def encrypt(self, data: bytes) -> bytes:
        """`data` as it is to be sent.

        Raises:
            ssl.SSLError: the session has failed.
        """
        parts, view = [], memoryview(data)
        for start in range(0, len(data), SLICE_BYTES):
            self._ssl.write(view[start : start + SLICE_BYTES])
            parts.append(self._outgoing.read())
        return b"".join(parts)

    def end(self) -> bytes:
        """What tells the other side that no more will be sent (RFC 8446, section 6.1); nobody waits for its answer."""
        # It fails where the other side has not answered yet, and where it never will.
        with contextlib.suppress(ssl.SSLError):
            self._ssl.unwrap()
        return self.take()

    def take(self) -> bytes:
        """What is to be sent beside data."""
        return self._outgoing.read()

    def peer_certificate(self) -> dict[str, object]:
        """The other side's certificate, where it was verified."""
        return dict(self._ssl.getpeercert() or {})

    def _read(self) -> list[bytes]:
        parts = []
        # Asking when there is nothing raises an exception each time.
        while not self.is_over and (self._incoming.pending or self._ssl.pending()):
            try:
                part = self._ssl.read(SLICE_BYTES)
            except ssl.SSLWantReadError:
                break
            self.is_over = not part
            parts.append(part)
        return parts
