"""Where container images are from: the prefix of their names, and whom the instance trusts with the registry."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from client.errors import InputError
from client.launcher.machine.container_images import MAX_AUTHORITY_BYTES, checked_prefix, read_authority

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of an authority, with its key beside it."""
    folder = tmp_path_factory.mktemp("authority")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    made += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem"), "-subj", "/CN=tests"]
    subprocess.run(made, check=True, capture_output=True)
    return folder / "ca.pem"


@pytest.mark.parametrize(
    "prefix",
    [
        "registry.example/",
        "registry.example:5000/lab/",
        "localhost:5000/",
        "192.0.2.1:5000/a/b_c/d-e/",
        "docker.io/lab/",
    ],
)
def test_a_registry_with_folders_and_a_slash_is_a_prefix(prefix: str) -> None:
    assert checked_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "lab/",
        "registry.example",
        "registry.example:5000/lab",
        "https://registry.example/",
        "registry.example/Lab/",
        "registry.example/a//b/",
        "registry.example:port/",
        "registry.example/../etc/",
        "registry.example/$(id)/",
        "registry.example/lab/\n",
        "-registry.example/",
        ".:/",
        f"registry.example/{'a' * 200}/",
    ],
)
def test_anything_else_is_refused(prefix: str) -> None:
    with pytest.raises(InputError, match="a slash at the end"):
        checked_prefix(prefix)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(InputError) as refused:
        checked_prefix("user:hidden@registry.example/")

    assert "hidden" not in str(refused.value)


def test_only_the_certificates_of_a_file_are_taken(authority: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(f"Subject: tests\n{authority.read_text()}and more\n")

    assert read_authority(tmp_path / "ca.pem") == authority.read_text()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "has no certificate"),
        ("x" * (MAX_AUTHORITY_BYTES + 1), "name one certificate"),
        ("\xe9", "has no certificate"),
    ],
)
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "ca.pem").write_text(content)

    with pytest.raises(InputError, match=says):
        read_authority(tmp_path / "ca.pem")


def test_a_private_key_is_not_sent_along(authority: Path, tmp_path: Path) -> None:
    both = authority.read_text() + authority.with_name("key.pem").read_text()
    (tmp_path / "both.pem").write_text(both)

    with pytest.raises(InputError, match="has a private key"):
        read_authority(tmp_path / "both.pem")
