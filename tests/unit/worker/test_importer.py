"""A worker makes versions of what clients have sent; whatever happens to it, none is made twice or half."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from production_server.access.audit import Act, Wanted, list_lines
from production_server.access.records import Actor
from production_server.errors import ImportStopped, InvalidInput, StoreNotWritable, Unavailable
from production_server.intake.imports import ImportIntake, Wish
from production_server.jobs import imports as jobs
from production_server.jobs.database import Database
from production_server.jobs.imports import ModelImport, get_import
from production_server.jobs.leases import FREE
from production_server.jobs.tables import model_import
from production_server.learning.gate import Gate
from production_server.learning.published import NOTE
from production_server.learning.report import CheckName
from production_server.models.drafts import Draft
from production_server.models.importing.described import Described
from production_server.models.importing.uploads import FOLDER, Part, Uploads
from production_server.models.registry import Registry
from production_server.serving.known_standings import KnownStandings
from production_server.serving.overview import Overview
from production_server.settings import Settings
from production_server.storage.locations import Location
from production_server.storage.storage import Storage
from production_server.worker import importer as module
from production_server.worker.importer import MOST_TRIES, Importer
from testing.foreign_graphs import FOREIGN_MODELS
from testing.model_buckets import new_bucket, remote_store_at
from testing.processes import wait_until
from testing.s3 import S3
from testing.sent_files import come

IRIS = FOREIGN_MODELS / "iris_pipeline.onnx"
ANNA = Actor("anna", "cel_12345678", "192.0.2.7", "request-1")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, model_store=tmp_path / "store", gate_latency=1000)


@pytest.fixture
def importer(sqlite_database: Database, settings: Settings) -> Importer:
    known = KnownStandings(sqlite_database)
    known.look_again()
    registry = Registry(settings.model_stores, known=known.now)
    overview = Overview(sqlite_database, registry, known)
    return Importer(sqlite_database, overview, settings, Storage(settings.storage_allow))


def send(importer: Importer, data: bytes = IRIS.read_bytes(), **wish: Any) -> ModelImport:
    intake = ImportIntake(importer.settings, importer.database)
    told: dict[str, Any] = {"model": "mine", "described": Described()} | wish
    wished = Wish(**told)
    with intake.incoming() as files:
        return intake.accept(wished, come(files, "model", "iris.onnx", data), by=ANNA)


def state_of(importer: Importer, sent: ModelImport) -> ModelImport:
    return get_import(importer.database, sent.id, whose=None)


def left_of(importer: Importer) -> list[str]:
    """What of imports and drafts lies in the store."""
    store = importer.settings.model_stores[-1]
    return sorted(str(path.relative_to(store)) for path in store.glob("*/.draft-*")) + sorted(
        path.name for path in (store / FOLDER).glob("*")
    )


def that_waits(tmp_path: Path) -> Path:
    """A Python that reads no file, and ends only when it is killed."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    program.chmod(0o755)
    return program


def test_a_file_that_was_sent_becomes_a_version_that_serves(importer: Importer) -> None:
    sent = send(importer, described=Described(title="Iris"))

    assert importer.look() and not importer.look()

    over = state_of(importer, sent)
    assert (over.state, over.error_message) == ("succeeded", None)
    assert over.manifest is not None and over.manifest["version"] == "1"
    assert over.report is not None and over.report["against"] is None
    version = Registry(importer.settings.model_stores).resolve("mine")
    assert (version.manifest.title, version.manifest.version) == ("Iris", "1")
    assert version.manifest.source is not None and version.manifest.source.file == "iris.onnx"
    assert not left_of(importer)
    (line,) = list_lines(importer.database, Wanted(act=Act.VERSION_IMPORTED), limit=9)
    assert (line.by, line.object) == (ANNA, "mine/1")


def test_a_dry_run_makes_no_version_and_tells_what_it_would_be(importer: Importer) -> None:
    sent = send(importer, dry_run=True)

    importer.look()

    over = state_of(importer, sent)
    assert over.state == "succeeded" and over.manifest is not None
    assert "mine" not in Registry(importer.settings.model_stores).model_names()
    assert not list_lines(importer.database, Wanted(act=Act.VERSION_IMPORTED), limit=9)


def test_what_is_wrong_with_a_file_is_told_and_the_next_one_is_made(importer: Importer) -> None:
    bad, good = send(importer, described=Described(labels=("a", "b"))), send(importer)

    assert importer.look() and importer.look()

    over = state_of(importer, bad)
    assert (over.state, [fault.field for fault in over.faults]) == ("failed", ["labels"])
    assert state_of(importer, good).state == "succeeded"
    assert not left_of(importer)


def test_a_name_that_clients_rely_on_keeps_what_it_takes_unless_that_is_said(importer: Importer) -> None:
    send(importer)
    importer.look()
    other = (FOREIGN_MODELS / "fashion_cnn.onnx").read_bytes()
    refused, wanted = send(importer, other), send(importer, other, allowed=(CheckName.SIGNATURE,))

    importer.look()
    importer.look()

    assert "got something else than version 1 has" in (state_of(importer, refused).error_message or "")
    assert state_of(importer, wanted).state == "succeeded"


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
def test_one_that_nobody_waits_for_ends_at_once_and_leaves_nothing(
    importer: Importer, tmp_path: Path, how: str
) -> None:
    waiting = replace(importer, settings=replace(importer.settings, import_python=that_waits(tmp_path)))
    sent = send(waiting)
    making = threading.Thread(target=waiting.look)
    making.start()
    wait_until(lambda: waiting._in_hand is not None, what="it is being made")

    if how == "cancelled":
        ImportIntake(waiting.settings, waiting.database).cancel(sent.id, whose="anna")
        waiting.renew_lease()
    else:
        waiting.stopping.set()
        waiting.close()
    making.join(20)

    assert not making.is_alive()
    over = state_of(importer, sent)
    assert (over.state, over.tries) == (("cancelled", 1) if how == "cancelled" else ("waiting", 0))
    assert [each for each in left_of(importer) if each != str(sent.id)] == []
    if how == "stopped":
        importer.look()
        assert state_of(importer, sent).state == "succeeded"
    assert not left_of(importer)


def test_one_that_is_cancelled_in_the_gate_becomes_no_version(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, real = send(importer), Gate.examine

    def examine(gate: Gate, *arguments: Any) -> Any:
        report = real(gate, *arguments)
        ImportIntake(importer.settings, importer.database).cancel(sent.id, whose="anna")
        importer.renew_lease()
        return report

    monkeypatch.setattr(Gate, "examine", examine)

    importer.look()

    assert state_of(importer, sent).state == "cancelled"
    assert "mine" not in Registry(importer.settings.model_stores).model_names()


def test_one_that_workers_die_of_is_given_up(importer: Importer) -> None:
    sent = send(importer)
    for _ in range(MOST_TRIES):
        held = jobs.claim_import(importer.database, lease_s=60, has_tensorflow=False)
        assert held is not None
        jobs.put_import_back(importer.database, held, after_s=0, counts=True)

    importer.look()

    assert "3 workers have tried it" in (state_of(importer, sent).error_message or "")
    assert not left_of(importer)


def test_files_that_lie_elsewhere_are_left_to_others_and_then_told_of(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MISSING_PAUSE_S", 0.0)
    sent = send(importer)
    shutil.rmtree(Uploads(importer.settings.model_stores[-1]).folder_of(sent.id))

    states = []
    for _ in range(MOST_TRIES):
        importer.look()
        states.append(state_of(importer, sent).state)

    assert states == ["waiting", "waiting", "failed"]
    assert "MODEL_STORE has to be one folder" in (state_of(importer, sent).error_message or "")


def test_a_file_that_another_machine_was_sent_becomes_a_version_in_the_bucket(
    importer: Importer, s3: S3, tmp_path: Path
) -> None:
    url = new_bucket(s3)
    machine = replace(importer.settings, model_store=Location.parse(url), state_dir=tmp_path / "web")
    sent = send(replace(importer, settings=machine))
    worker = replace(machine, state_dir=tmp_path / "worker")

    replace(importer, settings=worker).look()

    over = state_of(importer, sent)
    assert (over.state, over.error_message) == ("succeeded", None)
    assert set(remote_store_at(url).versions()) == {("mine", "1")}
    assert Registry(worker.model_stores).resolve("mine").manifest.version == "1"
    assert not list((worker.model_stores[-1] / FOLDER).glob("*"))
    assert not remote_store_at(url).uploaded()


def test_an_import_whose_file_cannot_be_had_from_the_bucket_says_so(
    importer: Importer, s3: S3, tmp_path: Path
) -> None:
    machine = replace(importer.settings, model_store=Location.parse(new_bucket(s3)))
    web = replace(importer, settings=replace(machine, state_dir=tmp_path / "web"))
    sent = send(web)

    with s3.away():
        replace(importer, settings=replace(machine, state_dir=tmp_path / "worker")).look()

    over = state_of(importer, sent)
    assert over.state == "failed" and "cannot be had from the model store" in (over.error_message or "")


def test_a_version_is_told_of_when_the_database_answers_again(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    failures, real = [Unavailable("no"), Unavailable("no")], jobs.end_import

    def end(*arguments: Any, **more: Any) -> bool:
        if failures:
            raise failures.pop()
        return real(*arguments, **more)

    monkeypatch.setattr(module, "end_import", end)
    sent = send(importer)

    importer.look()

    assert state_of(importer, sent).state == "succeeded"
    assert [each.manifest.version for each in Registry(importer.settings.model_stores).versions("mine")] == [
        "1"
    ]


@pytest.mark.parametrize("where", ["file", "database"])
def test_what_is_not_accepted_leaves_no_file(
    importer: Importer, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "database":
        monkeypatch.setattr(
            "production_server.intake.imports.add_import", lambda *_: (_ for _ in ()).throw(Unavailable("no"))
        )

    with pytest.raises(Exception, match=r"no|expected a model"):
        send(importer, b"nothing" if where == "file" else IRIS.read_bytes())

    assert not left_of(importer)


def test_a_store_that_takes_no_file_is_told_of(importer: Importer) -> None:
    importer.settings.model_stores[-1].write_text("a file")

    with pytest.raises(StoreNotWritable, match="Not a directory"):
        send(importer)


def test_files_that_nobody_knows_are_swept_when_they_are_old(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(importer.settings.model_stores[-1])
    needed, forgotten = send(importer, described=Described()).id, jobs.new_import_id()
    with uploads.incoming(most_bytes=1) as files:
        uploads.keep(forgotten, come(files, "model", "file", b"x"))

    uploads.sweep(jobs.open_imports(importer.database))
    assert uploads.folder_of(forgotten).is_dir()

    monkeypatch.setattr("production_server.models.importing.uploads._KEPT_S", -1.0)
    uploads.sweep(jobs.open_imports(importer.database))
    assert not uploads.folder_of(forgotten).exists() and uploads.folder_of(needed).is_dir()


def allowing(importer: Importer, url: str) -> Importer:
    """One that may fetch from there."""
    settings = replace(importer.settings, storage_allow=(Location.parse(url),))
    return replace(importer, settings=settings, storage=Storage(settings.storage_allow))


def send_url(importer: Importer, url: str, **wish: Any) -> ModelImport:
    intake = ImportIntake(importer.settings, importer.database)
    told: dict[str, Any] = {"model": "mine", "described": Described(), "urls": {"model": url}} | wish
    with intake.incoming() as files:
        return intake.accept(Wish(**told), files, by=ANNA)


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the file and a sample of it lie."""
    sample = b"a,b,c,d,kind\n5.1,3.5,1.4,0.2,setosa\n6.2,2.9,4.3,1.3,versicolor\n"
    objects = {"in/iris.onnx": IRIS.read_bytes(), "in/iris.onnx.old": b"x", "in/rows.csv": sample}
    if request.param == "s3":
        s3, bucket = request.getfixturevalue("s3"), f"models-{uuid4().hex[:8]}"
        s3.fill(bucket, objects)
        return f"s3://{bucket}/in"
    for key, data in objects.items():
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).write_bytes(data)
    return f"file://{tmp_path}/in"


def test_a_file_is_fetched_from_where_it_lies(importer: Importer, place: str) -> None:
    able = allowing(importer, place)
    urls: dict[Part, str] = {"model": f"{place}/iris.onnx", "sample": f"{place}/rows.csv"}
    sent = send_url(able, "", urls=urls, described=Described(target="kind"))
    said: list[str] = []
    able._files.fetch(sent.id, urls, said.append, threading.Event())
    shutil.rmtree(able._uploads.folder_of(sent.id))

    able.look()

    over = state_of(importer, sent)
    assert (sent.file, over.state, over.error_message) == ("iris.onnx", "succeeded", None)
    version = Registry(importer.settings.model_stores).resolve("mine")
    assert version.manifest.source is not None and version.manifest.source.file == "iris.onnx"
    assert [each.name for each in version.manifest.features] == ["a", "b", "c", "d"]
    assert said[0] == f"Fetching {place}/iris.onnx" and said[1].endswith(" MB")
    assert not left_of(importer)


def test_a_sample_is_fetched_for_a_file_that_was_sent(importer: Importer, place: str) -> None:
    able = allowing(importer, place)
    sent = send(able, urls={"sample": f"{place}/rows.csv"}, described=Described(target="kind"))

    able.look()

    assert state_of(importer, sent).state == "succeeded"
    manifest = Registry(importer.settings.model_stores).resolve("mine").manifest
    assert [each.name for each in manifest.features] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("none.onnx", "object_missing", "none.onnx"),
        ("", "invalid_input", "the address of one file"),
        ("iris.onnx.old", "invalid_input", "expected a model"),
    ],
)
def test_what_cannot_be_fetched_is_told(
    importer: Importer, place: str, name: str, code: str, told: str
) -> None:
    able = allowing(importer, place)
    sent = send_url(able, f"{place}/{name}")

    able.look()

    over = state_of(importer, sent)
    assert (over.state, over.error_code) == ("failed", code)
    assert told in (over.error_message or "")
    assert not left_of(importer)


def test_a_file_that_is_too_large_is_not_fetched(importer: Importer, place: str) -> None:
    able = allowing(importer, place)
    small = replace(able, settings=replace(able.settings, import_file_bytes=100))
    sent = send_url(small, f"{place}/iris.onnx")

    small.look()

    assert state_of(importer, sent).error_code == "object_too_large"
    assert not left_of(importer)


def test_a_place_that_this_worker_may_not_read_is_not_read(importer: Importer, place: str) -> None:
    sent = send_url(allowing(importer, place), f"{place}/iris.onnx")

    importer.look()

    assert state_of(importer, sent).error_code == "location_not_allowed"


@pytest.mark.parametrize(
    ("urls", "field", "code"),
    [
        ({"model": "https://example.com/m.onnx"}, "url", "invalid_input"),
        ({"model": "http://169.254.169.254/latest"}, "url", "invalid_input"),
        ({"model": "file:///etc/passwd"}, "url", "location_not_allowed"),
        ({"model": "file:///srv/models/../../etc/passwd"}, "url", "invalid_input"),
        ({"model": "file:///srv/models/m", "sample": "s3://other/x"}, "sample_url", "location_not_allowed"),
        ({}, "file", "invalid_input"),
    ],
)
def test_a_place_that_is_not_allowed_is_refused_at_once(
    importer: Importer, urls: dict[Any, str], field: str, code: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        send_url(allowing(importer, "file:///srv/models"), "", urls=urls)

    assert (caught.value.faults[0].field, caught.value.code) == (field, code)
    assert not left_of(importer)


def test_a_file_comes_once_sent_or_fetched(importer: Importer) -> None:
    with pytest.raises(InvalidInput, match="url: expected a file, or where it lies, got both"):
        send(importer, urls={"model": "file:///x"})


def test_a_fetched_file_of_tensorflow_is_left_to_whom_can_read_it(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Importer, "_has_tensorflow", False)
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    able = allowing(importer, f"file://{tmp_path}")
    sent = send_url(able, f"file://{tmp_path}/model.h5")

    able.look()

    over = state_of(importer, sent)
    assert (over.state, over.needs_tensorflow, over.tries) == ("waiting", True, 0)
    assert able._uploads.find(sent.id, "model") is not None
    assert not able.look()


def test_a_store_that_is_away_is_asked_again_and_then_told_of(
    importer: Importer, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AWAY_PAUSE_S", 0.0)
    able = allowing(importer, "s3://somewhere")
    sent, states = send_url(able, "s3://somewhere/m.onnx"), []

    with s3.away():
        for _ in range(MOST_TRIES):
            able.look()
            states.append(state_of(importer, sent).state)

    assert states == ["waiting", "waiting", "failed"]
    assert state_of(importer, sent).error_code == "storage_unavailable"


def test_a_fetch_that_nobody_waits_for_ends_and_leaves_nothing(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("production_server.storage.directory.PIECE_BYTES", 100)
    (tmp_path / "m.onnx").write_bytes(IRIS.read_bytes())
    able = allowing(importer, f"file://{tmp_path}")
    sent, said, ends = send_url(able, f"file://{tmp_path}/m.onnx"), [], threading.Event()

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 3:
            ends.set()

    with pytest.raises(ImportStopped):
        able._files.fetch(sent.id, {"model": f"file://{tmp_path}/m.onnx"}, say, ends)

    assert len(said) == 3 and not left_of(importer)


class Died(BaseException):
    """What ends a worker between publishing and telling."""


def dies_before_it_tells(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an importer publish, and end; its lease runs out at once."""

    def end(*_arguments: Any, **_more: Any) -> bool:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(module, "end_import", end)
        with pytest.raises(Died):
            importer.look()
    with importer.database.write() as connection:
        connection.execute(update(model_import).values(FREE))


def test_what_was_published_and_not_told_is_found_and_told_once(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = send(importer)
    dies_before_it_tells(importer, monkeypatch)
    assert state_of(importer, sent).state == "running"
    another = send(importer, described=Described(title="Another"))

    importer.look()
    importer.look()

    over = state_of(importer, sent)
    assert (over.state, over.tries, over.notes) == ("succeeded", 2, (NOTE,))
    assert over.manifest is not None and over.manifest["version"] == "1"
    assert over.report is not None and over.report["against"] is None
    versions = Registry(importer.settings.model_stores).versions("mine")
    assert [(each.manifest.version, each.manifest.title) for each in versions] == [
        ("1", "mine"),
        ("2", "Another"),
    ]
    assert state_of(importer, another).manifest is not None
    assert len(list_lines(importer.database, Wanted(act=Act.VERSION_IMPORTED), limit=9)) == 2
    assert not left_of(importer)


def test_it_is_found_as_well_after_the_last_try(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = send(importer)
    dies_before_it_tells(importer, monkeypatch)
    with importer.database.write() as connection:
        connection.execute(update(model_import).values(tries=MOST_TRIES))

    importer.look()

    assert state_of(importer, sent).state == "succeeded"


def test_it_is_found_in_the_bucket_by_a_machine_that_has_no_copy_yet(
    importer: Importer, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_bucket(s3)
    machines = [
        replace(importer.settings, model_store=Location.parse(url), state_dir=tmp_path / name)
        for name in "ab"
    ]
    first, second = (
        replace(
            importer,
            settings=each,
            overview=replace(importer.overview, registry=Registry(each.model_stores)),
        )
        for each in machines
    )
    sent = send(first)
    dies_before_it_tells(first, monkeypatch)

    second.look()

    over = state_of(importer, sent)
    assert (over.state, over.error_message, over.notes) == ("succeeded", None, (NOTE,))
    assert set(remote_store_at(url).versions()) == {("mine", "1")}


def test_a_worker_that_wakes_up_after_another_one_has_published_publishes_nothing(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, real = send(importer), Gate.examine

    def examine(gate: Gate, *arguments: Any) -> Any:
        report = real(gate, *arguments)
        monkeypatch.setattr(Gate, "examine", real)
        with importer.database.write() as connection:
            connection.execute(update(model_import).values(FREE))
        importer.look()
        return report

    monkeypatch.setattr(Gate, "examine", examine)
    monkeypatch.setattr(Draft, "_alone", lambda _draft: contextlib.nullcontext())

    importer.look()

    assert state_of(importer, sent).state == "succeeded"
    assert [each.manifest.version for each in Registry(importer.settings.model_stores).versions("mine")] == [
        "1"
    ]
    assert not left_of(importer)
