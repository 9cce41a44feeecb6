"""Makes an image from an instance that is ready, cleaned of identity, keys, secrets and data."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from client.errors import ClientError, InstanceFailed, Refused, Unavailable
from client.launcher.deciding.labels import COMMIT, IMAGE_PREFIX, MODE
from client.launcher.doing.clock import TimeIsUp
from client.launcher.doing.launch import launch
from client.launcher.doing.undo import undo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from client.launcher.cloud import Image
    from client.launcher.deciding.request import LaunchRequest
    from client.launcher.doing.apply import Instance
    from client.launcher.doing.launch import Prepared
    from client.launcher.doing.tools import Tools

POLL_S = 2.0


def bake(request: LaunchRequest, image_name: str, tools: Tools, *, keeps: bool) -> Image:
    """Launch an instance, make an image of it, and delete the instance, unless it `keeps` it (shut down and empty).

    Raises:
        Refused: There is such an instance, whose data baking would destroy, or such an image; or as `launch`.
        Unavailable: There is no way in by SSH, or the cloud does not finish in time.
        InstanceFailed: The instance does not come up, or the image could not be made.
    """
    check_bake(image_name, tools)
    launched = launch(request, tools, keeps=keeps, is_new=True)
    try:
        _seal(launched.instance, tools)
        return _make_image(launched.instance, image_name, _labels(launched.prepared), tools)
    except TimeIsUp as error:
        raise Unavailable(f"the cloud did not make the image in {tools.clock.timeout_s:.0f} s") from error
    finally:
        if not keeps:
            undo(launched.mark, tools)


def check_bake(image_name: str, tools: Tools) -> None:
    """Whether an image may be made.

    Raises:
        Refused: There is one of that name.
    """
    if any(image.name == image_name for image in tools.cloud.inventory().images):
        raise Refused(f"there is an image called {image_name!r} already: take another name")


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
    look = partial(tools.cloud.server, instance.server_id)
    while (server := tools.patiently(look)) is not None and server.status != "SHUTOFF":
        tools.clock.pause(POLL_S)


def _labels(prepared: Prepared) -> dict[str, str]:
    prefix = {IMAGE_PREFIX: prepared.images.prefix} if prepared.images.prefix is not None else {}
    return {COMMIT: prepared.code.commit, MODE: str(prepared.mode), **prefix}


def _make_image(instance: Instance, name: str, labels: Mapping[str, str], tools: Tools) -> Image:
    tools.report.stage(f"making image {name}")
    try:
        image = tools.cloud.create_image(instance.server_id, name, properties=labels)
        while not image.is_active:
            tools.clock.pause(POLL_S)
            image = _looked_at(image, tools)
    except BaseException:
        _delete_half_made(name, labels[COMMIT], tools)
        raise
    return image


def _delete_half_made(name: str, commit: str, tools: Tools) -> None:
    """An image has no mark; but none had this name before."""
    try:
        for image in tools.cloud.inventory().images:
            if image.name == name and image.properties.get(COMMIT) == commit:
                tools.cloud.delete_image(image.id)
    except ClientError as error:
        tools.report.warn(f"image {name} may be left half made ({error})")


def _looked_at(image: Image, tools: Tools) -> Image:
    latest = tools.patiently(partial(tools.cloud.image, image.id))
    if latest is None or latest.status in {"killed", "deleted", "error"}:
        raise InstanceFailed(f"the cloud could not make image {image.name}")
    return latest
