"""The one reader of the environment: all variables become one frozen `Settings`, all faults are reported together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from production_server.errors import Fault, SettingsError
from production_server.setting_urls import url
from production_server.setting_values import (
    HostPort,
    Invalid,
    host_and_port,
    hosts,
    integer,
    locations,
    name_text,
    networks,
    number,
    one_of,
    path,
    path_or_bucket,
    secret_text,
)
from production_server.storage.locations import Location

BUILT_IN_MODEL_STORE = Path(__file__).parent / "model_store"
MAX_SECRET_CHARACTERS = 10_000
REDACTED = "[redacted]"


def _setting(
    default: Any,
    read: Callable[[str], Any],
    meaning: str,
    *,
    variable: str = "",
    shown_default: str = "",
    secret: bool = False,
) -> Any:
    """A field of `Settings`; what it means, and its default if that needs words, as Markdown for docs/operations.md."""
    metadata = {
        "variable": variable,
        "read": read,
        "meaning": meaning,
        "shown_default": shown_default,
        "secret": secret,
    }
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set from outside; `variable_of` says by which environment variable.

    docs/operations.md has a table of it, which `python -m tools.settings_table` writes.
    """

    broker_url: str = _setting(
        "",
        url("amqp://", "amqps://"),
        "RabbitMQ, `amqp://user:password@host:5672/vhost`, user and password percent-encoded (`#` is `%23`); "
        "empty: embedded, one process and no broker",
        secret=True,
    )
    database_url: str = _setting(
        "",
        url("sqlite:////", "postgresql://"),
        "`postgresql://user:password@host/name`, user and password percent-encoded, or "
        "`sqlite:////absolute/path`",
        shown_default="SQLite under `STATE_DIR`",
        secret=True,
    )
    state_dir: Path = _setting(
        Path("state"),
        path,
        "folder of the SQLite database and other own files; made readable by its owner only. One that is there "
        "keeps its mode, but what the service makes is its owner's alone, wherever it makes it (umask 077), a "
        "store of models too; one embedded server at a time",
    )
    model_store: Path | Location | None = _setting(
        None,
        path_or_bucket,
        "the [store of your own models](models.md), searched beside the built-in one: a folder, or a [place in a "
        "bucket](models.md#a-store-for-several-machines) such as `s3://bucket/models`",
        shown_default="`models` under `STATE_DIR`",
    )
    more_models: Path | None = _setting(
        None,
        path,
        "folder of versions, laid out as a store, that are served as well and never written: for those that are put "
        "there by hand",
    )
    models_repository: Path | None = _setting(
        None,
        path,
        "the bare git repository that versions are [pushed to](delivery.md): `run` and `web` make it, and finish "
        "pushes that died; `run --models-repository` has it in `models.git` under `STATE_DIR`",
        shown_default="none",
    )
    models_push_bytes: int = _setting(
        2**30,
        integer(2**20, 2**40, of="bytes"),
        "largest push to that repository, as it travels, in bytes",
    )
    import_python: Path | None = _setting(
        None,
        path,
        "the Python that reads files of models, and [trains images](learning.md#images), for one that has TensorFlow; "
        "`make import` and `make trainer` set it",
        shown_default="the one that runs",
    )
    import_memory_bytes: int = _setting(
        6 * 2**30,
        integer(2**28, 2**50, of="bytes"),
        "most memory that the process which [reads a model's file](models.md#how-a-file-is-read) may use, in bytes",
    )
    import_timeout_s: int = _setting(
        900, integer(1, 86_400, of="seconds"), "seconds that it may take for a file"
    )
    import_file_bytes: int = _setting(
        2**31 - 1,
        integer(1024, 2**31 - 1, of="bytes"),
        "largest file, or folder, of a model that it reads, in bytes",
    )
    gate_margin: float = _setting(
        0.02,
        number(0.0, 1.0),
        "by how much a new version may be worse than the one that serves, where [the gate](models.md#the-gate) compares"
        " them: a share of the items, or of the mean error",
    )
    gate_latency: float = _setting(
        2.0,
        number(1.0, 1000.0),
        "how many times as long as the version that serves a new one may take for a call",
    )
    gate_memory: float = _setting(
        2.0,
        number(1.0, 1000.0),
        "how many times as much memory as the version that serves a new one may need",
    )
    host: str = _setting("127.0.0.1", str, "address, or name of one, that the web server listens on")
    port: int = _setting(5100, integer(1, 65535), "port that the web server listens on")
    tls_cert: Path | None = _setting(
        None,
        path,
        "certificate in PEM, with those of its authorities behind it: `PORT` speaks [https](tls.md), and nothing else",
    )
    tls_key: Path | None = _setting(
        None, path, "its key in PEM, without a passphrase; both are read again when they change"
    )
    http_port: int = _setting(0, integer(0, 65535), "port of `HOST` that sends clients on to https; 0: none")
    open_to_all: str = _setting(
        "",
        one_of("yes-i-know"),
        "`yes-i-know`: beyond this machine, too, [nobody needs a key](access.md#beyond-this-machine) as long as "
        "there is none",
    )
    public_hosts: tuple[str, ...] = _setting(
        (),
        hosts,
        "names by which this service is reached beside addresses, `localhost` and the machine's own "
        "([who may ask](#who-may-ask)), separated by spaces, as browsers show them: `celeriac.lan celeriac.lan:8443`",
    )
    proxies: tuple[IPv4Network | IPv6Network, ...] = _setting(
        (),
        networks,
        "addresses and networks, separated by spaces, of [proxies](access.md#behind-a-proxy) whose `X-Forwarded-For` "
        "and `X-Forwarded-Proto` are believed: `127.0.0.1 10.1.0.0/16`",
    )
    workers: int = _setting(1, integer(1, 256), "worker processes of `run`; embedded: three threads for each")
    web_processes: int = _setting(
        1,
        integer(1, 256),
        "web processes, which share the port; one answers some thousand calls a second. Embedded: one",
    )
    web_threads: int = _setting(
        16,
        integer(1, 1024),
        "requests other than calls that a web process handles at once; half of them may wait for jobs",
    )
    max_body_bytes: int = _setting(
        64 * 2**20,
        integer(1024, 2**40, of="bytes"),
        "largest request body, of jobs, in bytes; [others have less](#clients-that-are-slow), "
        "[files of models](models.md#over-http) have `IMPORT_FILE_BYTES`",
    )
    max_job_items: int = _setting(100_000, integer(1, 10**7), "largest number of items in one job")
    max_image_pixels: int = _setting(
        50_000_000,
        integer(1, 10**9),
        "largest image, width × height; a larger one is refused before it is decoded",
    )
    chunk_items: int = _setting(256, integer(1, 10_000), "items that travel in one message")
    batch_items: int = _setting(
        64, integer(1, 10_000), "items that a runner gets at once; fewer where they are large images"
    )
    max_call_bytes: int = _setting(
        16 * 2**20, integer(1024, 2**30, of="bytes"), "largest body of an interactive call, in bytes"
    )
    max_waiting_items: int = _setting(
        1024, integer(1, 10**6), "items of interactive calls that may wait in a web process; more get 503"
    )
    call_timeout_s: int = _setting(
        10, integer(1, 3600, of="seconds"), "seconds that an interactive call may take at most; then 504"
    )
    call_batches: int = _setting(
        3,
        integer(1, 64),
        "batches of interactive calls of one kind that a web process has on their way at once, for "
        "each worker that answers",
    )
    calls_dir: Path | None = _setting(
        None,
        path,
        "folder of the sockets by which web processes ask the workers of their machine; nobody else may enter it, and "
        "its path has 98 bytes at most",
        shown_default="`calls` under `STATE_DIR`",
    )
    calls_listen: HostPort | None = _setting(
        None,
        host_and_port,
        "address and port at which a worker takes [calls from other machines](#workers-on-other-machines), such as "
        "`10.1.0.5:5200`; `run` adds the worker's number, from 1, to the port",
        shown_default="none",
    )
    calls_tls_cert: Path | None = _setting(
        None,
        path,
        "certificate in PEM by which web processes and workers on different machines know each other",
    )
    calls_tls_key: Path | None = _setting(None, path, "its key in PEM, without a passphrase")
    calls_tls_ca: Path | None = _setting(
        None, path, "certificates in PEM of the authority that has signed the other side's"
    )
    storage_allow: tuple[Location, ...] = _setting(
        (),
        locations,
        "buckets, prefixes and folders whose objects may be read, separated by spaces: "
        "`s3://photos/incoming gs://photos file:///srv/images`; also `az://container` ([buckets](buckets.md))",
    )
    max_object_bytes: int = _setting(
        32 * 2**20, integer(1, 2**30, of="bytes"), "largest object that is fetched from a bucket, in bytes"
    )
    fetches: int = _setting(16, integer(1, 256), "objects that a worker fetches at once from one bucket")
    fetchers: int = _setting(
        8,
        integer(1, 256),
        "chunks of objects that a worker fetches at once; of one bucket a quarter of them at most",
    )
    storage_patience_s: int = _setting(
        900,
        integer(0, 7 * 86_400, of="seconds"),
        "seconds after which an object that its bucket has not answered about fails",
    )
    events_file: Path | None = _setting(
        None,
        path,
        "rules that say which model gets the objects that [buckets tell "
        "of](buckets.md#notifications-what-arrives), YAML",
    )
    learning_file: Path | None = _setting(
        None,
        path,
        "[policies](learning.md) by which models are trained again from their labels; read at the start",
        shown_default="none",
    )
    streams_file: Path | None = _setting(
        None,
        path,
        "[streams](streams.md) of Kafka and Pub/Sub whose messages become items; read at the start",
        shown_default="none",
    )
    events_token: str = _setting(
        "",
        secret_text,
        "what proves to `POST /events/s3` that a sender may send: 16 characters or more. May stand "
        "in a file: `EVENTS_TOKEN_FILE`",
        secret=True,
    )
    api_keys: str = _setting(
        "",
        str,
        "[keys](access.md#keys-that-a-deployment-brings) that a deployment brings itself, a line for each; usually "
        "in a file: `API_KEYS_FILE`",
        secret=True,
    )
    first_key_file: Path | None = _setting(
        None,
        path,
        "file that [the first key](access.md#beyond-this-machine) is written to, which is made where there is none. "
        "A new one is its owner's alone; one that is there keeps its owner and mode",
    )
    audit_days: int = _setting(
        365,
        integer(0, 36_500, of="days"),
        "days for which lines of the [audit](access.md#the-audit) are kept; 0: for ever",
    )
    limit_requests: int = _setting(
        60_000,
        integer(0, 10**9),
        "requests that each client may make in a minute; 0: any number ([limits](access.md#limits))",
    )
    limit_items: int = _setting(
        1_000_000,
        integer(0, 10**12),
        "items, of jobs and calls, that each client may send in a minute; 0: any number",
    )
    limit_bytes: int = _setting(
        2**30,
        integer(0, 2**50, of="bytes"),
        "bytes of request bodies that each client may send in a minute; 0: any number",
    )
    limit_calls: int = _setting(
        512,
        integer(0, 10**6),
        "interactive calls that each client may have in hand at once in a web process; 0: any number",
    )
    limit_refusals: int = _setting(
        60,
        integer(0, 10**9),
        "requests without a key that opens that an address may make in a minute; 0: any number",
    )
    lease_s: int = _setting(
        30,
        integer(1, 3600, of="seconds"),
        "seconds after which a silent worker's items are given to another one; a living one renews "
        "its leases",
    )
    max_attempts: int = _setting(3, integer(1, 100), "claims of an item before it counts as failed")
    drain_s: int = _setting(20, integer(0, 3600, of="seconds"), "seconds that a stop waits for work in hand")
    metrics_port: int = _setting(
        0,
        integer(0, 65535),
        "port of `HOST` on which a worker process answers `/metrics`; `run` adds the worker's "
        "number, from 1; 0: none",
    )
    worker_name: str = _setting(
        "",
        name_text,
        "what a worker process is called, on the page and in logs; `run` adds a number",
        shown_default="host, process",
    )
    heartbeat_file: Path | None = _setting(
        None,
        path,
        "file that a worker touches every 3 s as long as database and broker answer it (a `trainer`: the database): "
        "for health checks",
    )
    remote_control: str = _setting(
        "off",
        one_of("off", "on"),
        "`on`: whoever may use the broker may watch and command the workers, as Flower does",
    )
    personas: str = _setting(
        "off",
        one_of("off", "on"),
        "`on`: faces are kept, and people say [who they are](faces.md#personas): biometric data "
        "([what is kept](privacy.md))",
    )
    log_level: str = _setting(
        "info",
        one_of("debug", "info", "warning", "error"),
        "least severe log line that is written: `debug`, `info`, `warning` or `error`",
    )
    log_format: str = _setting(
        "text", one_of("text", "json"), "`text`, or `json`: [logs](#logs) for programs"
    )
    traces_exporter: str = _setting(
        "",
        one_of("otlp", "console", "none"),
        "`otlp`, `console` or `none`: where [traces](#traces) go; empty: to the endpoint below, if "
        "there is one",
        variable="OTEL_TRACES_EXPORTER",
    )
    otlp_endpoint: str = _setting(
        "",
        url("http://", "https://"),
        "an OpenTelemetry collector, such as `http://127.0.0.1:4318`; turns traces on",
        variable="OTEL_EXPORTER_OTLP_ENDPOINT",
    )
    otlp_protocol: str = _setting(
        "http/protobuf",
        one_of("http/protobuf"),
        "the one way in which it is spoken to",
        variable="OTEL_EXPORTER_OTLP_PROTOCOL",
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
        """`DATABASE_URL`, or that of a file in `STATE_DIR`: what a path has of %, ? or # is no part of a URL."""
        file = quote(str((self.state_dir / "celeriac.sqlite3").absolute()))
        return self.database_url or f"sqlite:///{file}"

    @property
    def resolved_calls_dir(self) -> Path:
        """`CALLS_DIR`, or a folder in `STATE_DIR`."""
        return (self.calls_dir or self.state_dir / "calls").absolute()

    @property
    def model_stores(self) -> tuple[Path, ...]:
        """The stores that are searched, the first one that has a version wins; the last one is written.

        Of a bucket it is the copy on this machine.
        """
        if isinstance(self.model_store, Location):
            own = self.state_dir / "model-mirror"
        else:
            own = self.model_store or self.state_dir / "models"
        more = [] if self.more_models in (None, own) else [self.more_models]
        return BUILT_IN_MODEL_STORE, *more, own


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
            if text:
                values[setting.name] = setting.metadata["read"](text)
        except Invalid as exc:
            got = REDACTED if setting.metadata["secret"] else repr(text)
            faults.append(Fault(variable_of(setting), str(exc), got))
        except SettingsError as exc:
            faults += exc.faults
    if faults:
        raise SettingsError(tuple(faults))
    return Settings(**values)


def variable_of(setting: Field[Any]) -> str:
    """The environment variable of a field of `Settings`."""
    return setting.metadata["variable"] or setting.name.upper()


def text_of_value(value: object) -> str:
    """A value as its variable would hold it; empty where there is none."""
    if isinstance(value, tuple):
        return " ".join(text_of_value(each) for each in value)
    if isinstance(value, Location):
        return value.url
    return "" if value is None else str(value)


def lines_of(settings: Settings) -> Iterator[str]:
    """All settings, a variable a line; those that are not set have a `#` before their defaults."""
    for setting in fields(Settings):
        value = getattr(settings, setting.name)
        is_hidden = setting.metadata["secret"] and value
        line = f"{variable_of(setting)}={REDACTED if is_hidden else text_of_value(value)}"
        yield f"#{line}" if value == setting.default else line


def _text_of(setting: Field[Any], environ: Mapping[str, str]) -> str:
    """What a setting's variable holds, or the file that stands for it.

    Raises:
        SettingsError: there are both, or the file cannot be read.
    """
    variable = variable_of(setting)
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
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", f":{REDACTED}@")))
