"""Logs in to an OpenStack cloud as everywhere in OpenStack: clouds.yaml, openrc, application credentials."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from keystoneauth1.identity import BaseIdentityPlugin
from keystoneauth1.session import Session
from novaclient.client import Client as NovaClient
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from client.errors import InputError
from client.launcher.openstack.errors import WHERE_CREDENTIALS_ARE

if TYPE_CHECKING:
    import requests
    from keystoneauth1.access import AccessInfo
    from openstack.config.cloud_region import CloudRegion

TIMEOUT_S = (5.0, 60.0)  # to connect, and between two bytes
READS = frozenset({"GET", "HEAD"})
READ_RETRIES = 2
RETRIED_STATUSES = [502, 503, 504]
COMPUTE_VERSION = "2.1"


class PatientSession(Session):
    """Repeats reads that failed for a passing reason, and only those: a creation may have worked."""

    def request(self, url: str, method: str, *args: Any, **kwargs: Any) -> requests.Response:
        """Send one request: a service's, or keystoneauth's own for tokens and versions."""
        retries = READ_RETRIES if method.upper() in READS else 0
        kwargs |= {"connect_retries": retries, "status_code_retries": retries}
        kwargs["retriable_status_codes"] = RETRIED_STATUSES
        if self.timeout is None:
            kwargs.setdefault("timeout", TIMEOUT_S)
        return super().request(url, method, *args, **kwargs)


def open_connection(cloud: str | None) -> Connection:
    """A connection that has not spoken to the cloud yet. `cloud` None: what the environment says.

    Raises:
        InputError: The credentials are incomplete, or clouds.yaml has another shape than it should.
    """
    _quieten()
    try:
        config = OpenStackConfig(session_constructor=PatientSession, app_name="celeriac")
        # Where OS_CLOUD names a cloud that is not there, the library alone would ask for an openrc instead.
        region = config.get_one(cloud=cloud or os.environ.get("OS_CLOUD") or None)
        _check_password(region)
        return Connection(config=region)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The library takes the file's values as they come.
        raise _not_understood(error) from error


def _not_understood(error: Exception) -> InputError:
    return InputError(f"clouds.yaml is not understood ({error}): {WHERE_CREDENTIALS_ARE}")


def open_nova(connection: Connection) -> Any:
    """The compute service's own client on the same session."""
    region = connection.config
    return NovaClient(
        COMPUTE_VERSION,
        session=connection.session,
        service_type=region.get_service_type("compute"),
        region_name=region.get_region_name("compute") or None,
        endpoint_type=region.get_interface("compute") or "public",
        endpoint_override=region.get_endpoint("compute"),
    )


def access_of(connection: Connection) -> tuple[AccessInfo, str]:
    """Who we are, as the identity service says, and that service's address.

    Raises:
        InputError: The credentials are for no project.
    """
    plugin = connection.session.auth
    if not isinstance(plugin, BaseIdentityPlugin):
        raise InputError(f"these credentials name no user: {WHERE_CREDENTIALS_ARE}")
    try:
        access = plugin.get_access(connection.session)
    except (AttributeError, TypeError, ValueError) as error:
        raise _not_understood(error) from error
    if not access.project_id:
        raise InputError("the credentials name no project: set project_name (OS_PROJECT_NAME)")
    return access, plugin.auth_url or ""


def _quieten() -> None:
    """Keep the libraries' warnings, which the errors repeat, off stderr; a root logger still gets them."""
    for name in ("keystoneauth", "openstack", "novaclient", "stevedore"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _check_password(region: CloudRegion) -> None:
    """For one without a password the library raises a bare Exception, later."""
    if not str(region.config.get("auth_type") or "password").endswith("password"):
        return
    auth = region.config.get("auth") or {}
    known = {
        "a user": auth.get("username") or auth.get("user_id"),
        "a password": auth.get("password"),
    }
    missing = [what for what, value in known.items() if not value]
    if missing:
        raise InputError(f"the credentials lack {' and '.join(missing)}: {WHERE_CREDENTIALS_ARE}")
