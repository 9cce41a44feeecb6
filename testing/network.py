"""A network between a service and its database that swallows what is sent, and tells neither end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Network:
    """Passes on connections to a port of this machine from a port of its own."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self._to_port = to_port
        self._loop = asyncio.new_event_loop()
        self._is_cut = False
        self._passes: set[asyncio.Event] = set()
        """One for each connection: whether it passes on what comes."""
        self._left_bytes: int | None = None
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def cut(self) -> None:
        """From now on nothing passes; new connections are taken, and hear nothing."""
        self._is_cut = True
        self.forget_connections()

    def forget_connections(self) -> None:
        """Connections that there are hear nothing any more, as behind a router that has forgotten them."""
        for passes in self._passes:
            passes.clear()

    def cut_after(self, size_bytes: int) -> None:
        """Let so many bytes from the database pass, then nothing."""
        self._left_bytes = size_bytes

    def mend(self) -> None:
        """New connections pass again; those there were do not."""
        self._is_cut, self._left_bytes = False, None

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passes = asyncio.Event()
        self._passes.add(passes)
        if not self._is_cut:
            passes.set()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
            await asyncio.gather(
                self._pump(reader, back, passes), self._pump(there, writer, passes, is_answer=True)
            )

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        passes: asyncio.Event,
        *,
        is_answer: bool = False,
    ) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(2**16):
                if is_answer and self._left_bytes is not None:
                    data, self._left_bytes = data[: self._left_bytes], max(0, self._left_bytes - len(data))
                    if not self._left_bytes:
                        writer.write(data)
                        self.cut()
                await passes.wait()
                writer.write(data)
                await writer.drain()


@contextlib.contextmanager
def network(to_port: int) -> Iterator[Network]:
    """A network that passes everything until it is cut."""
    between = Network(to_port)
    between.start()
    try:
        yield between
    finally:
        between.close()
