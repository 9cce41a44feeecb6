"""The link to workers, with workers that a test plays, and with real ones, over real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from production_server.broker import worker_link
from production_server.broker.addresses import Address, Port, SocketFile, told
from production_server.broker.frames import GREETING, Frame, FrameReader, Kind, frame
from production_server.broker.links import Body
from production_server.broker.worker_link import WorkerLink
from production_server.errors import CeleriacError, SettingsError, Unavailable
from production_server.jobs.records import WorkerInfo
from production_server.settings import Settings, read_settings
from production_server.worker import web_connection
from production_server.worker.call_server import CallServer
from production_server.worker.call_sockets import open_sockets
from testing.certificates import make_pair
from testing.event_loop import LoopThread
from testing.processes import free_ports, wait_until

TIMEOUT_S = 10


class Played:
    """A worker that does what a test says."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.address = SocketFile(folder / name)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.address.path))
        self._listening.listen()
        self._listening.settimeout(TIMEOUT_S)
        self.connection: socket.socket
        self._frames: list[Frame] = []
        self._reader = FrameReader(Kind.NUMBERS, Kind.IMAGES)

    def accept(self) -> None:
        """Take a connection, and greet."""
        self.connection = self._listening.accept()[0]
        self.connection.settimeout(TIMEOUT_S)
        self._reader = FrameReader(Kind.NUMBERS, Kind.IMAGES)
        assert self.take().kind is Kind.HELLO
        self.say(Kind.HELLO, body=GREETING)

    def take(self) -> Frame:
        while not self._frames:
            received = self.connection.recv(2**16)
            assert received, "the connection is closed"
            self._frames += self._reader.feed(received)
        return self._frames.pop(0)

    def say(self, kind: Kind, key: int = 0, body: bytes = b"") -> None:
        self.connection.sendall(b"".join(frame(kind, key, body)))

    def is_left(self) -> bool:
        """Whether the connection was closed."""
        return self.connection.recv(1) == b""

    def die(self) -> None:
        self.connection.close()

    def close(self) -> None:
        self._listening.close()
        with contextlib.suppress(AttributeError):
            self.connection.close()


@dataclass
class Place:
    """A link, what it has told, and workers to play."""

    folder: Path
    loop: LoopThread
    link: WorkerLink
    replies: dict[int, bytes] = field(default_factory=dict)
    errors: dict[int, CeleriacError] = field(default_factory=dict)
    workers: list[Played] = field(default_factory=list)

    def replied(self, key: int, body: Body) -> None:
        self.replies[key] = bytes(body)

    def lost(self, key: int, error: CeleriacError) -> None:
        self.errors[key] = error

    def play(self, *names: str) -> list[Played]:
        """Workers that are connected."""
        made = [Played(self.folder, name) for name in names]
        self.workers += made
        self.link.know([alive(each.name, each.address) for each in self.workers])
        for each in made:
            each.accept()
        wait_until(lambda: self.link.workers == len(self.workers), what="all are connected")
        return made

    def send(self, key: int, body: bytes = b"body", kind: Kind = Kind.NUMBERS) -> None:
        self.loop.run(self.link.send, key, kind, body)


def alive(name: str, *addresses: Address, **other: Any) -> WorkerInfo:
    calls = told(addresses) | other
    return WorkerInfo(name=name, started_at=0, seen_at=0, warm=(), items_done=0, failing={}, calls=calls)


@contextlib.contextmanager
def placed(folder: Path, settings: Settings) -> Iterator[Place]:
    place = Place(folder, LoopThread(), WorkerLink(settings))
    place.loop.run(place.link.start, place.replied, place.lost)
    try:
        yield place
    finally:
        place.loop.run(place.link.close)
        for each in place.workers:
            each.close()
        place.loop.stop()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(tmp_path, read_settings({})) as made:
        yield made


def test_a_batch_goes_to_the_worker_that_has_the_fewest(place: Place) -> None:
    one, other = place.play("one", "other")

    for key in range(1, 5):
        place.send(key)
    for worker in (one, other):
        for each in (worker.take(), worker.take()):
            worker.say(Kind.REPLY, each.key, f"{worker.name} {each.key}".encode())
    wait_until(lambda: len(place.replies) == 4, what="all are answered")

    assert sorted(place.replies.values()) == [b"one 1", b"one 3", b"other 2", b"other 4"]


def test_a_batch_whose_worker_dies_is_sent_once_more_and_no_third_time(place: Place) -> None:
    one, other, third = place.play("one", "other", "third")
    place.send(1)

    assert one.take().key == 1
    one.die()
    assert other.take().key == 1
    other.die()
    wait_until(lambda: 1 in place.errors, what="it is given up")
    place.send(2)

    assert third.take().key == 2, "the third worker has not got the first batch"
    assert isinstance(place.errors[1], Unavailable) and "two workers were lost" in str(place.errors[1])
    assert place.link.broken == {"sent_again": 1, "given_up": 1}


def test_a_batch_whose_only_worker_dies_waits_for_the_next_one(place: Place) -> None:
    (one,) = place.play("one")
    place.send(1)
    one.take()
    one.die()
    one.close()
    wait_until(lambda: place.link.unsent_batches == 1, what="the batch waits")
    assert place.link.is_open

    place.workers.clear()
    (new,) = place.play("new")

    assert new.take().key == 1


def test_nobody_is_waited_for_for_ever(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_link, "ALONE_S", 0)

    assert not place.link.is_open
    place.play("one")
    assert place.link.is_open


def test_a_worker_that_is_full_has_another_one_asked_and_that_costs_no_try(place: Place) -> None:
    one, other = place.play("one", "other")
    place.send(1)

    one.say(Kind.FULL, one.take().key)
    assert other.take().key == 1
    other.die()

    assert one.take().key == 1, "it was sent once before"


def test_workers_that_are_all_full_are_asked_again(place: Place) -> None:
    (one,) = place.play("one")
    place.send(1)

    for _ in range(3):
        one.say(Kind.FULL, one.take().key)
    one.say(Kind.REPLY, one.take().key, b"at last")

    wait_until(lambda: place.replies == {1: b"at last"}, what="it is answered")


def test_numbers_are_not_refused_for_images(place: Place) -> None:
    (one,) = place.play("one")
    place.send(1, kind=Kind.IMAGES)
    one.say(Kind.FULL, one.take().key)

    place.send(2)

    assert next(each.kind for each in iter(one.take, None) if each.key == 2) is Kind.NUMBERS


def test_a_worker_that_says_goodbye_gets_nothing_more_and_answers_what_it_has(place: Place) -> None:
    one, other = place.play("one", "other")
    place.send(1)
    batch = one.take()

    one.say(Kind.GOODBYE)
    wait_until(lambda: place.link.workers == 1, what="it is left alone")
    place.send(2)
    place.send(3)
    assert [other.take().key, other.take().key] == [2, 3]
    one.say(Kind.REPLY, batch.key, b"the last")
    one.die()

    wait_until(lambda: place.replies == {1: b"the last"}, what="it is answered")
    assert not any(place.link.broken.values())


def test_a_worker_that_answers_nothing_in_time_is_asked_last(place: Place) -> None:
    one, other = place.play("one", "other")
    place.send(1)
    batch = one.take()
    place.loop.run(place.link.forget, 1)

    for key in (2, 3, 4):
        place.send(key)
    assert [other.take().key for _ in range(3)] == [2, 3, 4]
    one.say(Kind.REPLY, batch.key, b"too late")
    wait_until(lambda: place.link.workers == 2, what="it lives")
    place.send(5)

    assert one.take().key == 5
    assert place.replies == {}


def test_a_batch_that_nobody_waits_for_is_not_sent_again(place: Place) -> None:
    one, other = place.play("one", "other")
    place.send(1)
    one.take()
    place.loop.run(place.link.forget, 1)
    one.die()
    place.send(2)

    assert other.take().key == 2
    assert not any(place.link.broken.values())


def test_a_worker_without_a_heartbeat_is_asked_last(place: Place) -> None:
    _one, other = place.play("one", "other")
    place.link.know([alive(other.name, other.address)])
    wait_until(lambda: place.link.workers == 1, what="the other one is known to be silent")

    place.send(1)
    place.send(2)

    assert [other.take().key, other.take().key] == [1, 2]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        struct.pack(">IBQ", 2**32 - 1, Kind.REPLY, 1),
        b"".join(frame(Kind.NUMBERS, 1, b"x")),
    ],
)
def test_who_answers_otherwise_is_left_and_the_batch_goes_to_another(place: Place, said: bytes) -> None:
    one, other = place.play("one", "other")
    place.send(1)
    one.take()

    one.connection.sendall(said)

    assert other.take().key == 1
    assert one.is_left()


def test_half_a_reply_is_none(place: Place) -> None:
    one, other = place.play("one", "other")
    place.send(1)
    whole = b"".join(frame(Kind.REPLY, one.take().key, b"half of it"))

    one.connection.sendall(whole[:-3])
    one.die()

    assert other.take().key == 1 and not place.replies


@pytest.mark.parametrize("calls", [None, {"protocol": 99, "addresses": ["unix:///nowhere"]}])
def test_a_worker_of_another_release_is_not_asked(place: Place, calls: Any) -> None:
    other = WorkerInfo(name="x", started_at=0, seen_at=0, warm=(), items_done=0, failing={}, calls=calls)
    place.link.know([other])

    (one,) = place.play("one")
    place.send(1)

    assert one.take().key == 1


class Echo:
    """What makes replies: the same again, when it may."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.asked = 0

    def answer(self, body: Body) -> bytes:
        self.asked += 1
        self.goes_on.wait(TIMEOUT_S)
        return bytes(body)

    def answer_if_quick(self, body: Body) -> bytes | None:  # none is
        return None


@contextlib.contextmanager
def serving(settings: Settings, echo: Echo | None = None) -> Iterator[CallServer]:
    server = CallServer(settings, echo or Echo())
    server.start()
    try:
        yield server
    finally:
        server.stop(within_s=TIMEOUT_S)


def settings_for(folder: Path, **more: str) -> Settings:
    return read_settings({"STATE_DIR": str(folder / "s")} | more)


def know(place: Place, server: CallServer) -> None:
    place.link.know(
        [
            WorkerInfo(
                name="real", started_at=0, seen_at=0, warm=(), items_done=0, failing={}, calls=server.told
            )
        ]
    )


def test_a_worker_that_stops_answers_what_it_has(place: Place, tmp_path: Path) -> None:
    echo = Echo()
    with serving(settings_for(tmp_path), echo) as server:
        know(place, server)
        wait_until(lambda: place.link.workers == 1, what="it is connected")
        echo.goes_on.clear()
        for key in range(1, 4):
            place.send(key, b"%d" % key)
        wait_until(lambda: server._held[Kind.NUMBERS].batches == 3, what="they are there")
        stopping = threading.Thread(target=server.stop, kwargs={"within_s": TIMEOUT_S})
        stopping.start()
        wait_until(lambda: place.link.workers == 0, what="it has said goodbye")
        echo.goes_on.set()
        stopping.join()

    wait_until(lambda: place.replies == {1: b"1", 2: b"2", 3: b"3"}, what="all are answered")
    assert not any(place.link.broken.values())
    assert list((tmp_path / "s" / "calls").iterdir()) == []


def test_what_a_web_process_has_asked_that_is_gone_is_not_run(place: Place, tmp_path: Path) -> None:
    echo = Echo()
    with serving(settings_for(tmp_path), echo) as server:
        know(place, server)
        wait_until(lambda: place.link.workers == 1, what="it is connected")
        echo.goes_on.clear()
        for key in range(1, 6):
            place.send(key)
        wait_until(lambda: server._held[Kind.NUMBERS].batches == 5, what="they are there")
        place.loop.run(place.link.close)
        wait_until(lambda: not server._connections, what="it is gone")
        echo.goes_on.set()
        wait_until(lambda: not server._held[Kind.NUMBERS].batches, what="all are dropped")

    assert echo.asked == 1


def test_a_worker_takes_so_many_batches_and_no_more(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("production_server.worker.call_server.MOST_HELD", 2)
    echo = Echo()
    with serving(settings_for(tmp_path), echo) as server:
        know(place, server)
        echo.goes_on.clear()
        for key in range(1, 6):
            place.send(key, b"%d" % key)
        wait_until(lambda: place.link.unsent_batches == 3, what="the others wait")
        echo.goes_on.set()
        wait_until(lambda: len(place.replies) == 5, what="all are answered")


def test_the_folder_is_private_and_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    left, alive_one = open_sockets(settings) + open_sockets(settings)
    left.socket.close()

    again = open_sockets(settings)

    folder = tmp_path / "s" / "calls"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {str(each) for each in folder.iterdir()} == {
        str(each.address).removeprefix("unix://") for each in (alive_one, *again)
    }
    for each in (alive_one, *again):
        each.close()


@pytest.mark.parametrize("fault", ["open to others", "too long"])
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / ("x" * 99 if fault == "too long" else "open")
    folder.mkdir(mode=0o700)
    if fault == "open to others":
        folder.chmod(0o755)

    with pytest.raises(SettingsError, match="CALLS_DIR: expected a"):
        open_sockets(settings_for(tmp_path, CALLS_DIR=str(folder)))


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    authority = make_pair(tmp_path, "authority", is_authority=True)
    return of(make_pair(tmp_path, "worker", of=authority), authority)


def of(pair: Any, authority: Any) -> dict[str, str]:
    return {
        "CALLS_TLS_CERT": str(pair.cert),
        "CALLS_TLS_KEY": str(pair.key),
        "CALLS_TLS_CA": str(authority.cert),
    }


def elsewhere(server: CallServer) -> WorkerInfo:
    """A worker as it is told of on another machine, where its socket is not."""
    calls = server.told
    addresses = [each for each in calls["addresses"] if not each.startswith("unix:")]
    return WorkerInfo(
        name="far",
        started_at=0,
        seen_at=0,
        warm=(),
        items_done=0,
        failing={},
        calls=calls | {"addresses": addresses},
    )


@contextlib.contextmanager
def far(
    tmp_path: Path, worker: dict[str, str], web: dict[str, str]
) -> Iterator[tuple[Place, CallServer, int]]:
    (port,) = free_ports(1)
    listen = {"CALLS_LISTEN": f"127.0.0.1:{port}"}
    with (
        serving(settings_for(tmp_path, **listen, **worker)) as server,
        placed(tmp_path, read_settings(web)) as place,
    ):
        place.link.know([elsewhere(server)])
        yield place, server, port


@pytest.mark.parametrize("has_tls", [True, False])
def test_a_worker_on_another_machine_is_asked_over_tcp(
    tmp_path: Path, tls: dict[str, str], has_tls: bool
) -> None:
    settings = tls if has_tls else {}
    with far(tmp_path, settings, settings) as (place, server, port):
        wait_until(lambda: place.link.workers == 1, what="it is connected")
        place.send(1, bytes(2**20))
        wait_until(lambda: place.replies == {1: bytes(2**20)}, what="it is answered")

        assert server.told["addresses"][1] == f"{'tls' if has_tls else 'tcp'}://127.0.0.1:{port}"


@pytest.mark.parametrize("whose", ["the web process's", "the worker's"])
def test_a_certificate_of_another_authority_opens_nothing(
    tmp_path: Path, tls: dict[str, str], whose: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_pair(tmp_path, "other", is_authority=True)
    stranger = of(make_pair(tmp_path, "stranger", of=other), other)
    # Of the two only the one that is tested does not believe the other.
    stranger["CALLS_TLS_CA"] = tls["CALLS_TLS_CA"]
    worker, web = (tls, stranger) if whose == "the web process's" else (stranger, tls)

    with far(tmp_path, worker, web) as (place, server, _):
        wait_until(lambda: "cannot reach worker far" in caplog.text, what="it is refused")

        assert place.link.workers == 0 and not server._held[Kind.NUMBERS].batches


def test_who_shows_no_certificate_is_not_spoken_to(tmp_path: Path, tls: dict[str, str]) -> None:
    trusting = ssl.create_default_context(cafile=tls["CALLS_TLS_CA"])
    with far(tmp_path, tls, tls) as (_, server, port):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            # With TLS 1.3 a client learns only when it reads whether it was believed.
            heard = b""
            with contextlib.suppress(OSError):
                connection.sendall(b"".join(frame(Kind.HELLO, 0, GREETING)))
                heard = connection.recv(100)

        assert heard == b"" and len(server._connections) <= 1, "the link's own connection"


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 200, b"", b"\x00\x00"])
def test_a_stranger_on_a_port_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(web_connection, "GREET_WITHIN_S", 0.3)
    with far(tmp_path, {}, {}) as (place, _, port):
        wait_until(lambda: place.link.workers == 1, what="it is connected")
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
            connection.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""

        place.send(1, b"others go on")
        wait_until(lambda: bool(place.replies), what="it is answered")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"CALLS_LISTEN": "192.0.2.1:5200"}, "CALLS_LISTEN: expected 127.0.0.1, as long as there are no"),
        ({"CALLS_LISTEN": "127.0.0.1:5200", "CALLS_TLS_CERT": "{CERT}"}, "CALLS_TLS_KEY: expected a file"),
        ({"CALLS_LISTEN": "192.0.2.1:5200", **{f"CALLS_TLS_{x}": f"{{{x}}}" for x in ("CERT", "KEY", "CA")}},
         "CALLS_LISTEN: expected an address that can be listened on"),
    ],
)  # fmt: skip
def test_a_port_that_would_be_open_to_strangers_is_refused(
    tmp_path: Path, tls: dict[str, str], given: dict[str, str], named: str
) -> None:
    files = {name.removeprefix("CALLS_TLS_"): file for name, file in tls.items()}
    settings = settings_for(tmp_path, **{name: value.format_map(files) for name, value in given.items()})

    with pytest.raises(SettingsError, match=named):
        open_sockets(settings)


@pytest.mark.parametrize("port", [Port("192.0.2.1", 1, has_tls=False), Port("host", 1, has_tls=False)])
def test_what_would_leave_this_machine_in_the_clear_is_not_asked(port: Port) -> None:
    assert not port.is_here
