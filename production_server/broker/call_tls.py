"""TLS between web processes and workers: each shows a certificate, and believes those that one authority has signed."""

from __future__ import annotations

import ssl
from pathlib import Path

from production_server.errors import Fault, SettingsError
from production_server.settings import Settings

VARIABLES = ("CALLS_TLS_CERT", "CALLS_TLS_KEY", "CALLS_TLS_CA")


def has_call_tls(settings: Settings) -> bool:
    """Whether there is a certificate for calls.

    Raises:
        SettingsError: there is half of what it takes, or it cannot be used.
    """
    files = _files(settings)
    if not any(files):
        return False
    for variable, file in zip(VARIABLES, files, strict=True):
        if file is None:
            raise _fault(
                variable,
                f"a file, as {' and '.join(each for each in VARIABLES if each != variable)} are set",
                "nothing",
            )
    _context(settings, ssl.PROTOCOL_TLS_SERVER)
    return True


def worker_tls(settings: Settings) -> ssl.SSLContext:
    """For a worker: it speaks to nobody who shows no certificate that the authority has signed.

    Raises:
        SettingsError: the files cannot be used.
    """
    context = _context(settings, ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def web_tls(settings: Settings) -> ssl.SSLContext:
    """For a web process: the worker's certificate must be for the address that it is asked at.

    Raises:
        SettingsError: the files cannot be used.
    """
    return _context(settings, ssl.PROTOCOL_TLS_CLIENT)


def _context(settings: Settings, side: int) -> ssl.SSLContext:
    cert, key, authority = _files(settings)
    if cert is None or key is None or authority is None:
        raise _fault(", ".join(VARIABLES), "a certificate for calls, its key and its authority", "nothing")
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(cert, key, _no_passphrase)
    except (OSError, ValueError) as exc:
        raise _fault(
            "CALLS_TLS_CERT, CALLS_TLS_KEY",
            "a certificate and its key, without a passphrase, in PEM",
            f"{str(cert)!r}, {str(key)!r} ({_reason(exc)})",
        ) from exc
    try:
        context.load_verify_locations(authority)
    except OSError as exc:
        raise _fault(
            "CALLS_TLS_CA", "certificates of authorities in PEM", f"{str(authority)!r} ({_reason(exc)})"
        ) from exc
    return context


def _files(settings: Settings) -> tuple[Path | None, Path | None, Path | None]:
    return settings.calls_tls_cert, settings.calls_tls_key, settings.calls_tls_ca


def _no_passphrase() -> str:
    """Left to itself, OpenSSL would ask the terminal."""
    raise ValueError("the key has a passphrase")


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "reason", None) or getattr(exc, "strerror", None) or exc)


def _fault(variable: str, expected: str, got: str) -> SettingsError:
    return SettingsError((Fault(variable, expected, got),))
