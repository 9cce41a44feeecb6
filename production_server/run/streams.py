"""The streams of a process: of each a thread that takes messages, and one that tells results."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from production_server.errors import Fault, SettingsError, Unavailable
from production_server.jobs.stream_members import leave, tell
from production_server.loop import Loop
from production_server.parts import SharedParts
from production_server.run.own_process import run_alone
from production_server.settings import Settings
from production_server.sources.streams.counts import Counts
from production_server.sources.streams.message import Sink, Source
from production_server.sources.streams.receiving import Receiver
from production_server.sources.streams.rules import Kind, StreamRule, read_streams
from production_server.sources.streams.telling import Teller

log = logging.getLogger(__name__)

PAUSE_S = 1.0
"""How long to wait before what does not answer is asked again."""
BEAT_S = 3.0


def open_streams(settings: Settings) -> Mapping[str, StreamRule]:
    """The streams that STREAMS_FILE names; none where it is not set.

    Raises:
        SettingsError: the file cannot be used, or what its streams need is not installed.
    """
    if settings.streams_file is None:
        return {}
    rules = read_streams(settings.streams_file)
    for name, rule in rules.items():
        try:
            refused = _refused_properties(rule)
        except ImportError as exc:
            how = f"make run EXTRAS={rule.kind}; elsewhere requirements/serving-{rule.kind}.txt"
            fault = Fault(f"STREAMS_FILE: {name}", f"what {rule.kind}:// needs ({how})", str(exc))
            raise SettingsError((fault,)) from exc
        if refused is not None:
            place = f"STREAMS_FILE: streams.{name}.properties"
            raise SettingsError((Fault(place, "properties of librdkafka", refused),))
    return rules


@dataclass(slots=True)
class Streams:
    """All streams of a process, from `start` to `close`."""

    shared: SharedParts
    rules: Mapping[str, StreamRule]
    process: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    _running: list[_Running] = field(default_factory=list)

    def start(self) -> None:
        """Join all of them; what does not answer is tried again for ever."""
        for name, rule in self.rules.items():
            running = _Running.of(self.shared, self.process, name, rule)
            self._running.append(running)
            running.start()
        log.info("streams: %s", ", ".join(f"{name} ({rule.source})" for name, rule in self.rules.items()))

    def close(self) -> None:
        """Leave all of them: what is in hand is stored or let go of."""
        for running in self._running:
            running.stopping.set()
        for running in self._running:
            running.stop()


@dataclass(slots=True)
class _Running:
    shared: SharedParts
    process: str
    name: str
    receiver: Receiver
    teller: Teller | None
    sink: Sink | None
    stopping: threading.Event
    loops: tuple[Loop, ...] = ()
    _told_at: float = -BEAT_S

    @classmethod
    def of(cls, shared: SharedParts, process: str, name: str, rule: StreamRule) -> _Running:
        make_source, make_sink = _adapters(rule.kind)
        counts = Counts()
        stopping = threading.Event()
        receiver = Receiver(
            name=name,
            rule=rule,
            source=make_source(rule),
            intake=shared.intake,
            registry=shared.registry,
            counts=counts,
        )
        teller = sink = None
        if rule.tells_refusals:
            sink = make_sink(rule)
            teller = Teller(name, rule, sink, shared.database, shared.registry, counts)
        return cls(shared, process, name, receiver, teller, sink, stopping)

    def start(self) -> None:
        steps = {f"stream {self.name}": self._take}
        if self.teller is not None:
            steps[f"results of {self.name}"] = partial(self._tell, self.teller)
        self.loops = tuple(
            Loop(name, step, pause_s=PAUSE_S, stopping=self.stopping) for name, step in steps.items()
        )
        for loop in self.loops:
            loop.start()

    def stop(self) -> None:
        for loop in self.loops:
            loop.stop()
        self.receiver.source.close()
        if self.sink is not None:
            self.sink.close()
        try:
            if self.teller is not None:
                self.teller.close()
            leave(self.shared.database, self.name, self.process)
        except Unavailable as exc:
            # Others find out by themselves, a little later.
            log.warning("stream %s: %s", self.name, exc.with_place)

    def _take(self) -> bool:
        if time.monotonic() - self._told_at > BEAT_S:
            self._told_at = time.monotonic()
            self._beat()
        before = self.receiver.counts.messages
        goes_on = self.receiver.step()
        if self.teller is not None and self.receiver.counts.messages > before:
            self.teller.expect()
        return goes_on

    def _tell(self, teller: Teller) -> bool:
        if not teller.step():
            teller.wait()
        return True

    def _beat(self) -> None:
        state, rule = self.receiver.source.state(), self.receiver.rule
        told = {
            "from": rule.source,
            "models": list(rule.models),
            "results": rule.results,
            "most_waiting": rule.most_waiting,
            "partitions": dict(state.lag),
            "fault": state.fault,
            "paused": self.receiver.is_paused,
            **self.receiver.counts.as_told(),
        }
        tell(self.shared.database, self.name, self.process, told)


def run_streams(settings: Settings) -> None:
    """Read all streams until SIGTERM or SIGINT.

    Raises:
        SettingsError: no streams are named, or they cannot be used. Others as `run_alone`.
    """
    rules = open_streams(settings)
    if not rules:
        raise SettingsError((Fault("STREAMS_FILE", "a file of streams, or --config", "nothing"),))
    run_alone(settings, lambda shared: Streams(shared, rules))


def _refused_properties(rule: StreamRule) -> str | None:
    """What the stream's library has against its properties.

    Raises:
        ImportError: it is not installed.
    """
    _adapters(rule.kind)
    if rule.kind == "pubsub":
        return None
    from production_server.sources.streams.kafka import refused_properties

    return refused_properties(rule)


def _adapters(kind: Kind) -> tuple[Callable[[StreamRule], Source], Callable[[StreamRule], Sink]]:
    """What speaks a kind of stream; imported here, since its library is an extra.

    Raises:
        ImportError: it is not installed.
    """
    if kind == "kafka":
        from production_server.sources.streams.kafka import KafkaSink, KafkaSource

        return KafkaSource, KafkaSink
    from production_server.sources.streams.pubsub import PubSubSink, PubSubSource

    return PubSubSource, PubSubSink
