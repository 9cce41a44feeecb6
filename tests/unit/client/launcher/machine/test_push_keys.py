"""What a public key that may push looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from client.errors import InputError
from client.launcher.machine.push_keys import models_url, public_key, read_push_key
from testing.fake_cloud_contents import PUBLIC_KEY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("comment", "shown"),
    [("", " laptop"), (" anna@home", " anna@home"), (" Anna Ö's\tkey", " Anna---s-key"), (" \n", " laptop")],
)
def test_the_comment_of_a_key_names_whoever_pushes(comment: str, shown: str) -> None:
    assert public_key(f"{PUBLIC_KEY}{comment}", called="laptop") == f"{PUBLIC_KEY}{shown}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA anna",
        PUBLIC_KEY.replace("ssh-ed25519", "ssh-rsa"),
        f"restrict {PUBLIC_KEY}",
        f"{PUBLIC_KEY} anna\n{PUBLIC_KEY} ben",
        f"{PUBLIC_KEY}=== anna",
        "ssh-dss AAAAB3NzaC1kc3MAAAAB anna",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_what_is_no_single_key_is_none(text: str) -> None:
    assert public_key(text, called="laptop") is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--push-key: .* cannot be read \(Is a directory\)"):
        read_push_key(tmp_path)


def test_an_address_of_ipv6_is_in_brackets() -> None:
    assert models_url("2001:db8::1") == "ssh://celeriac-models@[2001:db8::1]/var/lib/celeriac/models.git"
