from __future__ import annotations

import sys

import pytest

from production_server.errors import SettingsError
from production_server.settings import read_settings


@pytest.mark.parametrize(("scheme", "package"), [("gs", "gcsfs"), ("az", "adlfs")])
def test_a_store_whose_package_is_missing_stops_the_start_and_says_how_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, scheme: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(SettingsError) as refused:
        read_settings({"STORAGE_ALLOW": f"s3://photos {scheme}://photos/in {scheme}://other"})

    (fault,) = refused.value.faults
    assert fault.field == "STORAGE_ALLOW"
    assert f"{package} for {scheme}://" in fault.expected
    assert f"make run EXTRAS={scheme};" in fault.expected


def test_what_two_kinds_of_stores_need_is_installed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adlfs", None)

    with pytest.raises(SettingsError) as refused:
        read_settings({"STORAGE_ALLOW": "az://photos gs://photos"})

    assert "gcsfs" not in str(refused.value)
    told = "make run EXTRAS=gs-az; elsewhere requirements/serving-gs.txt and requirements/serving-az.txt"
    assert told in str(refused.value)


@pytest.mark.parametrize("url", ["s3://photos", "file:///srv", "gs://photos", "az://photos"])
def test_what_is_installed_may_be_allowed(url: str) -> None:
    assert read_settings({"STORAGE_ALLOW": url}).storage_allow
