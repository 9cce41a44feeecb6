"""The client's API calls, held against the service and against the double that the client's tests use in its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from client.answers import Model
from client.api import Server
from client.cli import main
from client.errors import InputError, Refused
from client.following import Following
from client.uploads import Upload
from production_server.access.key_text import new_key
from production_server.models.manifest import read_manifest
from production_server.models.tasks import task_of
from testing.api_server import api_server
from testing.celeriac import celeriac
from testing.small_models import (
    write_brightness_model,
    write_quantity_model,
    write_shades_model,
    write_table_model,
    write_tags_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.answers import Result, Submitted

ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
DIABETES = {"model": "diabetes"}
CSV = "6,148,72,35,0,33.6,0.627,50\n1,85,66,29,0,26.6,0.351,31\n"


@pytest.fixture(scope="module", params=["double", "service"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    with api_server() if request.param == "double" else celeriac(folder) as server:
        yield server.url


@pytest.fixture
def server(url: str) -> Iterator[Server]:
    with Server(url) as server:
        yield server


def results_of(server: Server, submitted: Submitted) -> list[Result]:
    return list(Following(server, submitted, timeout_s=60).results(watch=lambda _: None))


def test_the_models_are_those_that_can_be_asked(server: Server) -> None:
    models = server.models()

    assert [model.name for model in models] == ["diabetes", "fashion_mnist"]
    assert server.model("diabetes").columns[:2] == ["pregnancies", "glucose"]
    assert server.model("diabetes").channels == {"stable": "1"}


def test_a_row_that_is_waited_for_comes_back_finished(server: Server) -> None:
    submitted = server.submit_items([ROW], fields=DIABETES, wait_s=10)

    job, (result,) = submitted.job, results_of(server, submitted)
    assert submitted.results == server.results(job.id).results == [result]
    assert (job.state, job.total, job.succeeded, job.failed) == ("finished", 1, 1, 0)
    assert result.output is not None
    assert len(result.output) == 2
    assert result.label in server.model("diabetes").labels
    assert result.top is not None
    assert [each["score"] for each in result.top] == sorted(result.output, reverse=True)


def test_a_row_may_be_given_by_the_names_of_its_features(server: Server) -> None:
    names = server.model("diabetes").columns
    by_name = dict(zip(names, ROW, strict=False))

    named = server.submit_items([by_name], fields=DIABETES, wait_s=10)
    plain = server.submit_items([ROW], fields=DIABETES, wait_s=10)

    assert results_of(server, named)[0].output == results_of(server, plain)[0].output


def test_a_table_becomes_a_job_with_a_result_for_each_row(server: Server, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text(CSV)

    submitted = server.submit_files(
        [Upload(table, part="csv")], fields={**DIABETES, "version": "1", "priority": "high"}
    )

    assert [result.index for result in results_of(server, submitted)] == [0, 1]
    assert server.job(submitted.job.id).priority == "high"


def test_images_keep_their_names(server: Server, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("shoe.png", "bag.png"):
        Image.new("L", (28, 28), color=90).save(tmp_path / name)
    uploads = [Upload(tmp_path / name, part="file") for name in ("shoe.png", "bag.png")]

    submitted = server.submit_files(uploads, fields={"model": "fashion_mnist"}, wait_s=10)

    assert [result.name for result in results_of(server, submitted)] == ["shoe.png", "bag.png"]


def test_results_come_in_pages(server: Server) -> None:
    submitted = server.submit_items([ROW] * 1500, fields=DIABETES)
    results_of(server, submitted)

    first = server.results(submitted.job.id)
    assert first.next is not None
    second = server.results(submitted.job.id, after=first.next)

    assert [result.index for result in first.results + second.results] == list(range(1500))


def test_jobs_are_listed_newest_first_and_by_model(server: Server) -> None:
    older = server.submit_items([ROW], fields=DIABETES, wait_s=10).job
    newer = server.submit_items([ROW], fields=DIABETES, wait_s=10).job

    assert [job.id for job in server.jobs(model="diabetes", limit=2).jobs] == [newer.id, older.id]
    assert server.jobs(model="fashion_mnist", state="cancelled").jobs == []


def test_a_job_that_has_ended_stays_as_it_is_when_it_is_cancelled(server: Server) -> None:
    job = server.submit_items([ROW], fields=DIABETES, wait_s=10).job

    cancelled = server.cancel(job.id)

    assert (cancelled.state, cancelled.succeeded, cancelled.cancelled) == ("finished", 1, 0)


def test_an_unknown_model_or_job_is_refused(server: Server) -> None:
    with pytest.raises(Refused, match="horoscope"):
        server.submit_items([ROW], fields={"model": "horoscope"})
    with pytest.raises(Refused):
        server.job("01900000-0000-7000-8000-000000000000")


def test_a_refused_table_names_line_and_column(server: Server, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text(CSV.replace("66", "high"))

    with pytest.raises(Refused) as refused:
        server.submit_files([Upload(table, part="csv")], fields=DIABETES)

    (fault,) = refused.value.faults
    assert fault.field == "csv line 2, column 3"
    assert "high" in fault.got


def test_a_refused_row_names_the_input(server: Server) -> None:
    with pytest.raises(Refused) as refused:
        server.submit_items([ROW, ROW[:3]], fields=DIABETES)

    assert refused.value.faults[0].field == "inputs[1]"


def test_a_service_with_keys_serves_whoever_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    with celeriac(tmp_path, API_KEYS=key) as service:
        with Server(service.url) as nobody, pytest.raises(Refused, match="a key is needed"):
            nobody.models()
        with Server(service.url, key=new_key()) as stranger, pytest.raises(Refused, match="not known here"):
            stranger.models()
        with Server(service.url, key=f"{key}\n") as known:
            assert [model.name for model in known.models()] == ["diabetes", "fashion_mnist"]
        monkeypatch.setenv("CELERIAC_KEY", key)
        assert main(["models", "--url", service.url, "--json"]) == 0
    with pytest.raises(InputError, match="expected a key"):
        Server(service.url, key="schlüssel")


@pytest.mark.parametrize(
    "write_model",
    [write_table_model, write_shades_model, write_quantity_model, write_brightness_model, write_tags_model],
)
def test_tables_have_the_same_columns_on_both_sides(
    write_model: Callable[[Path], Path], tmp_path: Path
) -> None:
    manifest = read_manifest(write_model(tmp_path))

    told = Model(manifest.name, manifest.title, manifest.task, ["1"], {}, json.loads(manifest.to_json()))

    assert told.answer_columns == task_of(manifest).columns()
