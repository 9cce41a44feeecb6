"""YAML as people write settings in it: a value is the text that was written, and every fault has its line.

Nothing is guessed: `no` is not a truth value, and `1.10` not 1.1. The file is the operator's own: its size, and what
its anchors amount to, are for him to say.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from production_server.access.records import CLIENT_RULE, is_client_name
from production_server.errors import Fault, SettingsError
from production_server.shown import shown
from production_server.validation import faults_of

_WORDS = {"dict_type": "a mapping", "model_type": "a mapping"}


_PLAIN: dict[type[yaml.Node], str] = {
    yaml.ScalarNode: yaml.BaseLoader.DEFAULT_SCALAR_TAG,
    yaml.SequenceNode: yaml.BaseLoader.DEFAULT_SEQUENCE_TAG,
    yaml.MappingNode: yaml.BaseLoader.DEFAULT_MAPPING_TAG,
}
"""What nodes are without a tag."""


class _Texts(yaml.BaseLoader):
    """PyYAML's loader that makes only texts, lists and mappings.

    A name that comes twice is refused, and so is a tag: whoever writes one means something else than what is read.
    """

    def construct_mapping(
        self, node: yaml.MappingNode, *arguments: Any, **options: Any
    ) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, *arguments, **options)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} comes twice", key.start_mark
                )
            seen.add(key.value)
        return mapping

    def construct_object(self, node: yaml.Node, *arguments: Any, **options: Any) -> Any:
        if node.tag != _PLAIN[type(node)]:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise yaml.constructor.ConstructorError(None, None, f"the tag {tag}", node.start_mark)
        return super().construct_object(node, *arguments, **options)


def listed(written: object) -> object:
    """A list of what may stand alone."""
    return [written] if isinstance(written, str) else written


def _client(written: str) -> str:
    if not is_client_name(written):
        raise PydanticCustomError("client", "{rule}", {"rule": f"a client's name: {CLIENT_RULE}"})
    return written


ClientName = Annotated[str, Field(min_length=1), AfterValidator(_client)]


@dataclass(frozen=True, slots=True)
class WrittenYaml:
    """What stands in a file, and where."""

    source: str
    value: object
    node: yaml.Node | None

    def faults_of(self, error: ValidationError) -> tuple[Fault, ...]:
        """The faults in `value`, named by line and path."""
        places = [self._line(found["loc"]) for found in error.errors()]
        faults = faults_of(error, whole="the file", words=_WORDS)
        return tuple(
            replace(fault, field=f"{self.source}:{line}: {fault.field}")
            for line, fault in zip(places, faults, strict=True)
        )

    def _line(self, location: tuple[int | str, ...]) -> int:
        """The line where this begins, or the last part of the way to it that was written."""
        node = self.node
        for step in location:
            if isinstance(node, yaml.MappingNode):
                found = next((value for key, value in node.value if key.value == step), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                found = node.value[step]
            else:
                break
            if found is None:
                break
            node = found
        return node.start_mark.line + 1 if node else 1


def read_yaml(text: str, *, source: str) -> WrittenYaml:
    """The one document in `text`, the content of the file `source`.

    Raises:
        SettingsError: it is not YAML, a name comes twice, or there is a tag (`!!set`); says in which line.
    """
    try:
        loader = _Texts(text)
        node = loader.get_single_node()
        return WrittenYaml(source, None if node is None else loader.construct_document(node), node)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise _no_yaml(f"{source}:{line}", str(exc.problem)) from exc
    except RecursionError as exc:
        raise _no_yaml(source, "too many lists and mappings in each other") from exc
    # PyYAML's other errors know no line: characters that no text has, escapes beyond Unicode.
    except (yaml.YAMLError, ValueError, OverflowError) as exc:
        raise _no_yaml(source, str(exc)) from exc


def _no_yaml(where: str, problem: str) -> SettingsError:
    return SettingsError((Fault(where, "YAML", shown(f"something else: {problem}")),))
