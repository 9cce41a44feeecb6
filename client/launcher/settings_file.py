"""The file launch.yaml, which sets options by their names: it goes before the environment, and a flag before it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml
from click.core import ParameterSource

from client.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = "launch.yaml"


class FromFile(click.Parameter):
    """A parameter that the file may set, too."""

    @property
    def key(self) -> str:
        """What the file calls it."""
        return str(self.name).replace("_", "-")

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        value, source = super().consume_value(ctx, opts)
        settings = ctx.default_map or {}
        if source is not ParameterSource.COMMANDLINE and self.name in settings:
            return settings[self.name], ParameterSource.DEFAULT_MAP
        return value, source


class FileOption(FromFile, click.Option):
    """An option that the file may set."""


class FileArgument(FromFile, click.Argument):
    """An argument that the file may set."""


def _read_file(ctx: click.Context, _option: click.Parameter, path: Path | None) -> None:
    is_named = path is not None
    path = path or Path(DEFAULT_FILE)
    if not is_named and not path.exists():
        return
    try:
        content = yaml.safe_load(path.read_text()) or {}
    # Beside its own errors, YAML's values may be no dates, no numbers, or nested without end.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    ctx.default_map = _settings(content, path=path, ctx=ctx)


def _settings(content: Any, *, path: Path, ctx: click.Context) -> dict[str, Any]:
    # One file serves launch and render: each takes what it knows.
    siblings = ctx.parent.command.commands.values() if ctx.parent else [ctx.command]  # type: ignore[attr-defined]
    known = {each.key: each for command in siblings for each in command.params if isinstance(each, FromFile)}
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping such as `flavor: m1.small`")
    if unknown := [str(name) for name in content if name not in known]:
        raise InputError(f"{path}: unknown {', '.join(unknown)}; it may set {', '.join(sorted(known))}")
    return {str(known[name].name): _value(known[name], value, path=path) for name, value in content.items()}


def _value(parameter: FromFile, value: Any, *, path: Path) -> Any:
    is_list, is_flag = getattr(parameter, "multiple", False), getattr(parameter, "is_flag", False)
    values = value if is_list and isinstance(value, list) else [value]
    if not all(isinstance(each, str | int | float) and "\0" not in str(each) for each in values):
        raise InputError(f"{path}: {parameter.key}: expected one value, got {value!r}")
    if not is_flag and any(isinstance(each, bool) for each in values):
        raise InputError(f"{path}: {parameter.key}: expected text, got {value!r}: put it in quotes")
    plain = [each if isinstance(each, bool) else str(each) for each in values]
    return plain if is_list else plain[0]


settings_file = click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_read_file,
    envvar="CELERIAC_SETTINGS",
    show_envvar=True,
    metavar="FILE",
    help=f"A YAML file that sets options by their names.  [default: {DEFAULT_FILE}, if there is one]",
)
