"""No exception of OpenStack's libraries gets past the adapter, and each becomes the one that fits."""

from __future__ import annotations

import inspect
import json
from typing import Any

import keystoneauth1.exceptions as keystone
import novaclient.exceptions as nova
import openstack.exceptions as sdk
import pytest
import requests
from keystoneauth1.exceptions import oidc
from keystoneauth1.loading import Opt

from client.errors import ClientError, InputError, Refused, Unavailable
from client.launcher.openstack.errors import translate, translated

SAID = "the cloud said so"
QUOTA = "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"
NEUTRON_QUOTA = "Quota exceeded for resources: ['floatingip']."
# What no caller could treat differently: the roots, and what a wrong use of the libraries would raise.
WITHOUT_A_BETTER_MEANING = {
    keystone.ClientException,
    nova.CommandError,
    nova.InvalidUsage,
    sdk.ResourceFailure,
    sdk.SDKException,
}
ARGUMENTS: dict[Any, tuple[Any, ...]] = {
    keystone.UnknownConnectionError: (SAID, OSError("broken")),
    sdk.MethodNotSupported: (requests.Session, "commit"),
    nova.ResourceInErrorState: (object(),),
    nova.UnsupportedAttribute: ("tags", "2.52"),
    nova.UnsupportedConsoleType: ("vnc",),
    nova.VersionNotFoundForAPIMethod: ("2.1", "tags"),
    keystone.MissingRequiredOptions: ([Opt("auth-url")],),
    keystone.ImpliedVersionMismatch: ("compute", (2, 0), "3"),
    keystone.ImpliedMinVersionMismatch: ("compute", (2, 0), "3"),
    keystone.ImpliedMaxVersionMismatch: ("compute", (2, 0), "3"),
}


def classes_of(*modules: Any) -> list[type[BaseException]]:
    found = {each for module in modules for _, each in inspect.getmembers(module, inspect.isclass)}
    return sorted((each for each in found if issubclass(each, BaseException)), key=str)


def raised(kind: Any) -> BaseException:
    """One of a class, as its library would make it."""
    if kind is keystone.MissingAuthMethods:
        body = {"receipt": {"methods": [], "expires_at": "2026-01-02T03:04:05Z"}}
        error: BaseException = kind(answer(401, {**body, "required_auth_methods": []}))
    elif issubclass(kind, nova.ClientException):
        error = kind(getattr(kind, "http_status", 418), SAID)
    elif kind in ARGUMENTS:
        error = kind(*ARGUMENTS[kind])
    else:
        error = kind(SAID)
    return error


def answer(status: int, body: Any, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code, response.url = status, "https://cloud.example:8774/v2.1/servers"
    response.request = requests.Request("POST", response.url).prepare()
    response.headers.update({"Content-Type": "application/json", **headers})
    response._content = json.dumps(body).encode()
    return response


def refusals(status: int, body: Any, **headers: str) -> list[ClientError]:
    """What becomes of one answer, however it was asked for."""
    response = answer(status, body, **headers)
    errors: list[BaseException] = [nova.from_response(response, body, response.url)]
    try:
        sdk.raise_from_response(response)
    except sdk.HttpException as error:
        errors.append(error)
    return [translate(error) for error in errors]


@pytest.mark.parametrize("kind", classes_of(keystone, oidc, sdk, nova), ids=lambda kind: str(kind)[8:-2])
def test_every_exception_of_the_libraries_is_mapped(kind: type[BaseException]) -> None:
    error = translate(raised(kind))

    message = str(error)
    assert message and "\n" not in message
    assert message.startswith("the cloud failed: ") == (kind in WITHOUT_A_BETTER_MEANING), message


@pytest.mark.parametrize(
    ("kind", "expected", "code"),
    [
        (keystone.Unauthorized, Refused, "unauthorized"),
        (keystone.NotFound, Refused, "unauthorized"),
        (keystone.BadRequest, InputError, None),
        (keystone.MissingRequiredOptions, InputError, None),
        (keystone.MissingAuthPlugin, InputError, None),
        (keystone.NoMatchingPlugin, InputError, None),
        (keystone.EndpointNotFound, InputError, None),
        (keystone.EmptyCatalog, InputError, None),
        (keystone.DiscoveryFailure, InputError, None),
        (keystone.SSLError, InputError, None),
        (keystone.ServiceUnavailable, Unavailable, None),
        (sdk.ConfigException, InputError, None),
        (sdk.ServiceDisabledException, InputError, None),
        (sdk.ResourceTimeout, Unavailable, None),
        (sdk.InvalidRequest, Refused, "invalid"),
        (sdk.DuplicateResource, Refused, "conflict"),
        (nova.Unauthorized, Refused, "unauthorized"),
        (nova.ResourceNotFound, Refused, "not_found"),
        (nova.UnsupportedVersion, Unavailable, None),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_class_with_a_meaning_keeps_it(kind: Any, expected: type, code: str | None) -> None:
    error = translate(raised(kind))

    assert type(error) is expected
    assert getattr(error, "code", None) == code


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (400, "Invalid key_name provided.", "invalid"),
        (401, "The request you have made requires authentication.", "unauthorized"),
        (403, "Policy doesn't allow os_compute_api:servers:create", "forbidden"),
        (403, QUOTA, "quota_exceeded"),
        (404, "Network nowhere could not be found.", "not_found"),
        (409, "Security Group 1 in use.", "conflict"),
        (409, NEUTRON_QUOTA, "quota_exceeded"),
        (409, "Security group quota in use.", "conflict"),
        (413, QUOTA, "quota_exceeded"),
        (413, "The request is too large.", "invalid"),
        (422, "no such thing", "invalid"),
    ],
)
def test_a_refusal_has_the_clouds_words_and_a_code(status: int, message: str, code: str) -> None:
    for error in refusals(status, {"error": {"message": message, "code": status}}):
        assert isinstance(error, Refused)
        assert (error.code, str(error)) == (code, message)


@pytest.mark.parametrize("status", [408, 413, 429, 500, 502, 503, 504])
def test_what_may_pass_is_told_from_what_will_not(status: int) -> None:
    for error in refusals(status, {"error": {"message": "busy"}}, **{"Retry-After": "7"}):
        assert isinstance(error, Unavailable)
        assert error.is_passing and "busy" in str(error)
    for error in refusals(501, {"error": {"message": "never heard of it"}}):
        assert isinstance(error, Unavailable) and not error.is_passing


def test_how_long_to_wait_is_the_clouds_own_word() -> None:
    for error in refusals(429, {"error": {"message": "too fast"}}, **{"Retry-After": "7"}):
        assert isinstance(error, Unavailable) and error.retry_after_s == 7


def test_a_failed_connection_says_where_and_why() -> None:
    failure = keystone.ConnectFailure(
        "Unable to establish connection to https://cloud.example:5000/v3/auth/tokens: HTTPSConnectionPool(...)"
    )
    failure.__context__ = requests.ConnectionError("Max retries exceeded")
    failure.__context__.__context__ = ConnectionRefusedError(111, "Connection refused")

    error = translate(failure)

    assert isinstance(error, Unavailable) and error.is_passing
    assert str(error) == "no answer from https://cloud.example:5000/v3/auth/tokens (Connection refused)"


def test_a_failed_discovery_is_what_made_it_fail() -> None:
    failure = keystone.DiscoveryFailure("Could not find versioned identity endpoints")
    failure.__context__ = keystone.ConnectFailure(
        "Unable to establish connection to https://cloud.example: no"
    )

    error = translate(failure)

    assert isinstance(error, Unavailable) and "no answer from https://cloud.example" in str(error)


def test_messages_hold_neither_passwords_nor_pages_of_text() -> None:
    for error in refusals(
        400, {"error": {"message": f"user_data: {'QUJD' * 9000} is too long\n" + "x " * 900}}
    ):
        assert len(str(error)) <= 300 and "\n" not in str(error)
        assert str(error).startswith("user_data: … is too long")

    error = translate(
        keystone.ConnectFailure("Unable to establish connection to https://me:secret@cloud.example: no")
    )
    assert "secret" not in str(error) and "https://cloud.example" in str(error)


def test_what_the_libraries_did_not_raise_is_left_alone() -> None:
    @translated
    def fails(error: BaseException) -> None:
        raise error

    for error in (ValueError("a bug"), KeyboardInterrupt(), Refused("no", code="conflict")):
        with pytest.raises(type(error)) as caught:
            fails(error)
        assert caught.value is error
    with pytest.raises(Refused) as refusal:
        fails(keystone.Unauthorized("no"))
    assert isinstance(refusal.value.__cause__, keystone.Unauthorized)
