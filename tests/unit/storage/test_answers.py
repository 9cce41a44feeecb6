"""What stores may answer beside objects, by a server of one answer; and what Google's emulator does not do."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gcsfs.retry import HttpError
from google.auth.exceptions import RefreshError, TransportError

from production_server.errors import CeleriacError, ObjectUnusable, StorageUnavailable
from production_server.storage.gs import GoogleStorage
from production_server.storage.locations import Location
from production_server.storage.objects import Reference
from production_server.storage.storage import Storage
from testing.answers import Answers, answering
from testing.environment import variables

Serve = Callable[..., Storage]


@pytest.fixture
def serve() -> Iterator[Callable[[str, Answers], Storage]]:
    """Makes a storage of a kind whose store gives these answers."""
    with ExitStack() as running:

        def start(scheme: str, answers: Answers) -> Storage:
            running.enter_context(answering(answers))
            running.enter_context(variables(answers.environ(scheme)))
            return Storage([Location.parse(f"{scheme}://photos")])

        yield start


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (302, ObjectUnusable, "object_refused"),
        (307, ObjectUnusable, "object_refused"),
        (401, ObjectUnusable, "object_forbidden"),
        (403, ObjectUnusable, "object_forbidden"),
        (404, ObjectUnusable, "object_missing"),
        (409, ObjectUnusable, "object_refused"),
        (429, StorageUnavailable, "storage_unavailable"),
        (503, StorageUnavailable, "storage_unavailable"),
    ],
)
@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_what_a_store_answers_is_told_in_one_way(
    serve: Serve, scheme: str, status: int, error: type[CeleriacError], code: str
) -> None:
    with answering(Answers()) as elsewhere:
        storage = serve(scheme, Answers(status, {"Location": f"{elsewhere.url}/photos/a"}))

        for ask in (
            lambda: storage.fetch(Reference(f"{scheme}://photos/a"), max_bytes=10),
            lambda: list(storage.pages(Location.parse(f"{scheme}://photos"))),
        ):
            with pytest.raises(error) as refused:
                ask()
            assert refused.value.code == code
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("scheme", "variable"), [("gs", "STORAGE_EMULATOR_HOST"), ("az", "AZURE_STORAGE_CONNECTION_STRING")]
)
def test_without_credentials_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, scheme: str, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path_factory.mktemp("gcloud")))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    with pytest.raises(ObjectUnusable) as refused:
        Storage([Location.parse(f"{scheme}://photos")]).fetch(Reference(f"{scheme}://photos/a"), max_bytes=10)

    assert refused.value.code == "object_forbidden"


def item(name: str) -> dict[str, str]:
    return {"name": name, "generation": "1", "size": "1"}


def test_a_page_of_google_may_be_empty_though_others_follow(serve: Serve) -> None:
    pages = [{"items": [item("a"), item("b")], "nextPageToken": "1"}, {"nextPageToken": "2"}]
    pages += [{"items": [item("b")], "nextPageToken": "3"}, {"items": [item("c")]}]
    answers = Answers(
        headers={"Content-Type": "application/json"}, bodies=[json.dumps(each).encode() for each in pages]
    )
    storage = serve("gs", answers)

    found = list(storage.pages(Location.parse("gs://photos")))

    assert [[each.url[-1] for each in page.references] for page in found] == [["a", "b"], ["c"]]
    assert [page.cursor for page in found] == ["b", "c"]
    assert ["startOffset=b" in each for each in answers.asked] == [False, True, True, True]


def test_an_object_of_google_comes_as_it_is_stored(serve: Serve) -> None:
    stored = gzip.compress(b"x" * 10_000)
    headers = {"Content-Encoding": "gzip", "X-Goog-Generation": "7"}
    storage = serve("gs", Answers(headers=headers, bodies=[stored]))

    assert storage.fetch(Reference("gs://photos/a", "7"), max_bytes=len(stored)) == stored


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has this process be an account of Google's that gets its tokens at an address."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = tmp_path / "account.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    def at(token_uri: str) -> None:
        told = {"type": "service_account", "client_email": "a@example.org", "private_key": pem}
        file.write_text(json.dumps(told | {"token_uri": token_uri, "project_id": "tests"}))

    return at


def test_googles_own_store_gets_the_token_of_the_account(
    serve: Serve, account: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = json.dumps({"access_token": "t0ken", "expires_in": 3600}).encode()
    answers = Answers(headers={"Content-Type": "application/json"}, bodies=[token, b"{}", b"{}"])
    storage = serve("gs", answers)
    account(f"{answers.url}/token")
    # By the name in it gcsfs tells Google's store from others.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"{answers.url}/storage.googleapis.com")

    for _ in range(2):
        assert list(storage.pages(Location.parse("gs://photos"))) == []

    assert answers.asked[0] == "/token"
    assert answers.authorizations == ["", "Bearer t0ken", "Bearer t0ken"]


@pytest.mark.parametrize(
    ("url", "status", "error"),
    [("http://127.0.0.1:1/token", 200, StorageUnavailable), ("", 400, ObjectUnusable)],
    ids=["is away", "refuses"],
)
def test_a_token_that_cannot_be_had_now_is_asked_for_again_and_one_that_is_refused_is_not(
    serve: Serve,
    account: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    status: int,
    error: type[CeleriacError],
) -> None:
    answers = Answers(status, {"Content-Type": "application/json"}, [b'{"error": "invalid_grant"}'])
    storage = serve("gs", answers)
    account(url or f"{answers.url}/token")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"{answers.url}/storage.googleapis.com")

    with pytest.raises(error):
        storage.fetch(Reference("gs://photos/a"), max_bytes=10)


@pytest.mark.parametrize(("cause", "status"), [(TransportError("away"), 503), (None, 401)])  # type: ignore[no-untyped-call]
def test_a_machine_whose_metadata_are_away_is_not_forbidden_anything(
    cause: Exception | None, status: int
) -> None:
    refreshing = RefreshError("no token")  # type: ignore[no-untyped-call]
    told = HttpError({"code": 401, "message": "Invalid Credentials"})
    refreshing.__cause__, told.__cause__ = cause, refreshing

    assert GoogleStorage().status_of(told) == status
