"""Rules that say which model gets which objects of which bucket: what stands in `events.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import yaml

from production_server.errors import Fault, SettingsError
from production_server.sources.event import BUCKET_RULE, ObjectEvent, is_bucket_name, plain_name
from production_server.sources.plain_yaml import YamlReader, compose_plain

KEYS = ("bucket", "prefix", "suffix", "metadata", "model", "version")

IsKnown = Callable[[str, str | None], bool]
"""Whether the store has a model, or a version of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Objects that go to one model; `version` None is whichever is stable when they come."""

    bucket: str
    model: str
    version: str | None = None
    prefix: str = ""
    suffixes: tuple[str, ...] = ()
    """Lower-case; none: any."""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    """By plain names (`event.plain_name`); all must be what the event carries."""

    def matches(self, event: ObjectEvent) -> bool:
        """Whether the event's object is one of this rule's, whatever happened to it."""
        return (
            event.bucket == self.bucket
            and event.key.startswith(self.prefix)
            and (not self.suffixes or event.key.lower().endswith(self.suffixes))
            and all(event.metadata.get(name) == value for name, value in self.metadata.items())
        )


def read_rules(text: str, *, source: str, is_known: IsKnown) -> tuple[Rule, ...]:
    """The rules in `text`, the content of the file `source`, in its order.

    Raises:
        SettingsError: one or more rules cannot be used; it names every fault by line and path. Of a file that is not
            YAML, it names the first.
    """
    root = compose_plain(text, source=source)
    if root is None:
        raise SettingsError((Fault(f"{source}:1: rules", "a list of at least one", "nothing"),))
    reader = YamlReader(source)
    members = reader.members(root, "", known=("rules",), required=("rules",))
    entries = reader.items(members["rules"], "rules") if members else []
    rules = tuple(_read_rule(reader, node, path, is_known=is_known) for node, path in entries)
    if reader.faults:
        raise SettingsError(tuple(reader.faults))
    return rules


def _read_rule(reader: YamlReader, node: yaml.Node, path: str, *, is_known: IsKnown) -> Rule:
    """One rule; after a fault was noted it is none to be used."""
    members = reader.members(node, path, known=KEYS, required=("bucket", "model"))
    rule = Rule(
        bucket=reader.text(members.get("bucket"), f"{path}.bucket"),
        model=reader.text(members.get("model"), f"{path}.model"),
        version=reader.text(members.get("version"), f"{path}.version") or None,
        prefix=reader.text(members.get("prefix"), f"{path}.prefix"),
        suffixes=tuple(each.lower() for each in reader.texts(members.get("suffix"), f"{path}.suffix")),
        metadata=_read_metadata(reader, members.get("metadata"), f"{path}.metadata"),
    )
    if rule.bucket and not is_bucket_name(rule.bucket):
        reader.fault(members["bucket"], f"{path}.bucket", expected=BUCKET_RULE)
    if rule.model and not is_known(rule.model, None):
        reader.fault(members["model"], f"{path}.model", expected="a model that the store has")
    elif rule.model and rule.version and not is_known(rule.model, rule.version):
        expected = f"a version of {rule.model} that the store has"
        reader.fault(members["version"], f"{path}.version", expected=expected)
    return rule


def _read_metadata(reader: YamlReader, node: yaml.Node | None, path: str) -> dict[str, str]:
    texts = reader.texts_by_name(node, path)
    plain = {plain_name(name): value for name, value in texts.items()}
    if node and len(plain) < len(texts):
        reader.fault(node, path, expected="names that differ in more than case", got="some that do not")
    return plain
