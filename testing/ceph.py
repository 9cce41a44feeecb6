"""A real Ceph for the tests: that of the test rig. One that answers is used as it is and left running."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import secrets
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from testing.processes import wait_until
from testing.rig import STATE, run_script
from testing.s3 import S3

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


ENVIRON = STATE / "ceph" / "ceph.env"
GATEWAY = STATE / "ceph" / "pids" / "rgw.a"
THREADS = 16


@dataclass(frozen=True)
class Ceph(S3):
    """A Ceph that answers at `url`, as one of its users; `rig` starts its gateway again."""

    rig: Path | None = field(default=None, kw_only=True)

    @contextlib.contextmanager
    def bucket(self) -> Iterator[str]:
        """An empty bucket of this user; afterwards it is gone, with all that is in it."""
        client, name = self.client(), f"celeriac-{secrets.token_hex(6)}"
        client.create_bucket(Bucket=name)
        try:
            yield name
        finally:
            with contextlib.suppress(client.exceptions.ClientError):
                client.delete_bucket_policy(Bucket=name)
            # One by one: this radosgw does not survive the deletion of many.
            with ThreadPoolExecutor(THREADS) as threads:
                for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                    for entry in page.get("Contents", ()):
                        threads.submit(client.delete_object, Bucket=name, Key=entry["Key"])
            client.delete_bucket(Bucket=name)

    @functools.cached_property
    def _one_client(self) -> Any:
        return self.client()

    def put(self, bucket: str, key: str, body: bytes, **more: object) -> None:
        """Put one object."""
        self._one_client.put_object(Bucket=bucket, Key=key, Body=body, **more)

    def put_all(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Put many at once."""
        with ThreadPoolExecutor(THREADS) as threads:
            puts = [threads.submit(self.put, bucket, key, body) for key, body in objects.items()]
        for put in puts:
            put.result()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Its gateway is killed, and nobody answers until it is started again; others who use it wait, too."""
        assert self.rig is not None
        pid = int(GATEWAY.read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _answers(), what="nobody answers for Ceph")
        try:
            yield
        finally:
            run_script(self.rig / "ceph-up.sh")

    def forbid(self, bucket: str, keys: str) -> None:
        """Let nobody read objects, not even their owner; `*` stands for anything."""
        denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
        statement = denied | {"Resource": f"arn:aws:s3:::{bucket}/{keys}"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    @contextlib.contextmanager
    def another_user(self) -> Iterator[Ceph]:
        """The same store as a user of his own, who is gone afterwards."""
        name = f"celeriac-{secrets.token_hex(6)}"
        told = json.loads(_administer("user", "create", "--uid", name, "--display-name", name))
        try:
            key = told["keys"][0]
            yield Ceph(self.url, _credentials(key["access_key"], key["secret_key"]))
        finally:
            _administer("user", "rm", "--uid", name, "--purge-data")

    def with_wrong_secret(self) -> Ceph:
        """The same user, who has mistyped his secret key."""
        return Ceph(self.url, _credentials(self.environ["AWS_ACCESS_KEY_ID"], "wrong"))


@contextlib.contextmanager
def running_ceph(rig: Path) -> Iterator[Ceph]:
    """The rig's Ceph. One that runs is used and left; else it is started, and stopped in the end."""
    was_running = _answers()
    if not was_running:
        run_script(rig / "ceph-up.sh")
    told = _told()
    try:
        credentials = _credentials(told["CEPH_S3_ACCESS_KEY"], told["CEPH_S3_SECRET_KEY"])
        yield Ceph(told["CEPH_S3_ENDPOINT"], credentials, rig=rig)
    finally:
        if not was_running:
            run_script(rig / "ceph-down.sh")


def _credentials(access_key: str, secret_key: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}


def _told() -> dict[str, str]:
    return dict(re.findall(r"^export (\w+)=(.*)$", ENVIRON.read_text(), re.MULTILINE))


def _answers() -> bool:
    if not ENVIRON.is_file():
        return False
    address = urlsplit(_told()["CEPH_S3_ENDPOINT"])
    try:
        socket.create_connection((address.hostname or "", address.port or 80), timeout=5).close()
    except OSError:
        return False
    return True


def _administer(*arguments: str) -> str:
    command = ["radosgw-admin", "-c", _told()["CEPH_CONF"], "-n", "client.rgw.a", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
