from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from production_server.errors import SettingsError
from production_server.settings import BUILT_IN_MODEL_STORE, lines_of, read_settings, redact


def test_nothing_needs_to_be_set() -> None:
    settings = read_settings({})

    assert (settings.host, settings.port, settings.is_embedded) == ("127.0.0.1", 5100, True)
    assert settings.resolved_database_url == f"sqlite:///{Path('state/celeriac.sqlite3').absolute()}"
    assert settings.model_stores == (BUILT_IN_MODEL_STORE,)


def test_what_is_set_is_read_and_empty_means_unset() -> None:
    settings = read_settings(
        {
            "PORT": "8080",
            "BROKER_URL": "amqp://h",
            "MODEL_STORE": "/srv/models",
            "HOST": "",
            "LOG_LEVEL": "Debug",
        }
    )

    assert (settings.port, settings.host, settings.is_embedded) == (8080, "127.0.0.1", False)
    assert settings.model_stores == (BUILT_IN_MODEL_STORE, Path("/srv/models"))
    assert settings.log_level == "debug"


def test_all_faults_are_reported_together_by_variable_and_secrets_are_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(
            {"PORT": "70000", "WORKERS": "-1", "DATABASE_URL": "mysql://u:s3cret@h/d", "LEASE_S": "x"}
        )

    assert {fault.field for fault in caught.value.faults} == {"PORT", "WORKERS", "DATABASE_URL", "LEASE_S"}
    assert "s3cret" not in str(caught.value)
    assert "70000" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///relative.db", "postgresql://[half", "postgresql://host:port/name", "host"]
)
def test_a_database_url_of_no_use_is_a_fault_of_the_settings(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL: expected a URL that starts with sqlite:////"):
        read_settings({"DATABASE_URL": url})


def test_settings_print_without_their_secrets() -> None:
    settings = read_settings({"BROKER_URL": "amqp://u:s3cret@h", "DATABASE_URL": "postgresql://u:s3cret@h/d"})

    assert "s3cret" not in repr(settings)


def test_settings_are_shown_as_variables_with_what_is_not_set_behind_a_hash() -> None:
    lines = set(
        lines_of(
            read_settings(
                {
                    "PORT": "8080",
                    "BROKER_URL": "amqp://u:s3cret@h",
                    "STORAGE_ALLOW": "file:///srv/a  file:///srv/b",
                    "OTEL_TRACES_EXPORTER": "none",
                }
            )
        )
    )

    assert lines >= {"PORT=8080", "BROKER_URL=[redacted]", "STORAGE_ALLOW=file:///srv/a file:///srv/b"}
    assert lines >= {"#HOST=127.0.0.1", "#DATABASE_URL=", "#MODEL_STORE=", "OTEL_TRACES_EXPORTER=none"}


def test_a_command_shows_what_is_in_force() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "production_server", "settings"],
        env={"PORT": "8080", "DATABASE_URL": "postgresql://u:s3cret@h/d"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert {"PORT=8080", "DATABASE_URL=[redacted]", "#WORKERS=1"} <= set(shown.stdout.splitlines())


def test_a_url_is_logged_without_its_password() -> None:
    assert redact("amqp://u:s3cret@h:5672/v") == "amqp://u:[redacted]@h:5672/v"
    assert redact("sqlite:////tmp/x") == "sqlite:////tmp/x"


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("amqp://u:s3cret@h\n")

    settings = read_settings({"BROKER_URL_FILE": str(tmp_path / "url"), "BROKER_URL": ""})

    assert settings.broker_url == "amqp://u:s3cret@h"


def test_a_secret_in_a_file_and_in_the_environment_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("amqp://u:s3cret@h")

    with pytest.raises(
        SettingsError, match="BROKER_URL_FILE: expected to be alone, without BROKER_URL"
    ) as caught:
        read_settings({"BROKER_URL_FILE": str(tmp_path / "url"), "BROKER_URL": "amqp://u:0ther@h"})

    assert "s3cret" not in str(caught.value) and "0ther" not in str(caught.value)


def test_files_of_secrets_that_cannot_be_read_are_reported_with_all_other_faults(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "wrong").write_text("mysql://u:s3cret@h/d")

    with pytest.raises(SettingsError) as caught:
        read_settings({"BROKER_URL_FILE": str(tmp_path / "none"), "PORT": "x"})
    with pytest.raises(SettingsError, match="BROKER_URL_FILE: expected a file that can be read"):
        read_settings({"BROKER_URL_FILE": str(tmp_path / "binary")})
    with pytest.raises(SettingsError, match=r"DATABASE_URL: expected a URL .*\[redacted\]"):
        read_settings({"DATABASE_URL_FILE": str(tmp_path / "wrong")})

    assert {fault.field for fault in caught.value.faults} == {"BROKER_URL_FILE", "PORT"}


def test_what_is_no_secret_cannot_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("8080")

    assert read_settings({"PORT_FILE": str(tmp_path / "port")}).port == 5100


@pytest.mark.parametrize("name", ["two words", "a/b", "x" * 101, "\N{LATIN SMALL LETTER U WITH DIAERESIS}"])
def test_a_worker_has_a_name_that_can_be_shown_anywhere(name: str) -> None:
    with pytest.raises(SettingsError, match="WORKER_NAME: expected up to 100 letters"):
        read_settings({"WORKER_NAME": name})


@pytest.mark.parametrize(
    "written",
    [
        "s3://a-bucket,s3://b-bucket",
        "s3://a-bucket, s3://b-bucket",
        "s3://a-bucket;s3://b-bucket",
        "s3://a-bucket/in|file:///srv",
        "file:///srv/a,file:///srv/b",
        "s3://a-bucket/in,",
    ],
)
def test_places_that_are_separated_by_anything_but_spaces_are_refused_by_that_name(written: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({"STORAGE_ALLOW": written})

    (fault,) = refused.value.faults
    assert (fault.field, fault.got) == ("STORAGE_ALLOW", repr(written))
    assert fault.expected.startswith("URLs separated by spaces, and by nothing else")


@pytest.mark.parametrize("written", ["s3://photös", "s3://a_b!", "gs://ab", "s3://a..b"])
def test_a_bucket_that_no_store_can_have_is_refused_at_the_start(written: str) -> None:
    with pytest.raises(SettingsError, match="a bucket's name: 3 to 255 letters"):
        read_settings({"STORAGE_ALLOW": written})


def test_a_comma_in_a_key_is_part_of_it() -> None:
    settings = read_settings({"STORAGE_ALLOW": "s3://photos/a,b;c file:///srv/a,b"})

    assert [location.key for location in settings.storage_allow] == ["a,b;c", "srv/a,b"]
