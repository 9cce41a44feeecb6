"""Makes an image from an instance that is ready, cleaned of identity, keys, secrets and data."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from client.errors import ClientError, InstanceFailed
from client.launcher.deciding.labels import COMMIT

if TYPE_CHECKING:
    from client.launcher.cloud import Image
    from client.launcher.deciding.steps import MakeImage
    from client.launcher.doing.instance import Instance
    from client.launcher.doing.tools import Tools

POLL_S = 2.0


def seal(instance: Instance, tools: Tools) -> None:
    """Clean an instance and shut it down: nothing of it but its programs is left.

    Raises:
        Unavailable: There is no way in by SSH. TimeIsUp: It does not shut down.
    """
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


def make_image(instance: Instance, step: MakeImage, tools: Tools) -> Image:
    """Have the cloud make an image of an instance that is off; one that is not made to its end is deleted.

    Raises:
        InstanceFailed: The cloud could not. TimeIsUp: It does not finish.
    """
    tools.report.stage(f"making image {step.name}")
    try:
        image = tools.cloud.create_image(instance.server_id, step.name, properties=step.properties)
        while not image.is_active:
            tools.clock.pause(POLL_S)
            image = _looked_at(image, tools)
    except BaseException:
        _delete_half_made(step.name, step.properties[COMMIT], tools)
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
