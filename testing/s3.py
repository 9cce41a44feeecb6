"""S3 stores for the tests. One is always there, by moto: a real HTTP server that has everything in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3

from testing.environment import variables
from testing.processes import free_ports

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class S3:
    """A store that answers at `url`."""

    url: str
    credentials: Mapping[str, str] = field(default_factory=lambda: CREDENTIALS, repr=False)
    server: Any = None
    scheme: str = "s3"

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Nobody answers; what is stored comes back with the store."""
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process needs to reach it."""
        return {**CREDENTIALS, **self.credentials, "AWS_ENDPOINT_URL": self.url}

    def client(self) -> Any:
        """Amazon's own client."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environ["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environ["AWS_DEFAULT_REGION"],
        )

    def fill(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Put objects into a bucket, which is made if it is not there: where moto has them, in this process."""
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        self.client().create_bucket(Bucket=bucket)
        for key, body in objects.items():
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, body)

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object."""
        self.client().delete_object(Bucket=bucket, Key=key)


@contextlib.contextmanager
def s3_store(address: str = "127.0.0.1") -> Iterator[S3]:
    """A store that is empty; this process' own environment leads to it as long as it runs."""
    from moto.server import ThreadedMotoServer

    (port,) = free_ports(1)
    server = ThreadedMotoServer(ip_address=address, port=port, verbose=False)
    server.start()
    store = S3(f"http://{address}:{port}", server=server)
    try:
        with variables(store.environ):
            yield store
    finally:
        server.stop()
