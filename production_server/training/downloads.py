"""Downloads a file in pieces that survive an interruption, and refuses it if its SHA-256 is not the pinned one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import httpx

from production_server.training.errors import DigestError, DownloadError

if TYPE_CHECKING:
    from pathlib import Path

    from production_server.training.progress import Reporter

ATTEMPTS = 5
TIMEOUT_S = 30.0


def download(url: str, target: Path, *, sha256: str, reporter: Reporter) -> None:
    """Fetch `url` to `target`; what an earlier attempt left in `target`.part is gone on with (HTTP Range).

    Raises:
        DownloadError: the origin does not answer, answers with an error, or breaks off again and again.
        DigestError: the file is complete and its SHA-256 is another one; it is thrown away.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _fetch(url, partial, reporter)
            break
        except httpx.TransportError as exc:
            if attempt == ATTEMPTS or isinstance(exc, httpx.ConnectError | httpx.UnsupportedProtocol):
                raise DownloadError(f"{url} cannot be downloaded ({exc}); run again to go on") from exc
    check_digest(partial, sha256=sha256, origin=url)
    partial.replace(target)


def check_digest(path: Path, *, sha256: str, origin: str) -> None:
    """Compare the file's SHA-256 with the pinned one; a partial download that fails is removed.

    Raises:
        DigestError: they differ.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == sha256:
        return
    if path.suffix == ".part":
        path.unlink()
    raise DigestError(f"{origin} is refused: its SHA-256 is {found}, expected {sha256}")


def _fetch(url: str, partial: Path, reporter: Reporter) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with httpx.stream("GET", url, headers=headers, timeout=TIMEOUT_S, follow_redirects=True) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # everything is here already; the digest will tell
        if response.is_error:
            raise DownloadError(f"{url} answers {response.status_code} {response.reason_phrase}")
        is_resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = have if is_resumed else 0
        total = (
            done + int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        )
        with (
            partial.open("ab" if is_resumed else "wb") as file,
            reporter.bytes(partial.stem, total, done=done) as advance,
        ):
            for piece in response.iter_bytes(1 << 16):
                file.write(piece)
                advance(len(piece))
