"""What pages of other sites, and names of others, get of a service that any browser of its user can reach."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from testing.celeriac import Celeriac
    from testing.neighbours import Seen

JOB = json.dumps({"model": "diabetes", "inputs": [[6, 148, 72, 35, 0, 33.6, 0.627, 50]]})
FORM = (
    '--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ndiabetes\r\n'
    '--x\r\nContent-Disposition: form-data; name="csv"; filename="a.csv"\r\n\r\n6,148,72,35,0,33.6,0.627,50\r\n'
    "--x--\r\n"
)
CALL = '{"instances": [[6, 148, 72, 35, 0, 33.6, 0.627, 50]]}'
TENSOR = json.dumps(
    {
        "inputs": [
            {
                "name": "features", "shape": [1, 8], "datatype": "FP32",
                "data": [6, 148, 72, 35, 0, 33.6, 0.627, 50],
            }
        ]
    }
)  # fmt: skip
FORM_TYPE, TEXT, JSON = "multipart/form-data; boundary=x", "text/plain", "application/json"
WRITES = {
    "a job by form": ("POST", "/api/jobs", FORM_TYPE, FORM),
    "a job by JSON": ("POST", "/api/jobs", JSON, JOB),
    "a scan by text": ("POST", "/api/scans", TEXT, '{"url": "s3://b/", "model": "diabetes"}'),
    "a scan by JSON": ("POST", "/api/scans", JSON, '{"url": "s3://b/", "model": "diabetes"}'),
    "an event": ("POST", "/events/s3", TEXT, "{}"),
    "a call of v1": ("POST", "/v1/models/diabetes:predict", TEXT, CALL),
    "a call of v2": ("POST", "/v2/models/diabetes/infer", TEXT, TENSOR),
    "a page's form": (
        "POST", "/predictions?model=diabetes", "application/x-www-form-urlencoded", "kind=row",
    ),
    "a cancelled job": ("DELETE", "/api/jobs/01a1fa90-0000-7000-8000-000000000000", "", ""),
    "a path that is none": ("POST", "/no/such/path", TEXT, "x"),
    "a question before": ("OPTIONS", "/api/jobs", "", ""),
    "a question before a call": ("OPTIONS", "/v1/models/diabetes:predict", "", ""),
}  # fmt: skip
READS = [
    "/", "/predictions", "/stats", "/results", "/docs", "/static/page.css", "/no/such/page",
    "/api/jobs", "/api/models", "/api/scans", "/api/stats", "/api/results", "/api/results.csv", "/openapi.json",
    "/v1/models/diabetes", "/v1/models/diabetes/metadata", "/v2", "/v2/models/diabetes", "/v2/health/ready",
    "/v2/health/live", "/metrics", "/livez", "/readyz",
]  # fmt: skip
FOREIGN = {
    "another site": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "no-cors",
        "Origin": "https://evil.com",
    },
    "a form of another site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    "another port": {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8000"},
    "an old browser": {"Origin": "https://evil.com"},
    "an old browser, another port": {"Origin": "http://127.0.0.1:8000"},
    "a sandboxed frame": {"Origin": "null"},
    "a file": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "a name that begins alike": {"Origin": "http://127.0.0.1.evil.com"},
    "no origin at all": {"Origin": ""},
    "an origin that is none": {"Origin": "http://[half"},
}


@pytest.fixture(scope="module")
def mode() -> str:
    """One boot: both modes have the same door."""
    return "embedded-sqlite"


def ask(
    service: Celeriac, method: str, path: str, body: str = "", **headers: str | None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer; a header that is None is not sent, not even Host."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        given = {"Host": f"127.0.0.1:{service.port}", "Content-Length": str(len(body))} | headers
        for name, value in given.items():
            if value is not None:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        # Of a stream the first bytes are enough.
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read(4096)


def code_of(body: bytes) -> str:
    """The code of an error, of a problem's and of a protocol's."""
    return str(json.loads(body)["code"])


def jobs_of(service: Celeriac) -> list[str]:
    """The ids of the newest jobs."""
    return [job["id"] for job in service.web.get("/api/jobs").json()["jobs"]]


@pytest.fixture
def unharmed(service: Celeriac) -> Iterator[None]:
    """Nothing was stored."""
    before = jobs_of(service)
    yield
    assert jobs_of(service) == before


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("whence", FOREIGN)
@pytest.mark.parametrize("what", WRITES)
def test_what_a_page_of_another_site_sends_is_refused(service: Celeriac, what: str, whence: str) -> None:
    method, path, kind, body = WRITES[what]
    headers = FOREIGN[whence] | ({"Content-Type": kind} if kind else {})

    status, answered, said = ask(service, method, path, body, **headers)

    assert status == 403, said
    assert not [name for name in answered if name.startswith("access-control-")]
    if path.startswith(("/api/", "/v")):
        assert code_of(said) == "foreign_page"


@pytest.mark.parametrize("path", READS)
def test_a_link_on_another_sites_page_may_be_followed_and_no_other_page_may_read(
    service: Celeriac, path: str
) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    read = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://evil.com"}

    plain, *_ = ask(service, "GET", path)
    status, headers, _ = ask(service, "GET", path, **followed)
    read_status, read_headers, _ = ask(service, "GET", path, **read)

    assert status == plain
    assert read_status == 403
    assert not [name for name in (*headers, *read_headers) if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "name",
    [
        "evil.com", "evil.com:5100", "EVIL.com.", "127.0.0.1.evil.com", "localhost.evil.com", "127.0.0.1.nip.io:80",
        "evil.com:80", "xn--e1afmkfd.com",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", READS)
def test_a_name_that_may_be_anybodys_is_not_answered(service: Celeriac, path: str, name: str) -> None:
    status, _, body = ask(service, "GET", path, Host=name, X_Forwarded_Host="127.0.0.1")

    assert status == 403
    assert b"PUBLIC_HOSTS" in body


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("what", WRITES)
def test_a_page_of_a_name_that_points_here_sends_nothing(service: Celeriac, what: str) -> None:
    """To its browser it is the same site: of all headers only the name tells (DNS rebinding)."""
    method, path, kind, body = WRITES[what]
    same = {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.com:5100", "Content-Type": kind}

    status, _, said = ask(service, method, path, body, Host="evil.com:5100", **same)

    assert status == 403
    if path.startswith(("/api/", "/v")):
        assert code_of(said) == "unknown_host"


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.1", "localhost:5100", "LOCALHOST", "celeriac.localhost", "[::1]:5100", "203.0.113.7:5100",
        "[2001:db8::7]", "10.42.0.17:5100", "web:5100", "celeriac.default.svc.cluster.local:5100", "localhost.", "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/livez", "/metrics", "/v2", "/api/models", "/predictions"])
def test_addresses_and_names_that_nobody_outside_can_have_are_answered(
    service: Celeriac, path: str, name: str
) -> None:
    assert ask(service, "GET", path, Host=name)[0] == 200


@pytest.mark.parametrize(
    "name", ["a b", "evil.com/", "user@localhost", "localhost:port", "[::1", "a,b", "http://a"]
)
@pytest.mark.parametrize("path", ["/livez", "/v2", "/api/models", "/predictions"])
def test_a_host_that_is_none_is_refused(service: Celeriac, path: str, name: str) -> None:
    assert ask(service, "GET", path, Host=name)[0] == 400


@pytest.mark.parametrize(
    ("path", "kind", "body", "status"),
    [
        ("/api/jobs", JSON, JOB, 202),
        ("/api/jobs", "application/json; charset=utf-8", JOB, 202),
        ("/api/jobs", FORM_TYPE, FORM, 202),
        ("/api/jobs", TEXT, JOB, 415),
        ("/api/jobs", "application/x-www-form-urlencoded", JOB, 415),
        ("/api/jobs", None, JOB, 415),
        ("/api/scans", TEXT, "{}", 415),
        ("/api/scans", "application/x-www-form-urlencoded", "{}", 415),
        ("/api/scans", FORM_TYPE, FORM, 415),
        ("/api/scans", None, "{}", 415),
        ("/api/scans", JSON, "{}", 400),
        ("/v1/models/diabetes:predict", "application/x-www-form-urlencoded", CALL, 200),  # curl -d
        ("/v1/models/diabetes:predict", None, CALL, 200),
        ("/v1/models/diabetes:predict", JSON, CALL, 200),
        ("/v2/models/diabetes/infer", "application/octet-stream", TENSOR, 200),
        ("/v2/models/diabetes/infer", None, TENSOR, 200),
    ],
)
def test_who_is_no_browser_sends_what_the_route_takes(
    service: Celeriac, path: str, kind: str | None, body: str, status: int
) -> None:
    assert ask(service, "POST", path, body, Content_Type=kind)[0] == status


@pytest.mark.parametrize(
    "own",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:{port}"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"},
    ],
)
@pytest.mark.parametrize("what", ["a job by form", "a job by JSON", "a call of v1", "a call of v2"])
def test_pages_of_this_service_may_send(service: Celeriac, what: str, own: dict[str, str]) -> None:
    method, path, kind, body = WRITES[what]
    headers = {name: value.format(port=service.port) for name, value in own.items()}

    assert ask(service, method, path, body, **headers, Content_Type=kind)[0] in {200, 202}


RAW = {
    "1.1 without a host": (b"%s HTTP/1.1\r\n\r\n", 400),
    "1.1 with two": (b"%s HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
    "1.1 with a second one that is empty": (b"%s HTTP/1.1\r\nHost: localhost\r\nhost:\r\n\r\n", 400),
    "1.0 with two": (b"%s HTTP/1.0\r\nHost: localhost\r\nHost: evil.com\r\n\r\n", 400),
    "1.0 without a host": (b"%s HTTP/1.0\r\n\r\n", 200),
    "1.0 of another's name": (b"%s HTTP/1.0\r\nHost: evil.com\r\n\r\n", 403),
}


@pytest.mark.parametrize("case", RAW)
@pytest.mark.parametrize("line", [b"GET /livez", b"GET /api/models", b"GET /v2", b"GET /metrics"])
def test_one_host_is_expected_and_of_http_1_0_none_need_be(service: Celeriac, line: bytes, case: str) -> None:
    request, status = RAW[case]

    assert said(service, request % line).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("case", RAW)
def test_of_calls_one_host_is_expected_as_well(service: Celeriac, case: str) -> None:
    request, status = RAW[case]
    length = b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(CALL), CALL.encode())
    call = request[:-2] % b"POST /v1/models/diabetes:predict" + length

    assert said(service, call).startswith(b"HTTP/1.1 %d " % status)


def said(service: Celeriac, request: bytes) -> bytes:
    """What is answered to these bytes, at first."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def test_times_outside_the_years_that_there_are_are_refused_or_answered(service: Celeriac) -> None:
    moments = [
        "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
        "0001-01-01", "9999-12-31T23:59:59.999999Z", "-1", "1e400", "9" * 400, "%00", "2026-02-30",
    ]  # fmt: skip
    for path in ("/results", "/stats", "/api/results", "/api/results.csv", "/api/stats"):
        for name in ("since", "until"):
            for moment in moments:
                status, *_ = ask(service, "GET", f"{path}?{name}={moment}")

                assert status in {200, 400}, (path, name, moment)


def test_a_page_that_sends_all_the_time(
    service: Celeriac, neighbours: Callable[[], AbstractContextManager[Seen]]
) -> None:
    foreign = {"Origin": "https://evil.com", "Sec-Fetch-Site": "cross-site", "Content-Type": FORM_TYPE}
    with neighbours():
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert ask(service, "POST", "/api/jobs", FORM, **foreign)[0] == 403
