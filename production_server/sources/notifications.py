"""What buckets tell of becomes jobs: each object that a rule gives to a model, once for a version of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from production_server.errors import MAX_FAULTS, Fault, InvalidInput, NotFound, SettingsError, VersionRetired
from production_server.intake.intake import Intake
from production_server.jobs.records import Job, NewObjects
from production_server.models.channels import is_channel_name
from production_server.models.registry import Registry
from production_server.settings import Settings
from production_server.sources.event import Dialect, ObjectEvent
from production_server.sources.junk import is_junk
from production_server.sources.object_events import EventsRead
from production_server.sources.rules import Rule, read_rules
from production_server.storage.objects import Reference

log = logging.getLogger(__name__)

SOURCE = "event"
_SCHEMES: dict[Dialect, str] = {
    "aws": "s3",
    "azure": "az",
    "ceph": "s3",
    "eventbridge": "s3",
    "google": "gs",
    "minio": "s3",
}


class _Target(NamedTuple):
    """Which version gets an object, and whose the answer is."""

    model: str
    version: str
    client: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the events of one request."""

    jobs: tuple[Job, ...]
    accepted: int
    """Items that were made: one for each object and version of a model that a rule gives it to."""
    known: int
    """Items that there were already."""
    ignored: int
    """Events that no rule is about, or that tell of nothing new: removals, folders, what is no picture of anybody's."""
    refused: int
    """Events that cannot be read, or whose object may not be."""
    faults: tuple[Fault, ...]
    """Why, of the first 20."""


@dataclass(slots=True)
class Notifications:
    """Takes events by rules. Safe to share between threads."""

    rules: Sequence[Rule]
    registry: Registry
    intake: Intake

    def take(self, read: EventsRead) -> Taken:
        """Store an item for each object that is told of; what comes twice changes nothing.

        Raises:
            InvalidInput: all objects that a rule is about lie where nothing may be read (code `location_not_allowed`),
                or have such keys.
            Unavailable: the database does not answer; the request may come again, in part or as a whole.
        """
        groups: dict[_Target, list[Reference]] = {}
        errors: list[InvalidInput] = []
        ignored = 0
        for event in read.events:
            targets = tuple(self._targets_of(event))
            if not targets:
                ignored += 1
                continue
            try:
                reference = self._reference(event)
            except InvalidInput as exc:
                errors.append(exc)
                continue
            for target in targets:
                groups.setdefault(target, []).append(reference)
        faults = (*read.faults, *(fault for error in errors for fault in error.faults))[:MAX_FAULTS]
        if errors and len(errors) == len(read.events):
            refused = read.refused + len(errors)
            if refused == 1:
                raise errors[0]
            raise InvalidInput(f"{refused} events cannot be taken", faults, code=errors[0].code)
        jobs = tuple(self._submit(groups))
        made, asked = sum(job.total for job in jobs), sum(map(len, groups.values()))
        for fault in faults:
            log.warning("an event was refused: %s", fault)
        return Taken(jobs, made, asked - made, ignored, read.refused + len(errors), faults)

    def _targets_of(self, event: ObjectEvent) -> Iterator[_Target]:
        """Where the rules that are about an event want its object, each target once.

        Raises:
            NotFound, VersionRetired: no rule that is about it names a version that takes work.
        """
        is_folder = event.key.endswith("/") and not event.size_bytes
        found: dict[_Target, None] = {}
        error: NotFound | VersionRetired | None = None
        if event.is_created and not is_folder and not is_junk(event.key):
            for rule in self.rules:
                if rule.matches(event):
                    try:
                        version = self.registry.draw(
                            rule.model, rule.version, sticky=f"{event.bucket}/{event.key}"
                        )
                    except (NotFound, VersionRetired) as exc:
                        # The other rules' models must get it all the same.
                        log.warning("a rule of events cannot be followed: %s", exc)
                        error = exc
                    else:
                        found[_Target(*version.key, rule.client)] = None
        if error is not None and not found:
            raise error
        return iter(found)

    def _reference(self, event: ObjectEvent) -> Reference:
        url = f"{_SCHEMES[event.dialect]}://{event.bucket}/{event.key}"
        location = self.intake.location(url, field=event.path or "body")
        return Reference(location.url, event.etag or "", event.size_bytes or 0)

    def _submit(self, groups: dict[_Target, list[Reference]]) -> Iterable[Job]:
        for target, references in groups.items():
            new = NewObjects(target.model, target.version, references, source=SOURCE, client=target.client)
            accepted = self.intake.accept_objects(new)
            if accepted is not None:
                yield accepted


def open_rules(settings: Settings, registry: Registry) -> tuple[Rule, ...]:
    """The rules of the file that EVENTS_FILE names; none where it names none.

    Raises:
        SettingsError: it cannot be read, or a rule cannot be used; or nobody could prove that he may send events.
    """
    file = settings.events_file
    if file is None:
        return ()
    if not settings.events_token:
        raise SettingsError((Fault("EVENTS_TOKEN", "a secret that senders of events know", "nothing"),))

    def is_known(model: str, version: str | None) -> bool:
        try:
            # What a channel names is known only when an event comes.
            if version is None or is_channel_name(version):
                *_, found = registry.versions(model)
            else:
                found = registry.version(model, version)
        except NotFound:
            return False
        return found.task.inputs.takes_files

    return read_rules(_text_of(file), source=str(file), is_known=is_known)


def _text_of(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        fault = Fault("EVENTS_FILE", "a file that can be read", f"{str(file)!r} ({why})")
        raise SettingsError((fault,)) from exc
