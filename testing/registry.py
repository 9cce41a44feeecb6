"""A registry of container images with an authority of its own, and the checkout's images in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from testing.processes import ServiceError, end, free_ports, spawn, temporary_directory, wait_until
from testing.rig import install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "docker-registry"
CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http:
  addr: 0.0.0.0:{port}
  tls: {{certificate: {folder}/registry.pem, key: {folder}/registry.key}}
"""
EXTENSIONS = """\
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[registry]
subjectAltName = IP:{host}
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
"""


@dataclass(frozen=True)
class Registry:
    """`prefix` is what others put before the names of its images, `authority` the certificate that they need."""

    host: str
    port: int
    authority: Path

    @property
    def prefix(self) -> str:
        return f"{self.host}:{self.port}/"

    @property
    def own_prefix(self) -> str:
        """That of this machine, whose engine asks no registry on loopback for a certificate."""
        return f"127.0.0.1:{self.port}/"

    def push_checkout(self, checkout: Path) -> None:
        """Build the images of a checkout's HEAD, and push them as an operator does."""
        _run(str(checkout / "tools/compose"), "push", IMAGE_PREFIX=self.own_prefix)

    def push_variant(self, of: str, tag: str, *, dockerfile: str = "") -> None:
        """Push the service's image of one tag under another one, with more lines of a Dockerfile on top of it."""
        name = f"{self.own_prefix}celeriac-serve"
        _run(
            "docker",
            "build",
            "--quiet",
            "--tag",
            f"{name}:{tag}",
            "-",
            stdin=f"FROM {name}:{of}\n{dockerfile}",
        )
        _run("docker", "push", "--quiet", f"{name}:{tag}")

    def forget(self) -> None:
        """Remove from this machine's engine what was only for this registry, or pushed to it under its commit."""
        found = _run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        pushed = {name for name in found if name.startswith(self.own_prefix)}
        plain = {name.removeprefix(self.own_prefix) for name in pushed if "celeriac-serve:" in name}
        if own := pushed | plain & set(found):
            _run("docker", "image", "rm", *own)


@contextlib.contextmanager
def registry(host: str) -> Iterator[Registry]:
    """A registry that others reach at an address of this machine; empty, and gone afterwards."""
    if shutil.which(PROGRAM) is None:
        install(PROGRAM)
    (port,) = free_ports(1)
    with temporary_directory("registry") as folder:
        _make_certificates(folder, host)
        (folder / "config.yml").write_text(CONFIG.format(folder=folder, port=port))
        process = spawn([PROGRAM, "serve", "config.yml"], directory=folder, env={"PATH": os.environ["PATH"]})
        made = Registry(host, port, folder / "authority.pem")
        try:
            wait_until(lambda: _answers(made), what="the registry answers")
            yield made
        finally:
            end(process)
            made.forget()


def _answers(registry: Registry) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"https://{registry.own_prefix}v2/", verify=False, trust_env=False).is_success
    return False


def _make_certificates(folder: Path, host: str) -> None:
    (folder / "extensions").write_text(EXTENSIONS.format(host=host))
    key = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-config",
        str(folder / "extensions"),
    )
    authority, own = str(folder / "authority"), str(folder / "registry")
    _run(
        *("openssl", "req", "-x509", *key, "-subj", "/CN=tests", "-days", "2", "-extensions", "authority"),
        *("-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
    )
    _run("openssl", "req", *key, "-subj", f"/CN={host}", "-keyout", f"{own}.key", "-out", f"{own}.csr")
    _run(
        *("openssl", "x509", "-req", "-in", f"{own}.csr", "-days", "2", "-extensions", "registry"),
        *("-extfile", str(folder / "extensions"), "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key"),
        *("-CAcreateserial", "-out", f"{own}.pem"),
    )


def _run(*command: str, stdin: str = "", **env: str) -> str:
    done = subprocess.run(
        command, input=stdin, env=os.environ | env, capture_output=True, text=True, check=False, timeout=1200
    )
    if done.returncode:
        raise ServiceError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
