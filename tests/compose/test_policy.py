"""What the Compose file may never say, in any service of any profile."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testing.compose_project import Checkout, checkout

if TYPE_CHECKING:
    from collections.abc import Iterator

WITH_MODELS = {"web", "worker", "importer", "stream", "trainer"}
"""Services that serve models, make versions, train them again, or check inputs of them."""
ONE_SHOT = {"migrate"}
"""Services that end."""
SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|COOKIE|(?:^|_)(?:KEY|PASS|USER|AUTH)$|_URL$")


@pytest.fixture(scope="module")
def fresh(engine: None) -> Iterator[Checkout]:
    """A checkout without passwords, and without a project of its own name."""
    with checkout() as made:
        del made.env["COMPOSE_PROJECT_NAME"], made.env["IMAGE_TAG"]
        yield made


@pytest.fixture(scope="module")
def every_service(fresh: Checkout) -> dict[str, dict[str, Any]]:
    return services(fresh, "--profile", "*")


@pytest.fixture(scope="module")
def dockerfile(fresh: Checkout) -> str:
    return (fresh.root / "docker" / "Dockerfile").read_text()


def services(made: Checkout, *options: str) -> dict[str, dict[str, Any]]:
    """The services as Compose understands them."""
    config = json.loads(made.compose(*options, "config", "--format", "json"))
    return dict(config["services"])


def said_by_image(dockerfile: str, service: dict[str, Any], instruction: str) -> str:
    """The last instruction of a kind for the image that a service builds, or for one that it stands on."""
    stages = {
        name: (base, body)
        for base, name, body in re.findall(
            r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM|\Z)", dockerfile, re.MULTILINE | re.DOTALL
        )
    }
    stage: str = service.get("build", {}).get("target", "")
    while stage in stages:
        stage, body = stages[stage]
        if said := re.findall(rf"^{instruction} (.*)", body, re.MULTILINE):
            return str(said[-1])
    return ""


def published(services: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Service, address and port of all that is published."""
    return [
        (name, port.get("host_ip", ""), port["published"])
        for name, service in services.items()
        for port in service.get("ports", ())
    ]


@pytest.mark.parametrize("folder", [".", "docker"])
def test_the_compose_file_is_valid_where_a_user_may_stand(fresh: Checkout, folder: str) -> None:
    done = fresh.run("docker", "compose", "--profile", "*", "config", "--quiet", folder=folder)

    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("settings", ["", "COMPOSE_PROJECT_NAME=other\nCOMPOSE_PROFILES=debug\nPORT=5101\n"])
def test_both_folders_mean_the_same_project(fresh: Checkout, settings: str) -> None:
    file = fresh.root / "docker" / ".env"
    file.write_text(settings)
    root, folder = (
        json.loads(fresh.compose("config", "--format", "json", folder=each)) for each in (".", "docker")
    )
    file.unlink()

    assert root["name"] == ("other" if settings else "celeriac")
    for part in ("name", "services", "networks", "volumes", "secrets"):
        assert root[part] == folder[part]


def test_nothing_is_published_but_the_web_service_on_loopback(fresh: Checkout) -> None:
    assert published(services(fresh)) == [("web", "127.0.0.1", "5100")]


def test_profiles_publish_on_loopback_only(every_service: dict[str, dict[str, Any]]) -> None:
    assert {address for _, address, _ in published(every_service)} == {"127.0.0.1"}


def test_no_network_of_the_service_lets_anything_be_fetched_from_outside(fresh: Checkout) -> None:
    networks = json.loads(fresh.compose("config", "--format", "json"))["networks"]

    assert networks.keys() == {"backend", "frontend", "storage"}
    assert networks["backend"]["internal"] is networks["storage"]["internal"] is True
    options = networks["frontend"]["driver_opts"]
    assert options["com.docker.network.bridge.enable_ip_masquerade"] == "false"


@pytest.mark.parametrize(
    "allowed",
    [
        {"STORAGE_ALLOW": "s3://photos"},
        {"MODEL_BUCKET": "s3://models"},
        {"STORAGE_ALLOW": "s3://photos", "MODEL_BUCKET": "s3://models"},
    ],
)
def test_a_way_out_to_buckets_is_there_for_those_who_fetch_and_only_if_some_are_allowed(
    fresh: Checkout, allowed: dict[str, str]
) -> None:
    fresh.env |= allowed
    opened = services(fresh, "--profile", "*")
    networks = json.loads(fresh.compose("config", "--format", "json"))["networks"]
    for name in allowed:
        del fresh.env[name]

    (network,) = (name for name in networks if name.startswith("storage"))
    assert not networks[network].get("internal")
    # What reads streams has a way out anyway, to their brokers.
    assert {name for name, each in opened.items() if network in each["networks"]} == WITH_MODELS - {"stream"}
    for name, needed in (("aws_credentials", WITH_MODELS), ("events_token", {"web"})):
        having = {
            service
            for service, each in opened.items()
            if name in [secret["source"] for secret in each.get("secrets", ())]
        }
        assert having == needed


def test_no_service_has_rights_that_it_does_not_need(every_service: dict[str, dict[str, Any]]) -> None:
    for name, service in every_service.items():
        assert not service.get("privileged"), name
        assert service["cap_drop"] == ["ALL"], name
        assert not service.get("cap_add"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        for shared in ("pid", "ipc", "network_mode", "userns_mode", "devices"):
            assert not service.get(shared), (name, shared)


def test_no_service_reaches_the_engine_or_a_folder_outside_the_checkout(
    fresh: Checkout, every_service: dict[str, dict[str, Any]]
) -> None:
    for name, service in every_service.items():
        mounts = [each for each in service.get("volumes", ()) if each["type"] == "bind"]
        assert all(each["source"].startswith(f"{fresh.root}/docker/") for each in mounts), (name, mounts)
        # But for the file in which `migrate` leaves the first key.
        written = [Path(each["source"]).name for each in mounts if not each.get("read_only")]
        assert written == (["first_key"] if name == "migrate" else [])


@pytest.mark.parametrize(
    ("settings", "store", "may_write"),
    [
        ({}, "", False),
        ({"MODEL_STORE": "/srv/models"}, "/models", True),
        ({"MODEL_BUCKET": "s3://lab/models"}, "s3://lab/models", False),
    ],
)
def test_who_serves_and_makes_models_has_their_store_and_nobody_else(
    fresh: Checkout, settings: dict[str, str], store: str, may_write: bool
) -> None:
    fresh.env |= settings
    found = services(fresh, "--profile", "*")
    for name in settings:
        del fresh.env[name]

    mounts = {
        name: {each["target"]: each for each in service.get("volumes", ())} for name, service in found.items()
    }
    assert {name for name, each in mounts.items() if "/models" in each} == WITH_MODELS
    assert {name for name, each in mounts.items() if "/var/lib/celeriac" in each} == WITH_MODELS
    for name in WITH_MODELS:
        assert found[name]["environment"]["MODEL_STORE"] == store
        assert mounts[name]["/var/lib/celeriac"]["source"] == "state"
        folder = mounts[name]["/models"]
        assert folder["source"] == settings.get("MODEL_STORE", f"{fresh.root}/docker/models")
        assert bool(folder.get("read_only")) is not may_write


def test_every_service_runs_as_a_user_that_is_not_root(
    dockerfile: str, every_service: dict[str, dict[str, Any]]
) -> None:
    users = {
        name: str(service.get("user") or said_by_image(dockerfile, service, "USER"))
        for name, service in every_service.items()
    }

    assert {name for name, user in users.items() if user.split(":")[0] in ("", "0", "root")} == set()


def test_every_service_has_limits_of_memory_and_processes(every_service: dict[str, dict[str, Any]]) -> None:
    for name, service in every_service.items():
        limits = service["deploy"]["resources"]["limits"]
        assert int(limits["memory"]) > 0 and int(limits["pids"]) > 0, name


def test_every_service_that_stays_has_a_healthcheck_and_is_started_again(
    dockerfile: str, every_service: dict[str, dict[str, Any]]
) -> None:
    for name, service in every_service.items():
        if name not in ONE_SHOT:
            check = service["healthcheck"]
            assert check.get("test") or said_by_image(dockerfile, service, "HEALTHCHECK"), name
            assert not check.get("disable"), name
            assert service["restart"] == "unless-stopped", name


def test_logs_cannot_fill_the_disk(every_service: dict[str, dict[str, Any]]) -> None:
    for name, service in every_service.items():
        assert service["logging"]["options"].keys() >= {"max-size", "max-file"}, name


def test_every_image_is_pinned(every_service: dict[str, dict[str, Any]]) -> None:
    images = {name: service["image"] for name, service in every_service.items()}
    for service in every_service.values():
        arguments = service.get("build", {}).get("args", {})
        images |= {name: value for name, value in arguments.items() if name.endswith("_IMAGE")}

    unpinned = {
        name
        for name, image in images.items()
        if not re.search(r":(?!latest)[\w.-]+$|@sha256:[0-9a-f]{64}$", image)
    }

    assert unpinned == set()


def test_the_version_of_every_base_image_in_the_dockerfile_is_a_build_argument(dockerfile: str) -> None:
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.MULTILINE))
    stages = set(re.findall(r"^FROM .* AS (\S+)", dockerfile, re.MULTILINE))

    for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        argument = base.strip("${}")
        assert base in stages | {"scratch"} or re.search(r":(?!latest)[\w.-]+$", defaults[argument]), base


def test_there_is_no_default_password(fresh: Checkout, every_service: dict[str, dict[str, Any]]) -> None:
    """Every secret is a file that `make up` makes; no variable holds one."""
    for name, service in every_service.items():
        for variable, value in (service.get("environment") or {}).items():
            if SECRET_NAME.search(variable.removesuffix("_FILE")) and value:
                is_name = variable == "POSTGRES_USER"
                assert is_name or value.startswith("/run/secrets/"), (name, variable)
    config = fresh.compose("--profile", "*", "config")
    assert not re.search(r"://[^/\s:]+:[^/\s@]+@|guest", config)
    assert not (fresh.root / "docker" / "secrets").exists()
