"""Reads how far a first boot is from what the instance wrote to its serial console. Pure functions over text.

The text may begin anywhere, has terminal codes, and other programs' messages in between and within lines.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from client.output import printable

WORDS_OF_CLOUD_INIT = {
    "init-local": "first boot: looking for its user-data",
    "init": "first boot: network and SSH keys",
    "modules:config": "first boot: configuring the system",
    "modules:final": "first boot: installing packages",
}
WORDS_OF_STAGE = {
    "packages": "first boot: installing packages",
    "upload": "first boot: waiting for the code",
    "code": "first boot: getting the code",
    "environment": "first boot: Python environment",
    "images": "first boot: container images",
    "broker": "first boot: message broker",
    "database": "first boot: database",
    "services": "first boot: starting the services",
    "checkout": "first boot: a checkout of the code",
}
NOTHING, KERNEL, BOOTED, READY = "nothing on the console yet", "kernel booting", "booted", "ready"

_KERNEL = re.compile(r"\bLinux version \d")
_CLOUD_INIT = re.compile(r"Cloud-init v\. \S+ (?:running '([a-z:-]+)'|(finished) at)")
_MARKER = re.compile(r"(?<![\w-])celeriac: (stage|ready|failed|host-key|login|certificate|push-key) (\S.*)")
# What follows may be another program's message.
_STAGE_NAME = re.compile(r"[^a-z-]")
_KEY = re.compile(
    r"(?:^|host-key )((?:ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa) [A-Za-z0-9+/]+={0,2})(?=\s|$)"
)
_FINGERPRINT = r"SHA256:(?:[0-9A-F]{2}:){31}[0-9A-F]{2}(?![0-9A-F:])"
_ED25519 = r"ssh-ed25519 [A-Za-z0-9+/]+={0,2}(?=\s|$)"
_IS_FIRST_BOOT = re.compile(r"BEGIN SSH HOST KEY|Generating public/private|(?<![\w-])celeriac: login ")
# What no first boot recovers from. Other modules of cloud-init may fail without keeping the service from running;
# packages are tried again by the set-up.
_FATAL = re.compile(
    r"Kernel panic - not syncing.*"
    r"|You are in emergency mode.*"
    r"|Failed to run module (?:scripts[-_]per[-_]boot|write[-_]files)\b.*"
    r"|Failed to start (?:cloud-final\.service|Execute cloud user/final scripts).*"
)


@dataclass(frozen=True)
class BootProgress:
    """How far a boot is.

    `host_keys` are public SSH host keys, type and key as in known_hosts, `login` who may log in, `certificate` is the
    SHA-256 of the service's, `push_key` the public half of the key by which a machine for development pushes models.
    `failure` is why first boot will not succeed, in one line; None as long as it may.
    """

    stage: str
    is_ready: bool = False
    failure: str | None = None
    host_keys: tuple[str, ...] = ()
    login: str | None = None
    certificate: str | None = None
    push_key: str | None = None


def read(console: str) -> BootProgress:
    """What the console says of the last boot that it shows; keys and login may be from an earlier one."""
    lines = printable(console).splitlines()
    boot = _Boot(KERNEL if any(line.strip() for line in lines) else NOTHING)
    for line in lines[_start_of_last_boot(lines) :]:
        boot.follow(line)
    return BootProgress(
        stage=boot.stage,
        is_ready=boot.is_ready,
        failure=boot.end(),
        host_keys=_host_keys(lines),
        login=_last(lines, "login", r"\S+"),
        certificate=_last(lines, "certificate", _FINGERPRINT),
        push_key=_push_key(lines),
    )


def _start_of_last_boot(lines: list[str]) -> int:
    return max((n for n, line in enumerate(lines) if _KERNEL.search(line)), default=0)


@dataclass
class _Boot:
    """One boot, followed line by line."""

    stage: str
    is_ready: bool = False
    is_first: bool = False
    is_finished: bool = False
    failure: str | None = None

    def follow(self, line: str) -> None:
        self.is_first = self.is_first or _IS_FIRST_BOOT.search(line) is not None
        if marker := _MARKER.search(line):
            self._take(marker.group(1), marker.group(2).strip())
        elif self.is_ready:
            return
        elif said := _CLOUD_INIT.search(line):
            self.is_finished = said.group(2) is not None
            self.stage = BOOTED if self.is_finished else WORDS_OF_CLOUD_INIT.get(said.group(1), self.stage)
        elif fatal := _FATAL.search(line):
            self.failure = self.failure or fatal.group(0).strip()

    def end(self) -> str | None:
        """Why this boot fails, all lines considered."""
        if self.is_finished and self.is_first and not self.is_ready:
            return self.failure or "cloud-init finished without setting up the service"
        return self.failure

    def _take(self, kind: str, text: str) -> None:
        if kind == "stage":
            name = _STAGE_NAME.split(text, maxsplit=1)[0]
            self.stage = WORDS_OF_STAGE.get(name, f"first boot: {name}")
        elif kind == "failed":
            self.failure = self.failure or text
        elif kind == "ready":
            self.stage, self.is_ready, self.failure = READY, True, None


def _host_keys(lines: list[str]) -> tuple[str, ...]:
    """The last key of each type: a machine that was made from an image has new ones."""
    keys = {}
    for line in lines:
        found = _KEY.search(line)
        if found and _is_whole(found.group(1)):
            keys[found.group(1).split()[0]] = found.group(1)
    return tuple(keys.values())


def _push_key(lines: list[str]) -> str | None:
    found = _last(lines, "push-key", _ED25519)
    return found if found is not None and _is_whole(found) else None


def _is_whole(key: str) -> bool:
    """Whether a key was not cut: its bytes are fields with their lengths in front, the first one is the type."""
    kind, _, encoded = key.partition(" ")
    try:
        rest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    fields = []
    while rest:
        length = int.from_bytes(rest[:4], "big")
        fields.append(rest[4 : 4 + length])
        if len(rest) < 4 + length:
            return False
        rest = rest[4 + length :]
    return len(fields) > 1 and fields[0] == kind.encode()


def _last(lines: list[str], kind: str, pattern: str) -> str | None:
    """What the last marker of a kind tells: an instance that was made from an image tells it anew."""
    markers = [marker for line in lines if (marker := _MARKER.search(line)) and marker.group(1) == kind]
    found = [told.group() for marker in markers if (told := re.match(pattern, marker.group(2)))]
    return found[-1] if found else None
