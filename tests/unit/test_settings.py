from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from production_server.errors import SettingsError
from production_server.jobs.database import Database
from production_server.settings import BUILT_IN_MODEL_STORE, lines_of, read_settings, redact


def test_nothing_needs_to_be_set() -> None:
    settings = read_settings({})

    assert (settings.host, settings.port, settings.is_embedded) == ("127.0.0.1", 5100, True)
    assert settings.resolved_database_url == f"sqlite:///{Path('state/celeriac.sqlite3').absolute()}"
    assert settings.model_stores == (BUILT_IN_MODEL_STORE, Path("state/models"))


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


def test_proxies_are_addresses_and_networks() -> None:
    settings = read_settings({"PROXIES": "127.0.0.1 10.1.0.0/16  fd00::/8"})

    assert [str(each) for each in settings.proxies] == ["127.0.0.1/32", "10.1.0.0/16", "fd00::/8"]
    assert "PROXIES=127.0.0.1/32 10.1.0.0/16 fd00::/8" in list(lines_of(settings))


@pytest.mark.parametrize("text", ["10.1.0.5:5200", "[fd00::5]:5200", "worker-1.lan:5200"])
def test_a_worker_may_listen_at_one_address_and_port(text: str) -> None:
    settings = read_settings({"CALLS_LISTEN": text})

    assert settings.calls_listen is not None and settings.calls_listen.port == 5200
    assert f"CALLS_LISTEN={text}" in list(lines_of(settings))


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:5200", "[::]:5200", ":5200", "5200", "10.1.0.5", "10.1.0.5:0", "10.1.0.5:70000", "a b:5200"],
)
def test_a_worker_listens_at_no_address_that_others_cannot_ask_it_by(text: str) -> None:
    with pytest.raises(SettingsError, match="CALLS_LISTEN: expected one address of this machine"):
        read_settings({"CALLS_LISTEN": text})


@pytest.mark.parametrize(
    "text", ["*", "0.0.0.0/0", "::/0", "10.1.2.3/16", "proxy.lan", "10.0.0.1,10.0.0.2", "10.0.0.1:80"]
)
def test_what_would_have_anybody_say_where_he_asks_from_is_no_proxy(text: str) -> None:
    with pytest.raises(SettingsError, match="PROXIES: expected addresses and networks"):
        read_settings({"PROXIES": text})


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///relative.db", "postgres://host/name", "//u:p@h/db", "host"]
)
def test_a_database_url_of_no_use_is_a_fault_of_the_settings(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL: expected a URL that starts with sqlite:////"):
        read_settings({"DATABASE_URL": url})


@pytest.mark.parametrize("scheme", ["postgres://", "postgresql+psycopg2://", "postgresql+asyncpg://"])
def test_what_other_programs_write_for_postgresql_is_named(scheme: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"DATABASE_URL": f"{scheme}u:s3cret@h/d"})

    assert f"starts with sqlite://// or postgresql://, not {scheme}, got" in str(caught.value)
    assert "s3cret" not in str(caught.value)


ENCODED = "a URL with user name and password percent-encoded: a "
AT_THE_END = ", an @ behind the host %40"
STARTS_WITH = "a URL that starts with "
HOST = "a URL whose host is a name or an address (IPv6 in brackets), its port a number from 1 to 65535"
URLS = {
    # The reported one: what follows # is no part of a URL's host.
    "#": ("//u:s3#cret@h/db", ENCODED + "# in them is written %23" + AT_THE_END),
    "# behind an @": ("//u:s3@x#cret@h/db", ENCODED + "# in them is written %23" + AT_THE_END),
    "/": ("//u:s3/cret@h/db", ENCODED + "/ in them is written %2F" + AT_THE_END),
    "/ behind digits": ("//u:5/s3cret@h/db", ENCODED + "/ in them is written %2F" + AT_THE_END),
    "?": ("//u:s3?cret@h/db", ENCODED + "? in them is written %3F" + AT_THE_END),
    "? and =": ("//u:5?s3=cret@h/db", ENCODED + "? in them is written %3F" + AT_THE_END),
    "@": ("//u:s3@cret@h/db", ENCODED + "@ in them is written %40"),
    "@ in a name": ("//u@x:s3cret@h/db", ENCODED + "@ in them is written %40"),
    "[": ("//u:s3[cret@h/db", ENCODED + "[ in them is written %5B"),
    "%": (
        "//u:s3%cret@h/db",
        "a URL in which % stands only before two hexadecimal digits: a % itself is written %25",
    ),
    "% at the end": ("//u:s3cret%@h/db", "a URL in which % stands only before two hexadecimal digits: "),
    "a space": ("//u:s3 cret@h/db", "a URL of ASCII characters without spaces"),
    "a letter beside ASCII": ("//u:s3crét@h/db", "a URL of ASCII characters without spaces"),
    "a fragment": ("//u:s3cret@h/db#x", "a URL without a fragment: a # is written %23"),
    "a port in words": ("//u:s3cret@h:port/db", HOST),
    "a port of 0": ("//u:s3cret@h:0/db", HOST),
    "a large port": ("//u:s3cret@h:65536/db", HOST),
    "half of an address": ("//[half", HOST),
    "two hosts": ("//u:s3cret@h1:1,h2:2/db", "a URL with one host"),
    "two URLs": ("//u:s3cret@h1/db;amqp://u:s3cret@h2/db", "one URL, not several"),
}


@pytest.mark.parametrize("case", URLS)
@pytest.mark.parametrize("scheme", ["postgresql", "amqp"])
def test_a_url_is_refused_for_its_cause_and_never_shown(case: str, scheme: str) -> None:
    rest, expected = URLS[case]
    variable = {"postgresql": "DATABASE_URL", "amqp": "BROKER_URL"}[scheme]

    with pytest.raises(SettingsError) as caught:
        read_settings({variable: f"{scheme}:{rest}"})

    (fault,) = caught.value.faults
    assert fault.field == variable and fault.got == "[redacted]"
    assert fault.expected.startswith(expected)
    # Neither the wrong cause nor any of the secret.
    assert STARTS_WITH not in fault.expected
    assert not {"s3", "cret", "crét"} & set(re.split(r"\W+", str(caught.value)))


@pytest.mark.parametrize(
    "rest",
    [
        "//u:p%23w%2F%3F%40%25%5B@h/db", "//u:p:w@h:5432/db", "//h", "//h:5432/db", "//u@h/db", "//u:p@[::1]:5432/db",
        "//u:p@h/db?application_name=a@b", "//h/db?options=a@b", "//u:p@h//", "//u:p@h/db?host=/var/run&x=%20",
        "//u:p!$&'()*+,=~w@h/db",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["postgresql", "amqp"])
def test_a_url_with_one_reading_is_taken_as_it_is(rest: str, scheme: str) -> None:
    settings = read_settings(
        {{"postgresql": "DATABASE_URL", "amqp": "BROKER_URL"}[scheme]: f"{scheme}:{rest}"}
    )

    assert f"{scheme}:{rest}" in (settings.database_url, settings.broker_url)


def test_a_semicolon_parts_brokers_to_the_library_and_is_no_part_of_a_password() -> None:
    with pytest.raises(
        SettingsError, match=r"BROKER_URL: expected .* a ; in them is written %3B, got .redacted"
    ):
        read_settings({"BROKER_URL": "amqp://u:s3;cret@h/v"})

    assert read_settings({"DATABASE_URL": "postgresql://u:s3;cret@h/db"}).database_url


@pytest.mark.parametrize("path", ["/srv/a#1.db", "/srv/a@b.db", "/srv/50%.db", "/srv/ä b.db"])
def test_a_path_of_sqlite_may_have_any_characters(path: str) -> None:
    assert read_settings({"DATABASE_URL": f"sqlite:///{path}"}).database_url == f"sqlite:///{path}"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_url_are_called_that(quote: str) -> None:
    with pytest.raises(
        SettingsError, match=r"DATABASE_URL: expected a URL .*, without quotes around it, got .redacted"
    ):
        read_settings({"DATABASE_URL": f"{quote}postgresql://u:s3cret@h/db{quote}"})


@pytest.mark.parametrize(
    "text",
    ["64MiB", "64M", "67,108,864", "67.108.864", "67_108_864", "67 108 864", "1e6", "+5000", "9" * 5000, "²"],
)
def test_a_size_is_a_number_of_bytes_in_digits(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"MAX_BODY_BYTES": text})

    (fault,) = caught.value.faults
    assert fault.expected == f"a whole number of bytes from 1024 to {2**40}, in digits alone"


@pytest.mark.parametrize("text", ["true", "1", "yes", "enabled"])
def test_a_switch_has_two_words_and_others_are_not_guessed(text: str) -> None:
    with pytest.raises(SettingsError, match=f"REMOTE_CONTROL: expected one of off, on, got '{text}'"):
        read_settings({"REMOTE_CONTROL": text})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~/models", "a path without ~, which only shells know"),
        ("file:///srv/models", "a path, not a URL"),
        ("s3://models", "a path, not a URL"),
    ],
)
@pytest.mark.parametrize("variable", ["STATE_DIR", "EVENTS_FILE", "HEARTBEAT_FILE"])
def test_a_path_is_one_of_this_machine(variable: str, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}: expected {expected}, got '{text}'"):
        read_settings({variable: text})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~/models", "a path without ~, which only shells know"),
        ("file:///srv/models", "a path, or a URL of a bucket such as s3://bucket/models"),
        ("ftp://models", "a path, or a URL such as s3://bucket/prefix"),
        ("s3://models/../other", "a path, or a key without"),
        ("s3://", "a path, or a URL such as s3://bucket/prefix"),
        ("s3://one s3://two", "a path, or .* name"),
        ("s3://one/two three", "a path, or one URL, without spaces"),
    ],
)
def test_a_store_of_models_is_a_path_or_one_place_in_a_bucket(text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=f"MODEL_STORE: expected {expected}"):
        read_settings({"MODEL_STORE": text})


def test_of_a_store_in_a_bucket_a_copy_is_searched() -> None:
    settings = read_settings({"MODEL_STORE": "s3://models/lab/", "STATE_DIR": "/srv/state"})

    assert settings.model_stores == (BUILT_IN_MODEL_STORE, Path("/srv/state/model-mirror"))
    assert "MODEL_STORE=s3://models/lab/" in list(lines_of(settings))


def test_versions_that_are_put_there_by_hand_are_searched_before_the_store_unless_they_are_in_it() -> None:
    beside = read_settings({"MORE_MODELS": "/srv/by-hand", "MODEL_STORE": "s3://lab", "STATE_DIR": "/srv"})
    same = read_settings({"MORE_MODELS": "/srv/models", "MODEL_STORE": "/srv/models"})

    assert beside.model_stores == (BUILT_IN_MODEL_STORE, Path("/srv/by-hand"), Path("/srv/model-mirror"))
    assert same.model_stores == (BUILT_IN_MODEL_STORE, Path("/srv/models"))


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


@pytest.mark.parametrize("name", ["a%20b", "a?x=1", "a#b", "a b", "ä"])
def test_the_database_lies_in_the_folder_of_the_state_whatever_that_is_called(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name

    Database(read_settings({"STATE_DIR": str(folder)}).resolved_database_url).migrate()

    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (folder / "celeriac.sqlite3").is_file()


def test_a_path_with_a_question_mark_which_would_be_cut_off_there_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"a \? in it is written %3F"):
        read_settings({"DATABASE_URL": "sqlite:////srv/q?x=1.db"})
