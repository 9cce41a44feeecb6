"""The server's HTTP API as typed calls. The only module that knows httpx: its errors become ours here.

A call blocks. A try that failed for a passing reason (nothing listens yet, the answer was lost, 503) is made again for
a bounded time; a submission carries an idempotency key, so that trying again never makes a second job.
"""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar

import httpx

from client.answers import (
    ImportList,
    Job,
    JobPage,
    Model,
    ModelImport,
    ModelList,
    ResultPage,
    SaidAtOnce,
    Scan,
    ScanList,
    Submitted,
    read,
    read_problem,
)
from client.errors import ClientError, InputError, Refused, Unavailable
from client.tls import WrongCertificate, pinned_context, read_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from client.uploads import Upload

T = TypeVar("T")

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
PAGE_SIZE = 1000
KEEP_S = 600.0
"""So long a server may take to bring a file of gigabytes, which it has, to its disk or its bucket."""
EXAMPLE_ID = "0198c5d2-7c1e-7000-8000-000000000000"


@dataclass(frozen=True)
class Patience:
    """For how long a call is tried again: when nobody answers, the server is busy as it says, or a limit is used up."""

    unreachable_s: float = 3.0
    busy_s: float = 30.0
    limited_s: float = 150.0
    """Limits are of a minute, and what was used in the one before counts still."""

    def with_failure(self, failure: Unavailable) -> float:
        """For how long a call is tried again that failed so."""
        if failure.is_limit:
            return self.limited_s
        return self.unreachable_s if failure.retry_after_s is None else self.busy_s


# While a job runs its client has time: a server that is started again goes on with the job.
WHILE_FOLLOWING = Patience(unreachable_s=60.0, busy_s=60.0)

# What is known of a failure before it is said that nobody answered: httpx has one error for all of these.
_CAUSES: tuple[tuple[type[Exception], str], ...] = (
    (WrongCertificate, "{url} is not the server whose certificate is pinned: {why}"),
    (ssl.SSLCertVerificationError, "{url} has a certificate that is not trusted here: {why}"),
    (ssl.SSLError, "{url} does not speak TLS: is it an http:// address? ({why})"),
    (socket.gaierror, "no machine of the name in {url} is known: {why}"),
)
_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (httpx.ConnectError, "nothing answers at {url}: is the server running?"),
    (httpx.TimeoutException, "no answer from {url} in time"),
    (httpx.NetworkError, "the connection to {url} broke"),
    (
        httpx.RemoteProtocolError,
        "the connection to {url} broke, or it speaks something else than HTTP: {why}",
    ),
)


def translate(error: Exception, *, url: str) -> ClientError:
    """Ours for one of httpx's."""
    if isinstance(error, httpx.UnsupportedProtocol):
        return InputError(f"{url!r} is not an http:// or https:// address")
    if isinstance(error, httpx.InvalidURL):
        return InputError(f"{url!r} is no address of a server: {error}")
    if isinstance(error, httpx.LocalProtocolError):
        return InputError(f"the request could not be sent (did a file change meanwhile?): {error}")
    for kind, message in _CAUSES:
        if why := next((cause for cause in _causes_of(error) if isinstance(cause, kind)), None):
            return Unavailable(message.format(url=url, why=why))
    for kind, message in _FAILURES:
        if isinstance(error, kind):
            return Unavailable(message.format(url=url, why=error), is_passing=True)
    return Unavailable(f"{url}: {error}")


def _causes_of(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _trust(url: str, fingerprint: str | None) -> ssl.SSLContext | bool:
    """Who the server must be, as httpx takes it: whom the authorities know, unless one certificate is pinned."""
    if fingerprint is None:
        return True
    pin = read_fingerprint(fingerprint)
    if not url.lower().startswith("https://"):
        raise InputError(f"--fingerprint: expected an https:// address, which has a certificate, got {url!r}")
    return pinned_context(pin)


def _proof(key: str | None) -> dict[str, str]:
    """The header that a key is sent in."""
    if key is None or not key.strip():
        return {}
    if not (key.strip().isascii() and key.strip().isprintable()) or " " in key.strip():
        raise InputError("--key: expected a key as the server prints one, cel_…, got something else")
    return {"Authorization": f"Bearer {key.strip()}"}


class Server:
    """One server, by its address. Not thread-safe; a context manager that closes its connections."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        fingerprint: str | None = None,
        patience: Patience | None = None,
        tell: Callable[[str], None] = lambda _message: None,
    ) -> None:
        """`key` is sent with every request; nothing is sent to whoever has another certificate than `fingerprint` says.

        `tell` is told of what is waited for longer than somebody may expect.

        Raises:
            InputError: the address, the key or the fingerprint is none.
        """
        self.url = url
        self.patience = patience or Patience()
        self._tell = tell
        # What runs on this machine is never reached through a proxy.
        direct = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}
        try:
            self._http = httpx.Client(
                base_url=url,
                mounts=direct,
                verify=_trust(url, fingerprint),
                timeout=httpx.Timeout(60.0, connect=5.0),
                headers={"Accept": "application/json", "User-Agent": "celeriac-client", **_proof(key)},
            )
        except httpx.InvalidURL as error:
            raise translate(error, url=url) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._http.close()

    def models(self) -> list[Model]:
        """Every model that the server has."""
        return self.ask(ModelList, "GET", "/api/models").models

    def model(self, name: str) -> Model:
        """One model, with the manifest of its stable version."""
        return self.ask(Model, "GET", _model_path(name))

    def submit_items(
        self,
        items: Sequence[Any],
        *,
        fields: Mapping[str, str],
        wait_s: int = 0,
    ) -> Submitted:
        """Submit rows of numbers, or whatever JSON says; fields are model, and maybe version and priority."""
        return self._submit(wait_s, json={**fields, "inputs": list(items)})

    def submit_files(
        self, uploads: Sequence[Upload], *, fields: Mapping[str, str], wait_s: int = 0
    ) -> Submitted:
        """Submit images, files of arrays, or one CSV, streamed from where they lie."""
        return self._submit(wait_s, data=dict(fields), files=parts_of(uploads))

    def job(self, job_id: str) -> Job:
        """How far a job has come."""
        return self.ask(Job, "GET", _job_path(job_id))

    def jobs(self, **filters: str | int | None) -> JobPage:
        """Jobs, newest first; filters are model, state, after and limit."""
        return self.ask(JobPage, "GET", "/api/jobs", params=_given(filters))

    def cancel(self, job_id: str) -> Job:
        """Cancel what has not run."""
        return self.ask(Job, "DELETE", _job_path(job_id))

    def results(self, job_id: str, *, after: int | None = None) -> ResultPage:
        """Up to a thousand results in order, finished or not."""
        params = _given({"after": after, "limit": PAGE_SIZE})
        return self.ask(ResultPage, "GET", f"{_job_path(job_id)}/results", params=params)

    def start_scan(self, asked: Mapping[str, Any]) -> Scan:
        """Have what lies somewhere classified: url and model, and maybe version, pattern, again, dry_run, priority.

        Asked again while it lists, the server answers the same scan: trying again makes no second one.
        """
        return self.ask(Scan, "POST", "/api/scans", json=dict(asked))

    def scan(self, scan_id: str) -> Scan:
        """How far a scan and its job have come."""
        return self.ask(Scan, "GET", _scan_path(scan_id))

    def scans(self, *, limit: int) -> list[Scan]:
        """Scans, newest first."""
        return self.ask(ScanList, "GET", "/api/scans", params={"limit": limit}).scans

    def cancel_scan(self, scan_id: str) -> Scan:
        """Stop a scan, and cancel what has not run."""
        return self.ask(Scan, "DELETE", _scan_path(scan_id))

    def start_import(self, fields: Mapping[str, str], uploads: Sequence[Upload]) -> ModelImport:
        """Have a version made of a file, which is streamed from where it lies, or named by `url` among the fields.

        It is sent once: the server could not tell a second try from a second import.
        """
        parts = parts_of(uploads)
        # A form without any file would not be sent as one of several parts.
        parts = parts or [(name, (None, value)) for name, value in fields.items()]
        timeout = httpx.Timeout(60.0, connect=5.0, read=KEEP_S)
        data = dict(fields) if uploads else None
        return self.ask_once(ModelImport, "POST", "/api/models", data=data, files=parts, timeout=timeout)

    def model_import(self, import_id: str) -> ModelImport:
        """How far an import has come, and what it has become."""
        return self.ask(ModelImport, "GET", _import_path(import_id))

    def imports(self, *, limit: int) -> list[ModelImport]:
        """Imports, newest first."""
        return self.ask(ImportList, "GET", "/api/imports", params={"limit": limit}).imports

    def cancel_import(self, import_id: str) -> ModelImport:
        """Have a file become no version."""
        return self.ask(ModelImport, "DELETE", _import_path(import_id))

    def _submit(self, wait_s: int, **content: Any) -> Submitted:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}"
        answer = self._answer("POST", "/api/jobs", headers=headers, **content)
        job = _read(Job, answer)
        said = _read(SaidAtOnce, answer)
        return Submitted(job, said.results, said.table)

    def save(self, path: str, into: BinaryIO, **content: Any) -> None:
        """Write what a path answers into a file as it comes. It is asked for once.

        Raises:
            Refused, Unavailable: it is not to be had; a part of it may be written.
        """
        try:
            with self._http.stream("GET", path, **content) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _failure(answer, url=self.url)
                into.writelines(answer.iter_bytes())
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise translate(error, url=self.url) from error

    def ask(self, kind: type[T], method: str, path: str, **content: Any) -> T:
        """What a path answers, as a value; asked again where that may help."""
        return _read(kind, self._answer(method, path, **content))

    def ask_once(self, kind: type[T], method: str, path: str, **content: Any) -> T:
        """As `ask`, without another try: for what would do something else, done twice."""
        return _read(kind, self._try(method, path, **content))

    def _answer(self, method: str, path: str, **content: Any) -> httpx.Response:
        started = time.monotonic()
        for pause_s in _pauses():
            try:
                return self._try(method, path, **content)
            except Unavailable as failure:
                wait_s = failure.retry_after_s if failure.retry_after_s is not None else pause_s
                limit_s = self.patience.with_failure(failure)
                if not failure.is_passing or time.monotonic() + wait_s - started > limit_s:
                    raise
                if failure.is_limit:
                    self._tell(f"{failure}; waiting {wait_s:g} s")
                time.sleep(wait_s)
        raise AssertionError("the pauses do not end")

    def _try(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **content)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise translate(error, url=self.url) from error
        if answer.is_success:
            return answer
        raise _failure(answer, url=self.url)


def parts_of(uploads: Sequence[Upload]) -> list[tuple[str, Any]]:
    """Files as httpx sends them, beside the fields of a form."""
    return [(upload.part, (upload.name, upload, upload.content_type)) for upload in uploads]


def _read(kind: type[T], answer: httpx.Response) -> T:
    return read(kind, answer.content, url=str(answer.url))


# A word of the user's becomes a part of a path only if it is what belongs there: what the server's routing says of any
# other is about URLs, which no user of this client has written.


def checked_model(name: str) -> str:
    """A model's name, which may be a part of a path.

    Raises:
        InputError: it cannot be one.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        raise InputError(f"{name!r} is no name of a model: `models` lists those that there are")
    return name


def _model_path(name: str) -> str:
    return f"/api/models/{checked_model(name)}"


def _job_path(job_id: str) -> str:
    return f"/api/jobs/{checked_id(job_id, of='job')}"


def _import_path(import_id: str) -> str:
    return f"/api/imports/{checked_id(import_id, of='import')}"


def _scan_path(scan_id: str) -> str:
    return f"/api/scans/{checked_id(scan_id, of='scan')}"


def checked_id(text: str, *, of: str) -> uuid.UUID:
    """The ID of a job, an import, a scan or a training run.

    Raises:
        InputError: it is none.
    """
    try:
        return uuid.UUID(text)
    except ValueError as error:
        article = "an" if of == "import" else "a"
        raise InputError(
            f"{text!r} is no ID of {article} {of}: expected one such as {EXAMPLE_ID}; "
            f"`{of.replace(' ', '-')}s` lists those that there are"
        ) from error


def _failure(answer: httpx.Response, *, url: str) -> Refused | Unavailable:
    if answer.is_redirect:
        return Unavailable(
            f"{url} has moved to {answer.headers.get('location', 'nowhere')}: use that address"
        )
    problem = read_problem(answer.content, status=answer.status_code)
    is_passing = answer.status_code in RETRIED_STATUSES
    is_limit = answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    if answer.is_client_error and not is_passing:
        return problem
    detail = f"{url} answered {answer.status_code} {answer.reason_phrase}: {problem}"
    return Unavailable(detail, is_passing=is_passing, retry_after_s=_retry_after_s(answer), is_limit=is_limit)


def _retry_after_s(answer: httpx.Response) -> float | None:
    seconds = answer.headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else None


def _pauses() -> Iterator[float]:
    return (min(0.1 * 2**attempt, 2.0) for attempt in itertools.count())


def _given(params: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value is not None}
