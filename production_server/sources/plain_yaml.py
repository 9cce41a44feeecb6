"""YAML as people write settings in it: no anchors, no tags, not deep; every fault is noted with its line.

Nothing is constructed from it: a value is the text that was written, so `no` is not a truth value and `1.10` not 1.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent

from production_server.errors import Fault, SettingsError
from production_server.sources.shown import shown

MAX_BYTES = 1_000_000
MAX_DEPTH = 8
_NULL = "tag:yaml.org,2002:null"


def compose_plain(text: str, *, source: str) -> yaml.Node | None:
    """The one document in `text`, as nodes that know their lines; None: there is nothing in it.

    Raises:
        SettingsError: it is not YAML, or YAML beyond what settings need; says in which line.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise SettingsError((Fault(source, f"at most {MAX_BYTES:,} bytes", f"{size:,}"),))
    try:
        _check_plain(text, source)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        fault = Fault(f"{source}:{line}", "YAML", shown(f"something else: {exc.problem}"))
        raise SettingsError((fault,)) from exc
    # PyYAML's other errors know no line: characters that no text has, escapes beyond Unicode.
    except (yaml.YAMLError, ValueError, OverflowError) as exc:
        raise SettingsError((Fault(source, "YAML", shown(f"something else: {exc}")),)) from exc


class YamlReader:
    """Reads the nodes of one file; collects faults by line and path instead of stopping at the first one."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.faults: list[Fault] = []

    def fault(self, node: yaml.Node, path: str, *, expected: str, got: str | None = None) -> None:
        where = f"{self.source}:{node.start_mark.line + 1}: {path}"
        self.faults.append(Fault(where, expected, _describe(node) if got is None else got))

    def members(
        self, node: yaml.Node, path: str, *, known: Sequence[str], required: Sequence[str] = ()
    ) -> Mapping[str, yaml.Node]:
        """The members of a mapping that has some of the `known` keys, each once, and all of the `required` ones."""
        members: dict[str, yaml.Node] = {}
        for key, value in self._pairs(node, path):
            if key.value not in known:
                expected = "one of " + ", ".join(known)
                self.fault(key, _join(path, shown(key.value)), expected=expected, got="an unknown key")
            elif self._is_first(key, path, members):
                members[key.value] = value
        for name in required if isinstance(node, yaml.MappingNode) else ():
            if name not in members:
                self.fault(node, _join(path, name), expected="a value", got="nothing")
        return members

    def texts_by_name(self, node: yaml.Node | None, path: str) -> dict[str, str]:
        """A mapping of names of the writer's own to texts; none if there is no node."""
        texts: dict[str, str] = {}
        for key, value in self._pairs(node, path) if node else ():
            if self._is_first(key, path, texts):
                texts[key.value] = self.text(value, _join(path, shown(key.value)))
        return texts

    def items(self, node: yaml.Node, path: str) -> list[tuple[yaml.Node, str]]:
        """The entries of a list of at least one, and their paths."""
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.fault(node, path, expected="a list of at least one")
            return []
        return [(entry, f"{path}[{index}]") for index, entry in enumerate(node.value)]

    def text(self, node: yaml.Node | None, path: str) -> str:
        """A value as it was written; empty if there is no node, or after a fault was noted."""
        if node is None:
            return ""
        if not isinstance(node, yaml.ScalarNode) or node.tag == _NULL or not node.value:
            self.fault(node, path, expected="a text")
            return ""
        return str(node.value)

    def texts(self, node: yaml.Node | None, path: str) -> tuple[str, ...]:
        """One value, or a list of some; none if there is no node."""
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.text(entry, where) for entry, where in self.items(node, path))
        return (self.text(node, path),) if node else ()

    def _pairs(self, node: yaml.Node, path: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, path or "the file", expected="a mapping")
            return []
        pairs = []
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                pairs.append((key, value))
            else:
                self.fault(key, path or "the file", expected="a name before the colon")
        return pairs

    def _is_first(self, key: yaml.ScalarNode, path: str, found: Mapping[str, object]) -> bool:
        if key.value not in found:
            return True
        self.fault(key, _join(path, shown(key.value)), expected="a key that comes once", got="it again")
        return False


def _check_plain(text: str, source: str) -> None:
    """Refuse, before any node exists, what could make few lines into many nodes or exhaust the stack.

    Raises:
        SettingsError: there is such a thing.
        yaml.YAMLError, ValueError, OverflowError: it is not YAML.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        got = _beyond_plain(event, depth)
        if got is not None:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise SettingsError((Fault(f"{source}:{line}", "plain values", got),))


def _beyond_plain(event: Event, depth: int) -> str | None:
    if depth > MAX_DEPTH:
        return f"more than {MAX_DEPTH} lists and mappings in each other"
    if not isinstance(event, AliasEvent | CollectionStartEvent | ScalarEvent):
        return None
    if event.anchor is not None:
        return shown(f"an anchor or an alias, {event.anchor}")
    if not isinstance(event, AliasEvent) and event.tag is not None:
        return shown(f"a tag, {event.tag}")
    return None


def _describe(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return f"a list of {len(node.value)}"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "nothing" if node.tag == _NULL else shown(repr(node.value))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
