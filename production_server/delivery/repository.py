"""Makes the bare repository, whose hooks call this program, and lets a client of SSH do nothing but push and fetch."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import production_server
from production_server.delivery.git import BRANCH, Git, environment
from production_server.errors import Fault, Forbidden, SettingsError, Unavailable
from production_server.settings import Settings, variable_of
from production_server.shown import describe

FOLDER = "models.git"
SETTINGS_FILE = "celeriac.env"
PUSHER_VARIABLE = "CELERIAC_PUSHER"
"""Who pushes, as the key says that was let in."""
_ASKED_VARIABLE = "SSH_ORIGINAL_COMMAND"
_PROTOCOL_VARIABLE = "GIT_PROTOCOL"
_HOOKS = ("pre-receive", "post-receive")
_SERVICES = ("receive-pack", "upload-pack")
_OF_STORES = ("AWS_", "GOOGLE_", "STORAGE_EMULATOR_HOST", "AZURE_", "SSL_CERT_", "FSSPEC_")
"""What libraries of buckets read of the environment."""
_OF_SETTINGS = ("DATABASE_URL", "MODEL_STORE", "MORE_MODELS", "IMPORT_", "GATE_", "STORAGE_ALLOW", "LEASE_S")
_NAMES_OF_PATHS = ("_FILE", "_DIR", "_CREDENTIALS", "_BUNDLE")
_HOOK = """\
#!/bin/sh
# Written by `repository init`, again at each start of the service.
set -e
. {settings}
exec {python} -P -m production_server repository hook {hook} {repository}
"""


def repository_of(settings: Settings) -> Path:
    """Where the repository is, or would be."""
    return (settings.models_repository or settings.state_dir / FOLDER).absolute()


def make_repository(path: Path, settings: Settings, environ: Mapping[str, str]) -> Git:
    """Make the repository, or bring what is there to how it has to be; its hooks have the settings of `environ`.

    Raises:
        SettingsError: there is something else, git is not there or older than 2.28, or it cannot be written.
    """
    git = Git(path)
    if path.exists() and any(path.iterdir()) and not (path / "HEAD").is_file():
        raise _wrong(path, "other files are there")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        git.run("init", "--quiet", "--bare", "--template=", f"--initial-branch={BRANCH}")
        for name, value in _config(path, settings).items():
            git.run("config", name, value)
        _write(path / SETTINGS_FILE, _exports(settings, environ), mode=0o600)
        (path / "hooks").mkdir(exist_ok=True)
        for hook in _HOOKS:
            _write(path / "hooks" / hook, _script(path, hook), mode=0o700)
    except (OSError, Unavailable) as exc:
        raise _wrong(path, str(exc)) from exc
    return git


def kept_environment(path: Path) -> dict[str, str]:
    """What the hooks of a repository have as their settings by now; nothing where there is none."""
    try:
        lines = (path / SETTINGS_FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    words = [line.removeprefix("export ").partition("=") for line in lines if line.startswith("export ")]
    return {name: "".join(shlex.split(quoted)) for name, _, quoted in words if name != "PYTHONPATH"}


def open_repository(path: Path) -> Git:
    """The repository, which somebody has made.

    Raises:
        SettingsError: nobody has.
    """
    if not (path / "HEAD").is_file():
        raise _wrong(path, "there is none: repository init makes it")
    return Git(path)


def serve(path: Path, environ: Mapping[str, str]) -> None:
    """Become the git that an SSH client asks for: pushing to this repository, or fetching from it, and nothing else.

    What the client has written reaches neither git nor a shell.

    Raises:
        Forbidden: it asks for something else. SettingsError: there is no repository.
    """
    asked = environ.get(_ASKED_VARIABLE, "")
    service = _service(asked, path)
    if service is None:
        raise Forbidden(
            f"this key may only push to {path} and fetch from it; it asked for "
            f"{describe(asked) if asked else 'a shell'}"
        )
    open_repository(path)
    kept = {name: environ[name] for name in (PUSHER_VARIABLE,) if name in environ}
    protocol = environ.get(_PROTOCOL_VARIABLE, "")
    if re.fullmatch(r"version=[012]", protocol):
        kept[_PROTOCOL_VARIABLE] = protocol
    os.execvpe("git", ["git", service, str(path)], environment(environ) | kept)  # noqa: S606  # no shell is the point


def _service(asked: str, path: Path) -> str | None:
    try:
        words = shlex.split(asked)
    except ValueError:
        return None
    for service in _SERVICES:
        if words in ([f"git-{service}", str(path)], ["git", service, str(path)]):
            return service
    return None


def _config(path: Path, settings: Settings) -> dict[str, str]:
    return {
        "core.hooksPath": str(path / "hooks"),  # a pusher's own settings could name another one
        "core.bigFileThreshold": "16m",  # larger files are streamed: git would hold them in memory
        "receive.denyNonFastForwards": "true",
        "receive.denyDeletes": "true",
        "receive.fsckObjects": "true",
        "receive.shallowUpdate": "false",
        "receive.advertisePushOptions": "false",
        "receive.maxInputSize": str(settings.models_push_bytes),
    }


def _script(path: Path, hook: str) -> str:
    return _HOOK.format(
        settings=shlex.quote(str(path / SETTINGS_FILE)),
        python=shlex.quote(sys.executable),
        hook=hook,
        repository=shlex.quote(str(path)),
    )


def _exports(settings: Settings, environ: Mapping[str, str]) -> str:
    """What hooks need of the environment of the service: whoever pushes has another one, and another folder."""
    told = {
        name: _absolute(text) if name.endswith(_NAMES_OF_PATHS) else text
        for name, text in environ.items()
        if text and (name.startswith(_OF_SETTINGS) or name.startswith(_OF_STORES))
    }
    paths = {
        "STATE_DIR": settings.state_dir,
        "MODEL_STORE": settings.model_store,
        "MORE_MODELS": settings.more_models,
        "IMPORT_PYTHON": settings.import_python,
    }
    told |= {name: str(path.absolute()) for name, path in paths.items() if isinstance(path, Path)}
    told["PYTHONPATH"] = str(Path(production_server.__file__).parents[1])
    unset = f"unset PYTHONHOME PYTHONSTARTUP {' '.join(_of_whoever_pushes())}\n"
    return unset + "".join(f"export {name}={shlex.quote(text)}\n" for name, text in sorted(told.items()))


def _absolute(text: str) -> str:
    """A path, of what lies there; whoever pushes is in another folder."""
    return str(Path(text).absolute()) if Path(text).exists() else text


def _of_whoever_pushes() -> Iterator[str]:
    """Settings may stand in any shell, for another service."""
    for setting in fields(Settings):
        yield variable_of(setting)
        if setting.metadata["secret"]:
            yield f"{variable_of(setting)}_FILE"


def _write(path: Path, text: str, *, mode: int) -> None:
    """Write a file in one step: a push may be reading it."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    new.rename(path)


def _wrong(path: Path, why: str) -> SettingsError:
    return SettingsError(
        (Fault("MODELS_REPOSITORY", "a bare git repository, or a place for one", f"{path} ({why})"),)
    )
