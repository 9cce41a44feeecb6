"""`make up`, `make scale` and `make down`, one after the other, again, and from both folders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from testing import readme
from testing.docker import inspect
from testing.processes import wait_until
from tests.browser.conftest import ROW
from tests.compose.conftest import items_done

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from testing.compose_project import ComposeProject

pytestmark = pytest.mark.timeout(400)


def test_down_and_up_keep_jobs_and_results(project: ComposeProject) -> None:
    job = project.wait_for(project.submit("diabetes", [ROW] * 40))
    before = project.results(job)

    project.checkout.run("make", "down")
    refused = project.checkout.run("make", "scale", "WORKERS=2", check=False)
    assert "error: there is nothing to scale" in refused.stderr
    assert project.containers(all_states=True) == []
    project.up()

    assert project.job(job) == job
    assert project.results(job) == before


def test_a_second_up_changes_nothing(project: ComposeProject) -> None:
    before = made(project)

    project.up()
    for folder in (".", "docker"):
        project.compose("up", "--detach", "--wait", folder=folder)

    assert made(project) == before
    in_root, in_docker = (project.compose("ps", "--quiet", folder=each).split() for each in (".", "docker"))
    assert sorted(in_root) == sorted(in_docker) and len(in_root) == len(before)


def made(project: ComposeProject) -> dict[str, tuple[str, str, str]]:
    """The containers, when each was made and when it was started, but for the one that runs at each start."""
    return {
        each["Name"]: (each["Id"], each["Created"], each["State"]["StartedAt"])
        for each in inspect(project.containers())
    }


def test_the_readmes_lines_for_containers_run_verbatim(project: ComposeProject) -> None:
    lines = readme.lines(readme.CONTAINERS)
    try:
        for line in lines:
            project.checkout.run("bash", "-c", line)

        assert len(lines) == 2
        assert project.is_ready()
        assert len(project.containers("worker")) == 3
    finally:
        project.scale(1)


def test_scaled_workers_are_shown_by_name_with_what_each_has_done_and_stay_at_the_next_up(
    project: ComposeProject, page: Page
) -> None:
    names = {f"{project.name}-worker-{number}" for number in (1, 2, 3)}
    try:
        project.scale(3)
        wait_until(lambda: names_that_worked(project, page) == names, what="each of three has worked")
        project.up()

        assert set(project.containers("worker")) == names
        region = page.get_by_role("region", name="Workers")
        expect(region.get_by_text(re.compile(r"\b(\d+) of \1 models loaded"))).to_have_count(3)
    finally:
        project.scale(1)


def names_that_worked(project: ComposeProject, page: Page) -> set[str]:
    """The workers that have done something by what the page shows after another job."""
    project.wait_for(project.submit("diabetes", [ROW] * 640))
    page.set_extra_http_headers(project.with_key)
    page.goto(project.url)
    return {name for name, count in items_done(page.content()).items() if count}
