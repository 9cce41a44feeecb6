"""Properties of librdkafka, as the user gave them: TLS, SASL and the like, without a password on the command line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SECRET = re.compile(r"password|secret|\.key\.pem$|oauthbearer\.config$")
_PAIR = re.compile(r"([a-z][a-z0-9._]*)=(.*)", re.DOTALL)
_OURS = {"bootstrap.servers", "group.id", "enable.auto.commit", "enable.auto.offset.store"}


def read_properties(given: Sequence[str]) -> Mapping[str, str]:
    """What files of `name=value` lines, and pairs of that form, say; the last word counts.

    A value `$NAME` is the environment variable's, as in the service's streams.yaml.

    Raises:
        InputError: a file cannot be read, a line is no pair, a variable is not set, or a secret is on the command
            line.
    """
    found: dict[str, str] = {}
    for each in given:
        pair = _PAIR.fullmatch(each)
        pairs = _lines(Path(each)) if pair is None or Path(each).exists() else _typed(pair[1], pair[2])
        found.update(pairs)
    if ours := sorted(_OURS & found.keys()):
        raise InputError(f"--options: {ours[0]} is set by the command itself")
    return found


def _typed(name: str, value: str) -> Iterator[tuple[str, str]]:
    if _SECRET.search(name) and not value.startswith("$"):
        raise InputError(
            f"--options: {name} is a secret, which others of this machine see here: write it into a file, or"
            f" '{name}=$NAME' (in quotes) for that environment variable"
        )
    yield name, _value(value, where=f"--options {name}")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(
            f"--options: expected NAME=VALUE, or a file of such lines: {path}: {reason}"
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise InputError(f"{path}, line {number}: expected name=value, as in security.protocol=SASL_SSL")
        yield name, _value(value, where=f"{path}, line {number}")


def _value(written: str, *, where: str) -> str:
    """A value, or what the environment variable has that it names as `$NAME`."""
    if not written.startswith("$"):
        return written
    if written[1:] not in os.environ:
        raise InputError(f"{where}: the environment variable {written[1:]} is not set")
    return os.environ[written[1:]]
