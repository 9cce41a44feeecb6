"""The one reader of the environment: all variables become one frozen `Settings`, all faults are reported together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from production_server.errors import Fault, SettingsError
from production_server.setting_values import Invalid, integer, locations, name_text, one_of, secret_text, url
from production_server.storage.locations import Location

BUILT_IN_MODEL_STORE = Path(__file__).parent / "model_store"
MAX_SECRET_CHARACTERS = 10_000


def _setting(
    variable: str, default: Any, read: Callable[[str], Any], help_text: str, *, secret: bool = False
) -> Any:
    return field(
        default=default,
        metadata={"variable": variable, "read": read, "help": help_text, "secret": secret},
        repr=not secret,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set from outside; each field's metadata names its environment variable."""

    broker_url: str = _setting(
        "BROKER_URL",
        "",
        url("amqp://", "amqps://"),
        "RabbitMQ, `amqp://user:password@host:5672/vhost`; empty: embedded, one process and no broker",
        secret=True,
    )
    database_url: str = _setting(
        "DATABASE_URL",
        "",
        url("sqlite:////", "postgresql://"),
        "`postgresql://…` or `sqlite:////absolute/path`; empty: SQLite under `STATE_DIR`",
        secret=True,
    )
    state_dir: Path = _setting(
        "STATE_DIR", Path("state"), Path, "folder of the SQLite database and other own files"
    )
    model_store: Path | None = _setting(
        "MODEL_STORE", None, Path, "extra model store, searched beside the built-in one"
    )
    host: str = _setting("HOST", "127.0.0.1", str, "address that the web server listens on")
    port: int = _setting("PORT", 5100, integer(1, 65535), "port that the web server listens on")
    workers: int = _setting(
        "WORKERS", 1, integer(1, 256), "worker processes of `run`; embedded: worker threads"
    )
    web_processes: int = _setting(
        "WEB_PROCESSES", 1, integer(1, 256), "web processes, which share the port; embedded: one"
    )
    metrics_port: int = _setting(
        "METRICS_PORT",
        0,
        integer(0, 65535),
        "port that a worker process tells its metrics on; `run` adds a number; 0: none",
    )
    worker_name: str = _setting(
        "WORKER_NAME", "", name_text, "what a worker process is called; no two alive may share a name"
    )
    web_threads: int = _setting(
        "WEB_THREADS", 16, integer(1, 1024), "requests other than calls that a web process handles at once"
    )
    max_body_bytes: int = _setting(
        "MAX_BODY_BYTES", 64 * 2**20, integer(1024, 2**40), "largest request body, bytes"
    )
    max_job_items: int = _setting(
        "MAX_JOB_ITEMS", 100_000, integer(1, 10**7), "largest number of items in one job"
    )
    max_image_pixels: int = _setting(
        "MAX_IMAGE_PIXELS",
        50_000_000,
        integer(1, 10**9),
        "largest image, width × height, refused before decoding",
    )
    chunk_items: int = _setting("CHUNK_ITEMS", 256, integer(1, 10_000), "items that travel in one message")
    batch_items: int = _setting("BATCH_ITEMS", 64, integer(1, 10_000), "items that a runner gets at once")
    max_call_bytes: int = _setting(
        "MAX_CALL_BYTES", 16 * 2**20, integer(1024, 2**30), "largest body of an interactive call, bytes"
    )
    max_waiting_items: int = _setting(
        "MAX_WAITING_ITEMS",
        1024,
        integer(1, 10**6),
        "items of interactive calls that may wait in a web process",
    )
    call_timeout_s: int = _setting(
        "CALL_TIMEOUT_S", 10, integer(1, 3600), "seconds that an interactive call may take at most"
    )
    call_batches: int = _setting(
        "CALL_BATCHES",
        3,
        integer(1, 64),
        "batches of interactive calls that a web process has on their way for each worker",
    )
    storage_allow: tuple[Location, ...] = _setting(
        "STORAGE_ALLOW",
        (),
        locations,
        "buckets, prefixes and folders whose objects may be read, separated by spaces, such as "
        "`s3://photos/incoming gs://photos file:///srv/images`; empty: none",
    )
    max_object_bytes: int = _setting(
        "MAX_OBJECT_BYTES",
        32 * 2**20,
        integer(1, 2**30),
        "largest object that is fetched from a bucket, bytes",
    )
    fetches: int = _setting(
        "FETCHES", 16, integer(1, 256), "objects that a worker fetches at once from buckets"
    )
    storage_patience_s: int = _setting(
        "STORAGE_PATIENCE_S",
        300,
        integer(0, 500),
        "seconds that a worker waits for a store that does not answer, before it counts as a failed attempt",
    )
    events_file: Path | None = _setting(
        "EVENTS_FILE", None, Path, "rules that say which model gets which objects that buckets tell of, YAML"
    )
    events_token: str = _setting(
        "EVENTS_TOKEN",
        "",
        secret_text,
        "what proves to `POST /events/s3` that a sender may send, at least 16 characters",
        secret=True,
    )
    lease_s: int = _setting(
        "LEASE_S", 30, integer(1, 3600), "seconds after which a silent worker's items are given to another"
    )
    max_attempts: int = _setting(
        "MAX_ATTEMPTS", 3, integer(1, 100), "claims of an item before it counts as failed"
    )
    drain_s: int = _setting("DRAIN_S", 20, integer(0, 3600), "seconds that a stop waits for work in hand")
    heartbeat_file: Path | None = _setting(
        "HEARTBEAT_FILE",
        None,
        Path,
        "file that a worker touches every few seconds, as long as database and broker answer it",
    )
    remote_control: str = _setting(
        "REMOTE_CONTROL",
        "off",
        one_of("off", "on"),
        "`on`: whoever may use the broker may watch and command the workers, as Flower does",
    )
    log_level: str = _setting(
        "LOG_LEVEL",
        "info",
        one_of("debug", "info", "warning", "error"),
        "least severe log line that is written",
    )
    log_format: str = _setting(
        "LOG_FORMAT", "text", one_of("text", "json"), "how log lines are written: for people or for programs"
    )
    traces_exporter: str = _setting(
        "OTEL_TRACES_EXPORTER",
        "",
        one_of("otlp", "console", "none"),
        "where traces go; empty: to the endpoint below, if there is one",
    )
    otlp_endpoint: str = _setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        url("http://", "https://"),
        "an OpenTelemetry collector, such as `http://127.0.0.1:4318`",
    )
    otlp_protocol: str = _setting(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", one_of("http/protobuf"), "how it is spoken to"
    )

    @property
    def is_embedded(self) -> bool:
        """Whether web and worker share one process, with no broker outside it."""
        return not self.broker_url

    @property
    def traces(self) -> str:
        """Where traces go, `otlp` or `console`; empty: nobody asked for any."""
        asked = self.traces_exporter or ("otlp" if self.otlp_endpoint else "none")
        return "" if asked == "none" else asked

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{(self.state_dir / 'celeriac.sqlite3').absolute()}"

    @property
    def model_stores(self) -> tuple[Path, ...]:
        """The stores that are searched, the first one that has a version wins."""
        return (
            (BUILT_IN_MODEL_STORE,) if self.model_store is None else (BUILT_IN_MODEL_STORE, self.model_store)
        )


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read all settings from `environ`; an empty variable counts as unset.

    A secret may stand in a file that `<variable>_FILE` names, so that it is not in the environment.

    Raises:
        SettingsError: one or more variables hold values that cannot be used; it names them all. Secret values are
            shown as [redacted].
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for setting in fields(Settings):
        try:
            text = _text_of(setting, environ)
            if not text:
                continue
            values[setting.name] = setting.metadata["read"](text)
        except Invalid as exc:
            got = "[redacted]" if setting.metadata["secret"] else repr(text)
            faults.append(Fault(setting.metadata["variable"], str(exc), got))
        except SettingsError as exc:
            faults += exc.faults
    if faults:
        raise SettingsError(tuple(faults))
    return Settings(**values)


def _text_of(setting: Field[Any], environ: Mapping[str, str]) -> str:
    """What a setting's variable holds, or the file that stands for it.

    Raises:
        SettingsError: there are both, or the file cannot be read.
    """
    variable = setting.metadata["variable"]
    text = environ.get(variable, "").strip()
    file = environ.get(f"{variable}_FILE", "").strip() if setting.metadata["secret"] else ""
    if not file:
        return text
    if text:
        raise SettingsError((Fault(f"{variable}_FILE", f"to be alone, without {variable}", repr(file)),))
    try:
        with Path(file).open() as opened:
            return opened.read(MAX_SECRET_CHARACTERS).strip()
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        fault = Fault(f"{variable}_FILE", "a file that can be read", f"{file!r} ({why})")
        raise SettingsError((fault,)) from exc


def redact(url: str) -> str:
    """`url` without its password, for logs and messages."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":[redacted]@")))
