"""Public SSH keys that may push models to an instance: what can be one, and where it pushes to."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from client.errors import InputError
from client.launcher.machine.address import host_of

if TYPE_CHECKING:
    from pathlib import Path

PUSHER, MODELS_REPOSITORY = "celeriac-models", "/var/lib/celeriac/models.git"
MAX_KEY_BYTES = 16_384

# An instance's sshd takes these, whatever options stand in front of a key elsewhere.
_KEY = re.compile(
    r"(?P<kind>ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" (?P<blob>[A-Za-z0-9+/]+={0,2})(?: (?P<comment>.*))?"
)
_UNUSUAL = re.compile(r"[^A-Za-z0-9@._-]")


def models_url(address: str) -> str:
    """Where an instance takes models by git."""
    return f"ssh://{PUSHER}@{host_of(address)}{MODELS_REPOSITORY}"


def public_key(text: str, *, called: str) -> str | None:
    """The key as one line of type, key and comment; `called` is the comment of one that has none. None: it is no key.

    Characters that a comment need not have become hyphens: it names whoever pushes.
    """
    found = _KEY.fullmatch(text.strip())
    if found is None or not _is_whole(found["kind"], found["blob"]):
        return None
    return f"{found['kind']} {found['blob']} {_UNUSUAL.sub('-', found['comment'] or called)}"


def read_push_key(path: Path) -> str:
    """The public key in a file.

    Raises:
        InputError: There is none, or more than one; or a private key, which must not leave this machine.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_KEY_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"--push-key: {path} cannot be read ({error.strerror})") from error
    if "PRIVATE KEY" in text:
        raise InputError(f"--push-key: {path} is a private key: name the public one, {path}.pub")
    key = public_key(text, called=path.stem)
    if key is None:
        raise InputError(
            f"--push-key: expected {path} to be one public key in OpenSSH's form (type, key, comment); "
            "ssh-keygen -t ed25519 makes one"
        )
    return key


def _is_whole(kind: str, blob: str) -> bool:
    """Whether a key was not cut in its beginning: its first field, with its length in front, is the type."""
    try:
        content = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return False
    first = len(kind).to_bytes(4, "big") + kind.encode()
    return content.startswith(first) and len(content) > len(first)
