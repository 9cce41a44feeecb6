"""Renders the cloud-config (user-data) of an instance from the templates in cloud-init/. It knows no cloud."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import jinja2

from client.errors import InputError
from client.launcher.machine.container_images import ImageSource
from client.launcher.machine.domain import checked_domain
from client.launcher.machine.mode import Mode
from client.launcher.machine.push_keys import public_key
from client.launcher.machine.repository import is_commit, is_repository
from client.launcher.machine.role import Role

TEMPLATES = Path(__file__).parents[3] / "cloud-init"
TEMPLATE = "celeriac.yaml.jinja"
_MAX_WORKERS = 256


@dataclass(frozen=True)
class CloudConfig:
    """What an instance's first boot needs to know. None of it is secret: any process of the instance can read it.

    `repository` is where the code comes from at `commit` (40 hexadecimal digits); None: it is pushed over SSH, and
    first boot waits for it. `workers` is the number of worker processes, None: one for each core. `is_baked`: the image
    was made from a ready instance and has the packages already. `images` count in containers only. `domain` is the name
    in the DNS that it answers to; not in containers. `takes_pushes`: it has a repository for models, into which
    `push_keys` (lines of type, key and comment) may push; not in containers. A machine whose `role` is
    development serves nothing: models are trained on it.
    """

    commit: str
    repository: str | None
    workers: int | None = None
    is_baked: bool = False
    mode: Mode = Mode.SYSTEMD
    images: ImageSource = ImageSource()
    domain: str | None = None
    takes_pushes: bool = False
    role: Role = Role.PRODUCTION
    push_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class InstanceFile:
    """A file that the instance gets."""

    path: str
    permissions: str
    content: str


def render(config: CloudConfig) -> str:
    """The user-data, as text that begins with #cloud-config.

    Raises:
        InputError: The commit, the repository, the number of workers or the domain cannot be used.
    """
    _check(config)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 # YAML, not HTML: what comes from outside was checked above
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        commit=config.commit,
        repository=config.repository,
        workers=config.workers,
        is_baked=config.is_baked,
        mode=config.mode,
        images=config.images,
        domain=config.domain,
        role=config.role,
        files=[
            *instance_files(config.mode, config.role),
            *_certificates(config.images),
            *_front(config.domain, environment),
            *_pushes(config),
        ],
    )


def instance_files(mode: Mode, role: Role = Role.PRODUCTION) -> list[InstanceFile]:
    """What stands in cloud-init/files/ and in the folders of role and mode, each at the same path on the instance."""
    if role == Role.DEVELOPMENT:
        return _files_in(TEMPLATES / "files", TEMPLATES / "development")
    return _files_in(TEMPLATES / "files", TEMPLATES / "serving", TEMPLATES / mode)


def _files_in(*roots: Path) -> list[InstanceFile]:
    found = {path.relative_to(root): path for root in roots for path in root.rglob("*") if path.is_file()}
    return [
        InstanceFile(f"/{place}", permissions=_permissions(place), content=path.read_text())
        for place, path in sorted(found.items())
    ]


def _front(domain: str | None, environment: jinja2.Environment) -> list[InstanceFile]:
    """What stands in cloud-init/domain/, with the name in it: Caddy in front of the service."""
    if domain is None:
        return []
    root = TEMPLATES / "domain"
    places = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return [
        InstanceFile(
            f"/{place}",
            permissions=_permissions(place),
            content=environment.get_template(f"domain/{place.as_posix()}").render(domain=domain),
        )
        for place in places
    ]


def _pushes(config: CloudConfig) -> list[InstanceFile]:
    """What stands in cloud-init/pushes/, and who may push at first."""
    if not config.takes_pushes:
        return []
    keys = "".join(f"{key}\n" for key in config.push_keys)
    return [*_files_in(TEMPLATES / "pushes"), InstanceFile("/etc/celeriac/first-push-keys", "0644", keys)]


def _permissions(place: Path) -> str:
    return {"sbin": "0755", "hooks": "0755", "sudoers.d": "0440"}.get(place.parent.name, "0644")


def _certificates(images: ImageSource) -> list[InstanceFile]:
    """Where the engine looks for whom to trust with a registry."""
    if images.authority is None:
        return []
    return [InstanceFile(f"/etc/docker/certs.d/{images.registry}/ca.crt", "0644", images.authority)]


def _check(config: CloudConfig) -> None:
    if not is_commit(config.commit):
        raise InputError(f"a commit is 40 hexadecimal digits, not {config.commit!r}")
    if config.repository is not None and not is_repository(config.repository):
        raise InputError(
            "the instance fetches from a http, https or git URL without user, password or query, "
            f"not from {_without_credentials(config.repository)!r}"
        )
    if config.workers is not None and not 1 <= config.workers <= _MAX_WORKERS:
        raise InputError(f"there can be 1 to {_MAX_WORKERS} workers, not {config.workers}")
    if config.domain is not None:
        checked_domain(config.domain)
    for key in config.push_keys:
        if public_key(key, called="unnamed") != key:
            raise InputError(f"a key that may push is a public key and a plain comment, not {key[:60]!r}")


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^/]*@", "//[redacted]@", url).partition("?")[0]
