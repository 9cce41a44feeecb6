"""What the launcher's options ask for, as one request or two; what contradicts itself is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from client.errors import InputError
from client.launcher.deciding.request import (
    DEFAULT_NAME,
    LaunchRequest,
    PairRequest,
    checked_name,
    checked_range,
)
from client.launcher.machine.container_images import ImageSource, checked_prefix, read_authority
from client.launcher.machine.domain import checked_domain
from client.launcher.machine.mode import Mode
from client.launcher.machine.push_keys import read_push_key
from client.launcher.machine.repository import CodeRequest
from client.launcher.machine.role import Role, development_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def launch_request(name: str | None, options: Mapping[str, Any]) -> LaunchRequest:
    """What the options ask for.

    Raises:
        InputError: They contradict each other, or a name or a range of addresses is none.
    """
    wanted: Sequence[str] = options["allow_from"]
    if not options["wait"] and (options["upload"] or options["bake"]):
        raise InputError("--no-wait does not go with --upload and --bake, which need the instance")
    if options["security_group"] and wanted:
        raise InputError("--security-group names a group that is not changed: --allow-from would do nothing")
    chosen = ("image", "flavor", "network", "keypair", "security_group", "floating_network", "workers")
    asked_role = role(options)
    if options["production"] and (asked_role != Role.DEVELOPMENT or not options["wait"]):
        raise InputError(
            "--production is for a machine of --role development, and needs both: not with --no-wait"
        )
    return LaunchRequest(
        name=checked_name(name or DEFAULT_NAME),
        role=asked_role,
        production=checked_name(options["production"]) if options["production"] else None,
        allow_from=tuple(checked_range(each) for each in wanted),
        code=code_request(options),
        mode=Mode(options["mode"]) if options["mode"] else None,
        images=image_source(options),
        waits=options["wait"],
        baked_image=options["bake"],
        keeps=options["keep"],
        domain=domain(options),
        takes_pushes=takes_pushes(options),
        push_keys=push_keys(options),
        **{each: options[each] for each in chosen},
    )


def role(options: Mapping[str, Any]) -> Role:
    """What the machine is for.

    Raises:
        InputError: Other options are about a service, which one for development has not.
    """
    asked = Role(options["role"])
    serving = ("workers", "mode", "image_prefix", "domain", "models_repository", "bake", "with_development")
    named = ", ".join(f"--{each.replace('_', '-')}" for each in serving if options.get(each))
    if asked == Role.DEVELOPMENT and named:
        raise InputError(f"nothing serves on a machine of --role {asked}: it does not go with {named}")
    return asked


def pair_request(request: LaunchRequest, options: Mapping[str, Any]) -> PairRequest | None:
    """Both machines, if the options ask for a second one beside the first, or for one that pushes to one that is there.

    Raises:
        InputError: They contradict each other.
    """
    if request.production is not None:
        return PairRequest(
            LaunchRequest(request.production, allow_from=request.allow_from), request, is_there=True
        )
    if not options["with_development"]:
        if options["development_flavor"]:
            raise InputError("--development-flavor goes with --with-development")
        return None
    if options["bake"] or not options["wait"] or options["mode"] == Mode.DOCKER:
        raise InputError(
            "--with-development needs both machines, and pushes to one: not with --bake, --no-wait or --mode docker"
        )
    development = replace(
        request,
        name=checked_name(development_name(request.name)),
        flavor=options["development_flavor"] or request.flavor,
        role=Role.DEVELOPMENT,
        production=request.name,
        workers=None,
        domain=None,
        takes_pushes=False,
        push_keys=(),
    )
    return PairRequest(replace(request, takes_pushes=True), development)


def domain(options: Mapping[str, Any]) -> str | None:
    """The name in the DNS that the options ask for.

    Raises:
        InputError: It is none, or containers would have to answer to it.
    """
    asked: str | None = options["domain"]
    if asked is None:
        return None
    if options["mode"] == Mode.DOCKER:
        raise InputError("--domain does not go with --mode docker yet")
    return checked_domain(asked)


def takes_pushes(options: Mapping[str, Any]) -> bool:
    """Whether the options ask for a repository for models.

    Raises:
        InputError: It would have to be in containers.
    """
    asked: bool = options["models_repository"]
    if asked and options["mode"] == Mode.DOCKER:
        raise InputError(
            "--models-repository does not go with --mode docker yet: the repository's hooks run beside the service"
        )
    return asked


def push_keys(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The public keys that the options name, in lines of type, key and comment.

    Raises:
        InputError: A file has none, or there is nothing to push to.
    """
    files: Sequence[Path] = options["push_key"]
    if files and not (options["models_repository"] or options.get("with_development")):
        raise InputError("--push-key says who may push models: it goes with --models-repository")
    return tuple(read_push_key(file) for file in files)


def code_request(options: Mapping[str, Any]) -> CodeRequest:
    """Which code the options ask for.

    Raises:
        InputError: They contradict each other.
    """
    asked = CodeRequest(options["repository"], options["commit"], is_uploaded=options["upload"])
    if asked.is_uploaded and (asked.repository or asked.commit):
        raise InputError("--upload pushes this checkout's HEAD: it does not go with --repository or --commit")
    return asked


def image_source(options: Mapping[str, Any]) -> ImageSource:
    """Where the options say that container images are from.

    Raises:
        InputError: There will be no containers; or the registry or the certificate is none.
    """
    prefix, authority = options["image_prefix"], options["registry_ca"]
    if (prefix or authority) and options["mode"] != Mode.DOCKER:
        raise InputError("--image-prefix and --registry-ca are for containers: they go with --mode docker")
    if authority and not prefix:
        raise InputError("--registry-ca is for the registry that --image-prefix names")
    return ImageSource(
        checked_prefix(prefix) if prefix else None, read_authority(authority) if authority else None
    )
