"""An Azure Blob Storage for the tests: Azurite, Microsoft's own emulator."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from testing.environment import variables
from testing.processes import end, free_ports, spawn, temporary_directory, wait_until

ACCOUNT = "devstoreaccount1"
# The key that everybody's Azurite has.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def find_azurite() -> Path | None:
    """Where tools/test-programs puts it; None if it is not there, or no Node to run it."""
    program = Path(__file__).parent / "azurite" / "node_modules" / ".bin" / "azurite-blob"
    return program if program.exists() and shutil.which("node") else None


@dataclass
class AzureStorage:
    """A store with its objects in `directory`."""

    program: Path
    directory: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    scheme: str = "az"
    _process: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        return self.environ_of(KEY)

    def environ_of(self, key: str) -> Mapping[str, str]:
        """What leads to it with another key."""
        parts = {
            "DefaultEndpointsProtocol": "http",
            "AccountName": ACCOUNT,
            "AccountKey": key,
            "BlobEndpoint": f"http://127.0.0.1:{self.port}/{ACCOUNT}",
        }
        text = ";".join(f"{name}={value}" for name, value in parts.items())
        return {"AZURE_STORAGE_CONNECTION_STRING": text}

    @cached_property
    def client(self) -> Any:
        """Microsoft's own client."""
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient.from_connection_string(self.environ["AZURE_STORAGE_CONNECTION_STRING"])

    def fill(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        container = self.client.get_container_client(bucket)
        if not container.exists():
            container.create_container()
        for key, body in objects.items():
            container.upload_blob(key, body, overwrite=True)

    def remove(self, bucket: str, key: str) -> None:
        self.client.get_blob_client(bucket, key).delete_blob()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def start(self) -> None:
        command = [str(self.program), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--silent"]
        command += ["--location", str(self.directory), "--disableTelemetry", "--skipApiVersionCheck"]
        self._process = spawn(command, directory=self.directory, env={"PATH": os.environ["PATH"]})
        wait_until(self._is_up, what="Azurite answers")

    def stop(self) -> None:
        assert self._process is not None
        end(self._process)

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        return False


@contextlib.contextmanager
def azure_storage(program: Path) -> Iterator[AzureStorage]:
    """A store that is empty; this process' own environment leads to it as long as it runs."""
    with temporary_directory("azurite") as directory:
        store = AzureStorage(program, directory)
        store.start()
        try:
            with variables(store.environ):
                yield store
        finally:
            store.client.close()
            store.stop()
