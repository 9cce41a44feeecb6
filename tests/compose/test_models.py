"""Models of one's own in containers: they come in by the page, the API and the command line, serve, and stay."""

from __future__ import annotations

import contextlib
import subprocess
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from testing.compose_project import ROOT
from testing.processes import wait_until
from testing.small_models import write_table_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from testing.compose_project import ComposeProject

KERAS = ROOT / "tests" / "data" / "models" / "keras"
IRIS = ROOT / "examples" / "iris.onnx"
SETOSA = [5.1, 3.5, 1.4, 0.2]


def answer(project: ComposeProject, model: str) -> str:
    """What a model says of a flower."""
    job = project.wait_for(project.submit(model, [SETOSA]))
    return str(project.results(job)[0]["label"])


def serving(project: ComposeProject, model: str) -> str:
    """The number of the version that its `stable` names."""
    return str(project.web.get(f"/api/models/{model}/channels/stable").json()["version"])


def test_a_file_that_is_sent_serves_with_nothing_set_and_stays(project: ComposeProject, page: Page) -> None:
    page.set_extra_http_headers(project.with_key)
    page.goto(f"{project.url}/imports")
    page.get_by_label("Name", exact=True).fill("flowers")
    page.get_by_label("File", exact=True).set_input_files(IRIS)
    page.get_by_role("button", name="Import it").click()
    expect(page.locator("#import .state", has_text="Version 1")).to_be_visible(timeout=60_000)
    assert answer(project, "flowers") == "setosa"

    project.checkout.run("make", "down")
    project.up()

    assert answer(project, "flowers") == "setosa"
    page.goto(f"{project.url}/models/flowers")
    expect(page.get_by_role("heading", name="flowers")).to_be_visible()


def test_versions_are_promoted_retired_and_deleted(project: ComposeProject) -> None:
    first, second = (project.imported("iris", IRIS) for _ in range(2))
    assert (first["version"], second["version"], second["error"]) == ("1", "2", None)
    assert [note for note in first["notes"] if "network" in note] == [], "the file is read without one"

    promoted = project.web.put(
        "/api/models/iris/channels/stable", json={"version": "1"}, headers={"Prefer": "wait=60"}
    )
    assert (promoted.status_code, serving(project, "iris")) == (HTTPStatus.OK, "1"), promoted.text
    assert project.web.delete("/api/models/iris/versions/2").status_code == HTTPStatus.OK

    def is_deleted() -> bool:
        gone = project.web.delete("/api/models/iris/versions/2?files=true")
        return gone.status_code in (HTTPStatus.OK, HTTPStatus.NO_CONTENT)

    # Not before those who do not know yet that it is retired have heard of it.
    wait_until(is_deleted, what="its files are deleted")
    assert project.imported("iris", IRIS)["version"] == "3"


def test_the_command_line_of_the_guide_imports(project: ComposeProject) -> None:
    line = next(
        line.split("#")[0]
        for line in (ROOT / "docs" / "compose.md").read_text().splitlines()
        if line.startswith("docker compose run")
    )
    told = project.checkout.run("bash", "-c", f"cd examples && {line.replace('model.onnx', 'iris.onnx')}")

    assert "mine version 1 serves as stable now" in told.stdout
    wait_until(lambda: project.web.get("/models/mine").status_code == HTTPStatus.OK, what="it has a page")


def test_a_file_of_keras_waits_and_says_for_what(project: ComposeProject, tmp_path: Path) -> None:
    with (tmp_path / "model.h5").open("wb") as file:
        file.write(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    with (tmp_path / "model.h5").open("rb") as file:
        sent = project.web.post("/api/models", data={"name": "late"}, files={"file": file}).json()

    shown = project.web.get(sent["links"]["self"]).json()
    project.web.delete(sent["links"]["self"])

    assert shown["state"] == "waiting"
    assert shown["doing"].startswith("Waiting for a worker with TensorFlow")


@pytest.fixture
def importing(project: ComposeProject) -> Iterator[ComposeProject]:
    """The service with the profile `importing`."""
    project.checkout.env["COMPOSE_PROFILES"] = "importing"
    try:
        project.up()
        yield project
    finally:
        project.compose("rm", "--stop", "--force", "importer")
        del project.checkout.env["COMPOSE_PROFILES"]
        wait_until(
            lambda: project.alive_workers() == project.containers("worker"), what="the importer is forgotten"
        )


def test_the_profile_importing_makes_versions_of_files_of_keras(importing: ComposeProject) -> None:
    made = importing.imported("perceptron", KERAS / "mlp.h5")

    assert (made["error"], made["version"]) == (None, "1")
    assert [note for note in made["notes"] if "network" in note] == []
    assert importing.web.get("/models/perceptron").status_code == HTTPStatus.OK
    features = len(made["manifest"]["features"])
    job = importing.wait_for(importing.submit("perceptron", [[0.5] * features]))
    assert job["succeeded"] == 1


def test_versions_put_into_the_checkout_by_hand_serve_and_are_never_written(
    project: ComposeProject, tmp_path: Path
) -> None:
    made = write_table_model(tmp_path)
    name, folder = made.parent.name, project.checkout.root / "docker" / "models"
    try:
        subprocess.run(["cp", "--recursive", str(made.parent), str(folder)], check=True)
        subprocess.run(["chmod", "--recursive", "a+rX", str(folder)], check=True)
        wait_until(
            lambda: project.web.get(f"/models/{name}").status_code == HTTPStatus.OK, what="it has a page"
        )
        refused = project.web.delete(f"/api/models/{name}/versions/1?files=true")
        assert refused.json()["code"] == "version_built_in"
    finally:
        subprocess.run(["rm", "--recursive", str(folder / name)], check=True)


@contextlib.contextmanager
def store_in(project: ComposeProject, folder: Path) -> Iterator[str]:
    """A service whose store is a folder of this machine; gives what `make up` has noted."""
    project.checkout.env["MODEL_STORE"] = str(folder)
    try:
        yield project.checkout.run("make", "up").stderr
    finally:
        del project.checkout.env["MODEL_STORE"]
        project.up()


@pytest.mark.timeout(400)
def test_a_folder_is_a_store_and_one_that_cannot_be_written_says_so(
    project: ComposeProject, tmp_path: Path
) -> None:
    made = write_table_model(tmp_path / "store")
    store = made.parents[1]
    subprocess.run(["chmod", "--recursive", "a+rX", str(store)], check=True)
    with store_in(project, store) as noted:
        assert f"10001, cannot write into {store}: what is there serves" in noted
        assert project.web.get(f"/models/{made.parent.name}").status_code == HTTPStatus.OK
        with IRIS.open("rb") as file:
            refused = project.web.post("/api/models", data={"name": "in-folder"}, files={"file": file})
        assert (refused.status_code, refused.json()["code"]) == (507, "store_not_writable")
        assert "Permission denied for the user 10001" in refused.json()["detail"]

        # What it says that helps.
        subprocess.run(["chown", "-R", "10001", str(store)], check=True)

        assert project.imported("in-folder", IRIS)["version"] == "1"
        assert (store / "in-folder" / "1" / "manifest.json").is_file()
        assert "cannot write" not in project.checkout.run("make", "up").stderr
    assert project.web.get("/models/in-folder").status_code == HTTPStatus.NOT_FOUND


def test_a_copy_of_the_store_is_made_and_brought_back_by_the_lines_of_the_guide(
    project: ComposeProject,
) -> None:
    assert project.imported("kept", IRIS)["version"] == "1"
    guide = (ROOT / "docs" / "compose.md").read_text().splitlines()
    save, restore = (
        line for line in guide if line.startswith("docker compose exec -T web tar") and "models.tar" in line
    )

    project.checkout.run("bash", "-c", save)
    (web,) = project.containers("web")
    project.execute(web, "rm", "-r", "/var/lib/celeriac/models/kept")
    wait_until(
        lambda: project.web.get("/models/kept").status_code == HTTPStatus.NOT_FOUND, what="it is not there"
    )
    project.checkout.run("bash", "-c", restore)
    (project.checkout.root / "models.tar").unlink()

    wait_until(lambda: project.web.get("/models/kept").status_code == HTTPStatus.OK, what="it is there again")
    assert answer(project, "kept") == "setosa"
