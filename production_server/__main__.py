"""The server's command line: python -m production_server."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from production_server import __version__
from production_server.delivery.repository import repository_of
from production_server.errors import CeleriacError, Fault, SettingsError
from production_server.run.address import take_addresses
from production_server.run.audit_command import show_audit
from production_server.run.certificate import Certificate, fingerprint_of, open_certificate
from production_server.run.exposure import check_exposure, prepare_database
from production_server.run.key_commands import key_commands
from production_server.run.logs import set_up_logs
from production_server.run.memory import give_large_memory_back
from production_server.run.model_commands import model_commands
from production_server.run.pushes import taking_pushes
from production_server.run.repository_commands import repository_commands
from production_server.run.shared_metrics import VARIABLE as METRICS_VARIABLE
from production_server.run.shared_metrics import shared_metrics
from production_server.run.state import hold, keep_to_owner, make_state_dir
from production_server.run.supervisor import (
    Supervisor,
    die_with_parent,
    handed_sockets,
    stream_children,
    trainer_children,
    web_children,
    worker_children,
)
from production_server.settings import Settings, lines_of, read_settings, redact, text_of_value
from production_server.storage.locations import Location

EPILOG = (
    "All settings are environment variables; docs/operations.md lists them. "
    "Exit codes: 0 stopped in order, 1 failed, 2 usage."
)


class OneLineErrors(click.Group):
    """Shows this server's errors as one line each, never as a traceback."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except SettingsError as exc:
            for fault in exc.faults:
                click.echo(f"celeriac: {fault}", err=True)
            ctx.exit(1)
        except CeleriacError as exc:
            click.echo(f"celeriac: {exc.with_place}", err=True)
            ctx.exit(1)


@click.group(cls=OneLineErrors, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="Celeriac %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Celeriac: serve Keras models with nothing accepted ever lost."""
    if ctx.invoked_subcommand and not any(flag in sys.argv for flag in ("-h", "--help")):
        ctx.obj = settings = read_settings(os.environ)
        set_up_logs(settings)
        keep_to_owner(ctx)
        die_with_parent(os.environ)
        give_large_memory_back()


@main.command()
@click.option(
    "--models-repository",
    "repository",
    is_flag=False,
    flag_value="",
    metavar="[PATH]",
    help="Take versions by `git push`: make the repository, if it is not there.  [default: models.git under STATE_DIR]",
)
@click.pass_obj
def run(settings: Settings, *, repository: str | None) -> None:
    """Start the whole service.

    Without BROKER_URL all of it runs in one process; with it, WEB_PROCESSES web processes and WORKERS workers are
    started, and restarted when they die.
    """
    if repository is not None:
        where = Path(repository) if repository else repository_of(settings)
        settings = replace(settings, models_repository=where.absolute())
    _bring_models(settings)
    _check_rules(settings)
    certificate = open_certificate(settings)
    addresses = take_addresses(settings)
    make_state_dir(settings.state_dir)
    environ = {**os.environ, "MODELS_REPOSITORY": text_of_value(settings.models_repository)}
    with taking_pushes(settings, environ):
        if settings.is_embedded:
            _serve_embedded(settings, addresses, certificate)
        else:
            prepare_database(settings)
            check_exposure(settings, addresses)
            children = web_children(settings) + worker_children(settings)
            children += stream_children(settings) + trainer_children(settings)
            sys.exit(Supervisor(settings, environ, addresses, children).run())


@main.command()
@click.pass_obj
def web(settings: Settings) -> None:
    """Start WEB_PROCESSES web processes (without BROKER_URL one, with an embedded worker)."""
    _bring_models(settings)
    _check_rules(settings)
    certificate = open_certificate(settings)
    handed = handed_sockets(os.environ)
    addresses = handed or take_addresses(settings)
    # Whoever was handed its sockets is one of several: what started them takes the pushes.
    with contextlib.nullcontext() if handed else taking_pushes(settings, os.environ):
        if settings.is_embedded:
            make_state_dir(settings.state_dir)
            _serve_embedded(settings, addresses, certificate)
            return
        check_exposure(settings, addresses)
        if settings.web_processes > 1 and not handed:
            sys.exit(Supervisor(settings, os.environ, addresses, web_children(settings)).run())
        _serve(settings, addresses, certificate)


@main.command()
@click.pass_obj
def worker(settings: Settings) -> None:
    """Start one worker process; needs BROKER_URL."""
    if settings.is_embedded:
        raise SettingsError(
            (Fault("BROKER_URL", "a broker: without one, `run` has its worker inside", "nothing"),)
        )
    from production_server.worker.parts import worker_name
    from production_server.worker.process import run_worker

    settings = replace(settings, worker_name=worker_name(settings))
    set_up_logs(settings, worker=settings.worker_name)
    _bring_models(settings)
    run_worker(settings)


@main.command()
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of streams.  [default: STREAMS_FILE]",
)
@click.pass_obj
def stream(settings: Settings, *, config: Path | None) -> None:
    """Start one process that reads streams of Kafka and Pub/Sub; needs BROKER_URL.

    Start as many as you like: they share what there is to read. `run` has one where STREAMS_FILE is set.
    """
    from production_server.run.streams import run_streams

    if config is not None:
        settings = replace(settings, streams_file=config.absolute())
    _bring_models(settings)
    run_streams(settings)


@main.command()
@click.pass_obj
def trainer(settings: Settings) -> None:
    """Start the process that trains models again from their labels, as LEARNING_FILE says; needs BROKER_URL.

    Of several one trains. `run` has one where LEARNING_FILE is set.
    """
    from production_server.run.trainings import run_trainer

    _bring_models(settings)
    run_trainer(settings)


@main.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring the database schema to the newest revision; does nothing if it is there.

    Makes the first key, too, where FIRST_KEY_FILE says so.
    """
    prepare_database(settings)
    click.echo(f"{redact(settings.resolved_database_url)} is up to date")


@main.command()
@click.pass_obj
def fingerprint(settings: Settings) -> None:
    """Show the SHA-256 of the certificate in TLS_CERT, which clients can pin."""
    if settings.tls_cert is None:
        raise SettingsError((Fault("TLS_CERT", "the file of a certificate", "nothing"),))
    click.echo(fingerprint_of(settings.tls_cert))


@main.command("settings")
@click.pass_obj
def show_settings(settings: Settings) -> None:
    """Show all settings, as variables; those that are not set behind a `#`, secrets as [redacted]."""
    for line in lines_of(settings):
        click.echo(line)


main.add_command(key_commands)
main.add_command(show_audit)
main.add_command(model_commands)
main.add_command(repository_commands)


def _bring_models(settings: Settings) -> None:
    """Have what a store in a bucket holds before anybody is told that this machine is ready; no store is waited for.

    Raises:
        SettingsError, StoreNotWritable: there is no place for the copy.
    """
    if isinstance(settings.model_store, Location):
        from production_server.models.mirror import mirror_of

        make_state_dir(settings.state_dir)
        mirror = mirror_of(settings)
        if mirror is not None:
            mirror.look_now()


def _check_rules(settings: Settings) -> None:
    """Refuse rules of events, streams and policies that cannot be used before anything is started.

    Raises:
        SettingsError: EVENTS_FILE, STREAMS_FILE or LEARNING_FILE holds such.
    """
    if settings.events_file is not None:
        from production_server.models.registry import Registry
        from production_server.sources.notifications import open_rules

        open_rules(settings, Registry(settings.model_stores))
    if settings.streams_file is not None:
        from production_server.run.streams import open_streams

        open_streams(settings)
    if settings.learning_file is not None:
        from production_server.retraining.policies import policies_in

        policies_in(settings.learning_file)


def _serve_embedded(
    settings: Settings, addresses: Sequence[socket.socket], certificate: Certificate | None
) -> None:
    if settings.web_processes > 1:
        raise SettingsError(
            (Fault("WEB_PROCESSES", "1 where there is no BROKER_URL", str(settings.web_processes)),)
        )
    held = hold(settings.state_dir)
    prepare_database(settings)
    check_exposure(settings, addresses)
    _serve(settings, addresses, certificate)
    logging.getLogger(__name__).info("stopped")
    os.close(held)


def _serve(settings: Settings, addresses: Sequence[socket.socket], certificate: Certificate | None) -> None:
    with contextlib.ExitStack() as running:
        if METRICS_VARIABLE not in os.environ:
            os.environ[METRICS_VARIABLE] = str(running.enter_context(shared_metrics()))
        # Imported only now, for Prometheus' client comes with it.
        from production_server.run.server import serve

        serve(settings, addresses, certificate, metrics_folder=Path(os.environ[METRICS_VARIABLE]))


if __name__ == "__main__":
    main()
