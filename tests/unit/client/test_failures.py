"""What the client does when the server refuses, breaks down, is slow or is not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from client.api import translate
from client.errors import InputError, Unavailable
from testing.api_server import job_id
from testing.processes import free_ports, wait_until
from tests.unit.client.conftest import PATIENT

if TYPE_CHECKING:
    from testing.api_server import ApiServer
    from tests.unit.client.conftest import Run

ROOT = Path(__file__).parents[3]


def test_a_refusal_names_the_field_on_a_line_of_its_own(run: Run) -> None:
    outcome = run("predict", "--model", "diabetes", "6", "148")

    assert outcome.code == 3
    assert outcome.errors == [
        "error: the inputs do not fit the model",
        "error: inputs[0]: expected 8 values, got 2",
    ]


def test_a_refused_table_names_line_and_column(run: Run, patients: Path) -> None:
    patients.write_text(patients.read_text().replace("66", "high"))

    outcome = run("predict", "--model", "diabetes", "--csv", patients)

    assert outcome.code == 3
    assert outcome.errors[1] == "error: csv line 3, column 3: expected a number, got 'high'"


def test_an_unknown_model_is_refused(run: Run) -> None:
    outcome = run("predict", "--model", "horoscope", *PATIENT)

    assert outcome.code == 3
    assert outcome.errors[0] == "error: there is no model horoscope"


def test_too_large_a_submission_is_refused_with_the_limit(run: Run, server: ApiServer, images: Path) -> None:
    server.size_limit_bytes = 100

    outcome = run("predict", "--model", "fashion_mnist", images)

    assert outcome.code == 3
    assert outcome.errors == ["error: the body is over the limit of 100 bytes"]


def test_a_submission_whose_answer_was_lost_is_one_job(run: Run, server: ApiServer) -> None:
    server.lost_answers = 2

    outcome = run("predict", "--model", "diabetes", *PATIENT)

    assert outcome.code == 0
    assert server.requests.count("POST /api/jobs") == 3
    assert list(server.jobs) == [job_id(1)]


def test_files_are_sent_again_from_their_start_when_the_answer_was_lost(
    run: Run, server: ApiServer, images: Path
) -> None:
    server.problems = [(503, {"Retry-After": "0"})]

    outcome = run("predict", "--model", "fashion_mnist", images)

    assert outcome.code == 0
    assert [result["state"] for result in server.jobs[job_id(1)].results] == ["succeeded", "succeeded"]


def test_a_busy_server_is_asked_again_when_it_says_so(run: Run, server: ApiServer) -> None:
    server.problems = [(503, {"Retry-After": "1"}), (429, {"Retry-After": "0"})]

    assert run("jobs").code == 0
    assert len(server.requests) == 3


def test_a_limit_that_is_used_up_is_told_of_and_waited_for_longer_than_a_busy_server(
    run: Run, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("client.api.time.sleep", waits.append)
    server.problems = [(429, {"Retry-After": "100"})]

    limited = run("jobs")

    assert (limited.code, waits) == (0, [100.0])
    assert limited.stderr.startswith(f"{server.url} answered 429 TOO MANY REQUESTS: ")
    assert limited.stderr.endswith("; waiting 100 s\n")
    server.problems = [(429, {"Retry-After": "600"}), (503, {"Retry-After": "100"})]
    assert [run("jobs").code, run("jobs").code] == [4, 4]
    assert waits == [100.0]


def test_a_server_that_is_busy_for_long_is_not_waited_for(run: Run, server: ApiServer) -> None:
    server.problems = [(503, {"Retry-After": "3600"})]

    outcome = run("jobs")

    assert outcome.code == 4
    assert outcome.stderr.startswith(f"error: {server.url} answered 503 SERVICE UNAVAILABLE")
    assert len(server.requests) == 1


def test_a_server_out_of_order_is_not_asked_again(run: Run, server: ApiServer) -> None:
    server.problems = [(500, {})]

    outcome = run("jobs")

    assert outcome.code == 4
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_named(run: Run) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"

    outcome = run("jobs", "--url", url)

    assert outcome.code == 4
    assert outcome.errors == [f"error: nothing answers at {url}: is the server running?"]


def test_a_name_that_no_machine_has_is_called_that_and_not_a_server_that_is_down(run: Run) -> None:
    outcome = run("jobs", "--url", "http://no-such-machine.invalid:5100")

    assert outcome.code == 4
    assert outcome.errors[0].startswith(
        "error: no machine of the name in http://no-such-machine.invalid:5100 is known"
    )


def test_an_https_address_of_a_server_without_tls_is_called_that(run: Run, server: ApiServer) -> None:
    url = server.url.replace("http:", "https:")

    outcome = run("jobs", "--url", url)

    assert outcome.code == 4
    assert outcome.errors[0].startswith(f"error: {url} does not speak TLS: is it an http:// address?")


def test_a_port_that_is_none_is_called_that(run: Run) -> None:
    outcome = run("jobs", "--url", "http://server:port")

    assert outcome.errors[0].startswith("error: 'http://server:port' is no address of a server: ")


def test_what_is_no_address_is_wrong_usage(run: Run) -> None:
    assert (
        run("jobs", "--url", "localhost").stderr
        == "error: 'localhost' is not an http:// or https:// address\n"
    )
    assert run("jobs", "--url", "http://server:port").code == 2


@pytest.mark.parametrize("status", [301, 308])
def test_a_server_that_has_moved_is_not_followed_silently(run: Run, server: ApiServer, status: int) -> None:
    server.problems = [(status, {"Location": "https://example.org/"})]

    outcome = run("jobs")

    assert outcome.code == 4
    assert "has moved to https://example.org/: use that address" in outcome.stderr


def test_another_service_at_that_address_is_told_from_ours(run: Run, server: ApiServer) -> None:
    server.problems = [(200, {"Content-Type": "text/html"})]

    outcome = run("jobs")

    assert outcome.code == 4
    assert outcome.errors == [f"error: {server.url}/api/jobs?limit=20 answered, but not as this service does"]


def test_no_proxy_stands_between_the_client_and_this_machine(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")

    assert run("jobs").code == 0


@pytest.mark.parametrize(
    "kind",
    [
        each
        for each in vars(httpx).values()
        if isinstance(each, type) and issubclass(each, httpx.RequestError | httpx.InvalidURL)
    ],
)
def test_every_error_of_httpx_becomes_one_of_ours(kind: type[Exception]) -> None:
    translated = translate(kind("what happened"), url="http://server")

    assert isinstance(translated, InputError | Unavailable)


def test_an_interrupted_client_says_how_to_pick_its_job_up(server: ApiServer, patients: Path) -> None:
    server.items_per_look = 0
    command = [sys.executable, "-m", "client", "predict", "--model", "diabetes", "--csv", str(patients)]
    environment = {**os.environ, "CELERIAC_URL": server.url}

    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: f"GET /api/jobs/{job_id(1)}" in server.requests, what="the client follows its job")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)

    assert process.returncode == 130
    assert [line for line in stderr.splitlines() if line] == [
        f"The job goes on. Pick it up with: python -m client jobs {job_id(1)} --wait --url {server.url}",
        "error: interrupted",
    ]


def test_the_client_runs_by_its_path_from_anywhere(server: ApiServer, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "client"), "models", "--url", server.url]

    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "diabetes" in answer.stdout
