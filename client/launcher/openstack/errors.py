"""Turns what OpenStack's libraries raise into this package's errors, by class, in one table."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from client.errors import ClientError, InputError, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    Table = tuple[tuple[type[BaseException], Callable[[Any], ClientError]], ...]

P = ParamSpec("P")
R = TypeVar("R")

WHERE_CREDENTIALS_ARE = "name a cloud of clouds.yaml (OS_CLOUD), or source the openrc file of your project"
PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
MESSAGE_LIMIT = 300
# Nova says it in words only, with 403; neutron also with a type, OverQuota, and 409.
_QUOTA = re.compile(r"quota exceeded|over ?quota|exceeds? .{0,40}quota", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s'\"]+?(?=[:,.]?(?:[\s'\"]|$))")


def translated(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method raise only this package's errors."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except foreign() as error:
            raise translate(error) from error

    return wrapper


def translate(error: BaseException) -> ClientError:
    """Ours for one of theirs."""
    for kind, make in _table():
        if isinstance(error, kind):
            return make(error)
    raise TypeError(f"not an exception of OpenStack's libraries: {error!r}")


@functools.cache
def foreign() -> tuple[type[BaseException], ...]:
    """What the table knows. The libraries take a second to load: they are imported by whoever connects."""
    return tuple(kind for kind, _ in _table())


@functools.cache
def _table() -> Table:
    """Everything that the libraries raise, from the special to the general."""
    import requests

    return (
        *_of_keystoneauth(),
        *_of_openstacksdk(),
        *_of_novaclient(),
        (requests.exceptions.JSONDecodeError, _unintelligible),
        (requests.RequestException, _unreachable),
    )


def _of_keystoneauth() -> Table:
    """The session's: what goes wrong while it connects and logs in. Answers of services have the others' classes."""
    from keystoneauth1 import exceptions as keystone

    return (
        (keystone.HTTPClientError, _login_refused),
        (keystone.HttpError, _answered),
        (keystone.SSLError, _not_trusted),
        (keystone.ConnectionError, _unreachable),
        (keystone.RetriableConnectionFailure, _unreachable),
        (keystone.VersionNotAvailable, _too_different),
        (keystone.DiscoveryFailure, _not_discovered),
        (keystone.CatalogException, _no_such_service),
        (keystone.ServiceProviderNotFound, _no_such_service),
        (keystone.MissingAuthMethods, _login_refused),
        (keystone.AuthorizationFailure, _login_refused),
        (keystone.AuthPluginException, _no_credentials),
        (keystone.ImpliedVersionMismatch, _configured_wrongly),
        (keystone.InvalidResponse, _unintelligible),
        (keystone.ClientException, _failed),
    )


def _of_openstacksdk() -> Table:
    from openstack import exceptions as sdk

    return (
        (sdk.HttpException, _answered),
        (sdk.ServiceDisabledException, _no_such_service),
        (sdk.ConfigException, _configured_wrongly),
        (sdk.EndpointNotFound, _no_such_service),
        (sdk.ServiceDiscoveryException, _not_discovered),
        (sdk.InvalidResponse, _unintelligible),
        (sdk.InvalidRequest, _invalid),
        (sdk.InvalidResourceQuery, _invalid),
        (sdk.ValidationException, _invalid),
        (sdk.DuplicateResource, _ambiguous),
        (sdk.MethodNotSupported, _too_different),
        (sdk.NotSupported, _too_different),
        (sdk.ResourceTimeout, _too_slow),
        (sdk.SDKException, _failed),
    )


def _of_novaclient() -> Table:
    from novaclient import exceptions as nova

    return (
        (nova.ClientException, _answered),
        (nova.UnsupportedVersion, _too_different),
        (nova.VersionNotFoundForAPIMethod, _too_different),
        (nova.UnsupportedAttribute, _too_different),
        (nova.UnsupportedConsoleType, _too_different),
        (nova.NoUniqueMatch, _ambiguous),
        (nova.ResourceInErrorState, _ambiguous),
        (nova.ResourceNotFound, _not_found),
        (nova.InstanceInDeletedState, _not_found),
        (nova.CommandError, _failed),
        (nova.InvalidUsage, _failed),
    )


def message_of(error: Any) -> str:
    """What the cloud said, on one line, without long values, passwords in addresses, and request ids."""
    text = getattr(error, "details", None) or getattr(error, "message", None) or str(error)
    text = re.sub(r"\s+", " ", str(text)).strip()
    text = re.sub(r"://[^/@\s]+@", "://", text)
    text = re.sub(r"[^\s/]{80,}", "…", text)
    text = re.sub(r" \((?:HTTP \d+|Request-ID: [^)]*)\)", "", text)
    return text if len(text) <= MESSAGE_LIMIT else f"{text[: MESSAGE_LIMIT - 1]}…"


def _answered(error: Any) -> ClientError:
    """By the status that a service answered with."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    status = int(status or getattr(error, "http_status", None) or 0)
    message, wait_s = message_of(error), _retry_after_s(error)
    if status in PASSING_STATUSES or (status == 413 and wait_s is not None):
        return Unavailable(
            f"the cloud cannot answer just now ({status}): {message}", is_passing=True, retry_after_s=wait_s
        )
    if status >= 500 or status < 400:
        return Unavailable(f"the cloud answered {status or 'in an unknown way'}: {message}")
    return Refused(message, code=_code(status, message))


def _code(status: int, message: str) -> str:
    if status in {403, 409, 413} and _QUOTA.search(message):
        return "quota_exceeded"
    codes = {401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "conflict", 410: "not_found"}
    return codes.get(status, "invalid")


def _retry_after_s(error: Any) -> float | None:
    seconds: Any = getattr(error, "retry_after", None)
    if not seconds:
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
        seconds = headers.get("Retry-After", "")
    return float(seconds) if str(seconds).isdecimal() else None


def _login_refused(error: Any) -> ClientError:
    """While logging in: 404 is an unknown application credential, 400 a domain that is missing."""
    status = getattr(error, "http_status", 401)
    if status in {408, 413, 429}:
        return _answered(error)
    if status == 400:
        return InputError(
            f"the cloud does not understand the credentials ({message_of(error)}): check clouds.yaml or openrc"
        )
    return Refused(
        f"the cloud does not accept the credentials ({message_of(error)}): check user, password, project and domain, "
        "or the application credential, and their dates of expiry",
        code="unauthorized",
    )


def _no_credentials(error: Any) -> ClientError:
    return InputError(f"no complete credentials ({message_of(error)}): {WHERE_CREDENTIALS_ARE}")


def _configured_wrongly(error: Any) -> ClientError:
    return InputError(f"{message_of(error).rstrip('.')}: {WHERE_CREDENTIALS_ARE}")


def _not_trusted(error: Any) -> ClientError:
    return InputError(
        f"no trusted connection to {_address(error)}: check https:// in auth_url, and `cacert` or OS_CACERT"
        f" if the cloud has a certificate authority of its own ({_cause(error)})"
    )


def _unreachable(error: Any) -> ClientError:
    return Unavailable(f"no answer from {_address(error)} ({_cause(error)})", is_passing=True)


def _not_discovered(error: Any) -> ClientError:
    """Where the attempt to reach it failed, that is the reason."""
    reason = error.__cause__ or error.__context__
    if reason is not None and isinstance(reason, foreign()) and not isinstance(reason, type(error)):
        return translate(reason)
    return InputError(f"this is not an address of OpenStack: check auth_url ({message_of(error)})")


def _no_such_service(error: Any) -> ClientError:
    return InputError(
        f"the cloud has no such service there: check region_name (OS_REGION_NAME), interface and auth_url"
        f" ({message_of(error)})"
    )


def _unintelligible(error: Any) -> ClientError:
    return Unavailable(f"something answered, but not as OpenStack does: {message_of(error)}")


def _too_different(error: Any) -> ClientError:
    return Unavailable(f"the cloud is too old or too new for this: {message_of(error)}")


def _too_slow(error: Any) -> ClientError:
    return Unavailable(f"the cloud took too long: {message_of(error)}", is_passing=True)


def _failed(error: Any) -> ClientError:
    return Unavailable(f"the cloud failed: {message_of(error)}")


def _invalid(error: Any) -> ClientError:
    return Refused(message_of(error), code="invalid")


def _not_found(error: Any) -> ClientError:
    return Refused(message_of(error), code="not_found")


def _ambiguous(error: Any) -> ClientError:
    return Refused(message_of(error), code="conflict")


def _address(error: Any) -> str:
    found = _URL.search(message_of(error))
    return found.group() if found else "the cloud"


def _cause(error: BaseException) -> str:
    """The innermost reason, such as `Connection refused`; the libraries wrap it five times."""
    seen: set[int] = set()
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None and id(deeper) not in seen:
        seen.add(id(deeper))
        inner = deeper
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return message_of(inner)
