"""Faces are kept only where somebody has switched that on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from production_server.jobs.database import Database
from production_server.models.registry import Registry
from production_server.settings import read_settings
from production_server.worker.parts import personas_loops


@pytest.mark.parametrize(("switch", "names"), [("off", []), ("on", ["personas"])])
def test_faces_are_looked_for_only_where_that_is_on(
    sqlite_database: Database, small_registry: Registry, switch: str, names: list[str]
) -> None:
    settings = replace(read_settings({}), personas=switch)

    loops = personas_loops(settings, sqlite_database, small_registry)

    assert [each.name for each in loops] == names


def test_biometrics_are_off_unless_somebody_says_otherwise() -> None:
    assert read_settings({}).personas == "off"
