"""How far a boot is, told from consoles as machines write them."""

from __future__ import annotations

import pytest

from client.launcher.machine.console import BootProgress, read
from testing.fake_cloud_contents import PUBLIC_KEY

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKG2IRCxCVAy9JrpJqHWBrzwthNzfQwW3UNeiGWlzk8A"
NEWER_ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAX3MOUbnJrWEICbF8w2ETFbIauMJ8xQIcnQJwoSDWtG"
ECDSA = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBPE9u7QA6RVYubeTZar/j4ZHs+3JBh9PdzTMbGL"
    "7GSARpys6lM4xNr6ezc2ugXyivUoGs0W60f9+yF6dqjxdhUs="
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
KERNEL = "[    0.000000] Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org)"
FINAL = "[   14.5] cloud-init[602]: Cloud-init v. 22.4.2 running 'modules:final' at Fri, 20 Nov 2026. Up 14.41 seconds."
FINISHED = "[  58.1] cloud-init[602]: Cloud-init v. 22.4.2 finished at Fri, 20 Nov 2026. Datasource OpenStack. Up 58 s"
SCRIPTS_FAILED = (
    "13:08:26 - cc_scripts_per_boot.py[WARNING]: Failed to run module scripts-per-boot (per-boot in …)"
)


def said(*lines: str) -> list[str]:
    """What the set-up program says, as the journal puts it on the console."""
    return [f"[   {n + 20}.996397] cloud-init[602]: celeriac: {line}" for n, line in enumerate(lines)]


def of(*lines: str) -> BootProgress:
    return read("\r\n".join(lines))


INTRODUCTION = said("login debian", f"host-key {ED25519}", f"host-key {ECDSA}")


def test_an_empty_console_tells_nothing() -> None:
    assert read("") == BootProgress("nothing on the console yet")
    assert read("\x1b[H\x1b[2J\r\n") == BootProgress("nothing on the console yet")


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        (KERNEL, "kernel booting"),
        ("[  OK  ] Reached target network.target", "kernel booting"),
        (
            "[    5.2] cloud-init[45]: Cloud-init v. 22.4.2 running 'init-local' at Fri, 20 Nov 2026.",
            "first boot: looking for its user-data",
        ),
        (
            "[    6.2] cloud-init[345]: Cloud-init v. 24.4-0ubuntu1~24.04.2 running 'init' at Fri",
            "first boot: network and SSH keys",
        ),
        ("Cloud-init v. 25.1.4 running 'modules:config' at Fri", "first boot: configuring the system"),
        (FINAL, "first boot: installing packages"),
        *[
            (said(f"stage {marker}")[0], stage)
            for marker, stage in {
                "packages": "first boot: installing packages",
                "upload": "first boot: waiting for the code",
                "code": "first boot: getting the code",
                "environment": "first boot: Python environment",
                "broker": "first boot: message broker",
                "database": "first boot: database",
                "services": "first boot: starting the services",
                "something-new": "first boot: something-new",
            }.items()
        ],
    ],
)
def test_the_last_line_that_tells_a_stage_counts(line: str, stage: str) -> None:
    assert of(line, "[   30.1] audit: something else", "") == BootProgress(stage)


def test_a_first_boot_that_succeeds_is_ready_with_keys_and_login() -> None:
    progress = of(KERNEL, FINAL, *INTRODUCTION, *said("stage services", f"ready {COMMIT}"), FINISHED)

    assert progress == BootProgress(
        "ready", is_ready=True, failure=None, host_keys=(ED25519, ECDSA), login="debian"
    )


def test_a_first_boot_that_fails_says_where_and_why() -> None:
    lines = said("stage code", "failed code: git://10.0.2.2/celeriac.git has no commit 0123")

    progress = of(KERNEL, FINAL, *lines, SCRIPTS_FAILED, FINISHED)

    assert not progress.is_ready
    assert progress.failure == "code: git://10.0.2.2/celeriac.git has no commit 0123"


def test_a_failure_before_the_set_up_ran_is_cloud_inits_own() -> None:
    assert (
        of(KERNEL, FINAL, SCRIPTS_FAILED).failure == "Failed to run module scripts-per-boot (per-boot in …)"
    )
    assert of(KERNEL, FINAL, SCRIPTS_FAILED.replace("per-boot", "per_boot")).failure is not None


def test_a_module_that_the_service_does_not_need_may_fail() -> None:
    locale = "2026-11-20 13:08:26,896 - util.py[WARNING]: Failed to run module locale"
    packages = (
        "('package-update-upgrade-install', ProcessExecutionError(\"Unexpected error while running command"
    )

    assert of(KERNEL, locale, FINAL, packages, *said("stage packages")).failure is None


def test_a_failing_module_after_ready_is_no_failure_of_the_service() -> None:
    assert of(KERNEL, *said(f"ready {COMMIT}"), SCRIPTS_FAILED, FINISHED).failure is None


def test_a_first_boot_that_ends_without_the_set_up_has_failed() -> None:
    progress = of(KERNEL, "-----BEGIN SSH HOST KEY KEYS-----", FINISHED)

    assert progress.failure == "cloud-init finished without setting up the service"


def test_a_boot_that_takes_up_a_set_up_which_was_cut_off_is_followed_like_the_first() -> None:
    cut = (KERNEL, FINAL, *INTRODUCTION, *said("stage packages", "stage environment"))

    assert of(*cut, KERNEL).stage == "kernel booting"
    resumed = (*cut, KERNEL, FINAL, *INTRODUCTION, *said("stage packages", "stage code"))
    assert of(*resumed).stage == "first boot: getting the code"
    assert of(*resumed, FINISHED).failure == "cloud-init finished without setting up the service"
    assert of(*resumed, *said(f"ready {COMMIT}"), FINISHED).is_ready


def test_a_set_up_that_failed_and_succeeds_at_the_next_boot_is_ready() -> None:
    failed = (KERNEL, FINAL, *INTRODUCTION, *said("failed code: no network"), SCRIPTS_FAILED, FINISHED)

    progress = of(*failed, KERNEL, FINAL, *INTRODUCTION, *said(f"ready {COMMIT}"))

    assert (progress.is_ready, progress.failure) == (True, None)


def test_a_later_boot_does_not_set_up_and_has_not_failed() -> None:
    first = (KERNEL, FINAL, *INTRODUCTION, *said(f"ready {COMMIT}"), FINISHED)

    progress = of(*first, KERNEL, FINAL, FINISHED)

    assert progress == BootProgress("booted", host_keys=(ED25519, ECDSA), login="debian")


@pytest.mark.parametrize(
    "line",
    [
        "[    2.1] Kernel panic - not syncing: VFS: Unable to mount root fs",
        "You are in emergency mode. After logging in, type journalctl",
        "[FAILED] Failed to start cloud-final.service - Execute cloud user/final scripts.",
        "[FAILED] Failed to start Execute cloud user/final scripts.",
    ],
)
def test_what_no_boot_recovers_from_is_a_failure(line: str) -> None:
    assert of(KERNEL, f"\x1b[0;1;31m{line}\x1b[0m").failure is not None


def test_terminal_codes_and_kernel_messages_within_a_line_do_not_hide_a_marker() -> None:
    console = (
        f"[    9.1] random: crng init done\x1b[0m{said('stage database')[0]}[   41.1] eth0: link up\r\r\n"
    )

    assert read(console).stage == "first boot: database"
    assert read(f"\x1b[32m{console}{said(f'ready {COMMIT}')[0]}").is_ready


def test_a_console_that_begins_in_the_middle_is_read_from_there() -> None:
    assert of("eriac: stage code", *said("stage environment")).stage == "first boot: Python environment"


def test_a_key_that_was_cut_is_no_key() -> None:
    for length in range(len("ssh-ed25519 ") + 1, len(ED25519)):
        assert of(*said(f"host-key {ED25519[:length]}")).host_keys == ()


def test_cloud_inits_own_list_of_keys_is_read_too() -> None:
    assert of("-----BEGIN SSH HOST KEY KEYS-----", f"{ED25519} root@lab").host_keys == (ED25519,)


def test_of_two_keys_of_a_kind_the_newer_one_counts() -> None:
    console = of(*said(f"host-key {ED25519}"), KERNEL, *said(f"host-key {NEWER_ED25519}"))

    assert console.host_keys == (NEWER_ED25519,)


def test_a_login_prompt_is_not_taken_for_a_marker() -> None:
    assert of("Debian GNU/Linux 12 celeriac ttyS0", "celeriac login: ").login is None


def test_the_certificate_is_the_last_that_was_told_whole() -> None:
    one, two = (f"SHA256:{':'.join([each] * 32)}" for each in ("0A", "FF"))

    assert of(f"celeriac: certificate {one}").certificate == one
    assert of(f"celeriac: certificate {one}", f"celeriac: certificate {two} [ 12.3] audit").certificate == two
    assert of(f"celeriac: certificate {one}", f"celeriac: certificate {two[:-3]}").certificate == one
    assert of(f"celeriac: certificate {one}:00", "celeriac: certificate `reboot`").certificate is None


def test_the_key_that_pushes_models_is_told_whole_or_not_at_all() -> None:
    cut = PUBLIC_KEY[:-4]

    assert read(f"celeriac: push-key {PUBLIC_KEY}\n").push_key == PUBLIC_KEY
    assert read(f"celeriac: push-key {PUBLIC_KEY}\n").host_keys == ()
    assert read(f"celeriac: push-key {cut}\n").push_key is None
    assert read("celeriac: push-key ssh-ed25519 $(id)\n").push_key is None
