"""A network between a service and its database that swallows what is sent, and tells neither end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Network:
    """Passes connections on to a port of this machine, from `port`, between `start` and `close`."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self._to_port = to_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._is_open = threading.Event()
        self._is_over = asyncio.Event()
        self._is_cut = False
        self._left_bytes: int | None = None
        self._passing: set[object] = set()
        """The connections of which something passes."""

    def start(self) -> None:
        """Take connections."""
        self._thread.start()
        self._is_open.wait()

    def cut(self) -> None:
        """From now on nothing passes; new connections are taken, and hear nothing."""
        self._is_cut = True
        self.forget_connections()

    def forget_connections(self) -> None:
        """Of the connections that there are nothing passes any more, as behind a router that has forgotten them."""
        self._passing.clear()

    def cut_after(self, size_bytes: int) -> None:
        """Let so many bytes of answers pass, then nothing."""
        self._left_bytes = size_bytes

    def mend(self) -> None:
        """New connections pass again; those there were do not."""
        self._is_cut, self._left_bytes = False, None

    def close(self) -> None:
        """End all connections, without a word."""
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._is_open.set()
        await self._is_over.wait()
        server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = object()
        if not self._is_cut:
            self._passing.add(one)
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(writer):
            answers, there = await asyncio.open_connection("127.0.0.1", self._to_port)
            with contextlib.closing(there):
                await asyncio.gather(
                    self._pump(reader, there, one), self._pump(answers, writer, one, is_answer=True)
                )

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        one: object,
        *,
        is_answer: bool = False,
    ) -> None:
        while data := await reader.read(2**16):
            if is_answer and self._left_bytes is not None:
                data = data[: self._left_bytes]
                self._left_bytes -= len(data)
            if one in self._passing:
                writer.write(data)
                await writer.drain()
            if self._left_bytes == 0:
                self.cut()
        writer.close()


@contextlib.contextmanager
def network(to_port: int) -> Iterator[Network]:
    """A network that passes everything until it is cut."""
    between = Network(to_port)
    between.start()
    try:
        yield between
    finally:
        between.close()
