"""Makes an image from an instance that is ready, cleaned of identity, keys, secrets and data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.errors import InputError, InstanceFailed, Unavailable
from client.launcher.clock import TimeIsUp
from client.launcher.launch import launch
from client.launcher.plan import COMMIT
from client.launcher.removal import remove_all

if TYPE_CHECKING:
    from client.launcher.apply import Instance
    from client.launcher.cloud import Image
    from client.launcher.request import LaunchRequest
    from client.launcher.tools import Tools

POLL_S = 2.0


def bake(request: LaunchRequest, image_name: str, tools: Tools, *, keeps: bool) -> Image:
    """Launch an instance, make an image of it, and delete the instance, unless it `keeps` it (shut down and empty).

    Raises:
        InputError: There is such an instance, whose data baking would destroy, or such an image.
        Unavailable: There is no way in by SSH, or the cloud does not finish in time.
        InstanceFailed: The instance does not come up, or the image could not be made.
        Refused: As `launch`.
    """
    if not tools.cloud.belongings().of_name(request.name).is_empty:
        raise InputError(f"{request.name} exists, and baking would destroy its data: take another name")
    if any(image.name == image_name for image in tools.cloud.inventory().images):
        raise InputError(f"there is an image called {image_name!r} already: take another name")
    launched = launch(request, tools, keeps=keeps)
    try:
        _seal(launched.instance, tools)
        return _make_image(launched.instance, image_name, launched.prepared.source.commit, tools)
    except TimeIsUp as error:
        raise Unavailable(f"the cloud did not make the image in {tools.clock.timeout_s:.0f} s") from error
    finally:
        if not keeps:
            remove_all(request.name, tools)


def _seal(instance: Instance, tools: Tools) -> None:
    tools.report.stage("removing identity, keys, secrets and data")
    tools.surroundings.execute(
        *("sudo", "celeriac", "seal"),
        address=instance.address,
        login=instance.login,
        host_keys=instance.host_keys,
    )
    tools.report.stage("shutting down")
    tools.cloud.stop_server(instance.server_id)
    while (server := tools.cloud.server(instance.server_id)) is not None and server.status != "SHUTOFF":
        tools.clock.pause(POLL_S)


def _make_image(instance: Instance, name: str, commit: str, tools: Tools) -> Image:
    tools.report.stage(f"making image {name}")
    image = tools.cloud.create_image(instance.server_id, name, properties={COMMIT: commit})
    try:
        while not image.is_active:
            tools.clock.pause(POLL_S)
            image = _looked_at(image, tools)
    except BaseException:
        tools.cloud.delete_image(image.id)
        raise
    return image


def _looked_at(image: Image, tools: Tools) -> Image:
    latest = tools.cloud.image(image.id)
    if latest is None or latest.status in {"killed", "deleted", "error"}:
        raise InstanceFailed(f"the cloud could not make image {image.name}")
    return latest
