"""A launch from an empty project to an instance that answers, and what ends it."""

from __future__ import annotations

import pytest

from client.errors import ClientError, InputError, InstanceFailed, Refused, Unavailable
from client.exits import EXIT_CODES
from client.launcher.cloud import Quota, Rule
from client.launcher.deciding.labels import COMMIT, DOMAIN, MODE, ORIGIN
from client.launcher.deciding.request import NONE
from client.launcher.doing.launch import launch
from client.launcher.machine.repository import CodeRequest
from testing.launching import COMMIT as COMMIT_ID
from testing.launching import CONSOLE, HOST_KEY, REPOSITORY, World, wanted


def test_an_instance_is_made_and_answers(world: World) -> None:
    launched = world.launch(wanted())

    own = world.cloud.belongings()
    assert launched.instance.url == f"https://{own.floating_addresses[0].address}:5100"
    assert (launched.instance.login, launched.instance.host_keys) == ("debian", (HOST_KEY,))
    assert own.floating_addresses[0].server_id == own.servers[0].id
    assert own.security_groups[0].rules == {Rule(22, "198.51.100.7/32"), Rule(5100, "198.51.100.7/32")}
    assert own.servers[0].security_groups == ("celeriac-lab",)
    assert own.servers[0].metadata == {COMMIT: COMMIT_ID, ORIGIN: REPOSITORY, MODE: "systemd"}
    assert world.cloud.request_of(own.servers[0].id).user_data.startswith("#cloud-config\n")


NAME = "celeriac.example.org"


def test_an_instance_with_a_name_is_ready_when_its_console_says_so(world: World) -> None:
    world.around.has_certificate = False

    launched = world.launch(wanted(domain=NAME))

    own = world.cloud.belongings()
    instance = launched.instance
    assert (instance.url, instance.has_answered) == (f"https://{NAME}", False)
    assert (instance.login, instance.host_keys) == ("debian", (HOST_KEY,))
    assert own.security_groups[0].rules == {
        Rule(22, "198.51.100.7/32"),
        Rule(443, "198.51.100.7/32"),
        Rule(80, "0.0.0.0/0"),
    }
    assert own.servers[0].metadata[DOMAIN] == NAME
    assert f"domain={NAME}\n" in world.cloud.request_of(own.servers[0].id).user_data
    assert "ports 22 and 443 are open to 198.51.100.7/32, this machine" in world.notes


def test_an_instance_that_proves_its_name_is_ready_whatever_its_console_says(world: World) -> None:
    world.cloud.script = ("Linux version 6.1", "login:")

    launched = world.launch(wanted(domain=NAME))

    assert launched.instance.has_answered
    assert set(world.around.asked_as) == {(NAME, launched.instance.address)}


def test_without_a_name_the_console_alone_does_not_make_an_instance_ready(world: World) -> None:
    world.around.ready_after_looks = None

    with pytest.raises(InstanceFailed, match="before the service was ready"):
        world.launch(wanted())


def test_everything_that_is_made_carries_the_name_and_one_run(world: World) -> None:
    world.launch(wanted())

    own = world.cloud.belongings()
    marks = {own.servers[0].mark, own.floating_addresses[0].mark, own.security_groups[0].mark}
    assert len(marks) == 1
    assert own.names == ["lab"]


def test_each_stage_is_reported_with_its_time(world: World) -> None:
    tools = world.tools()

    launch(wanted(), tools)

    stages = [stage.text for stage in tools.report.stages]
    assert stages[:4] == [
        "looking at the cloud",
        "looking at the code",
        "take a floating IP from public",
        "let 198.51.100.7/32 in",
    ]
    assert [stage for stage in stages if "spawning" in stage]
    assert tools.report.stages == sorted(tools.report.stages, key=lambda stage: stage.began_s)


def test_this_machines_address_is_the_one_towards_the_floating_ip(world: World) -> None:
    launched = world.launch(wanted())

    assert world.around.towards[-1] == launched.instance.address
    assert "ports 22 and 5100 are open to 198.51.100.7/32, this machine" in world.notes


def test_who_may_come_in_can_be_said(world: World) -> None:
    world.launch(wanted(allow_from=("192.0.2.0/24", "2001:db8::/32")))

    rules = world.cloud.belongings().security_groups[0].rules
    assert rules == {
        Rule(port, source) for port in (22, 5100) for source in ("192.0.2.0/24", "2001:db8::/32")
    }


def test_a_cloud_on_this_machine_needs_to_be_told_who_may_come_in(world: World) -> None:
    world.around.address = None

    with pytest.raises(InputError, match="--allow-from"):
        world.launch(wanted())

    assert world.is_empty


def test_a_group_that_exists_is_used_and_not_changed(world: World) -> None:
    world.launch(wanted(security_group="default"))

    own = world.cloud.belongings()
    assert own.security_groups == ()
    assert own.servers[0].security_groups == ("default",)


def test_without_a_floating_ip_the_servers_own_address_counts(world: World) -> None:
    launched = world.launch(wanted(floating_network=NONE))

    own = world.cloud.belongings()
    assert own.floating_addresses == ()
    assert launched.instance.address == own.servers[0].addresses[0]


def test_code_is_pushed_once_the_console_has_shown_the_host_keys(world: World) -> None:
    world.around.push_failures = [Unavailable("ssh: Connection refused", is_passing=True)]

    world.launch(wanted(code=CodeRequest(is_uploaded=True)))

    ((commit, address, login, keys),) = world.around.pushed
    assert len(commit) == 40
    assert address == world.cloud.belongings().floating_addresses[0].address
    assert (login, keys) == ("debian", (HOST_KEY,))


def test_a_push_that_is_refused_for_good_ends_the_launch(world: World) -> None:
    world.around.push_failures = [Unavailable("git: remote rejected")]

    with pytest.raises(Unavailable, match="remote rejected"):
        world.launch(wanted(code=CodeRequest(is_uploaded=True)))

    assert world.is_empty


def test_nothing_is_made_when_there_are_faults(world: World) -> None:
    world.cloud.quota = Quota(0, 0, 0, 0, 0)

    with pytest.raises(Refused, match="nothing was made") as refusal:
        world.launch(wanted(image="gone", code=CodeRequest("https://user:secret@git.example/x", COMMIT_ID)))

    assert [fault.field for fault in refusal.value.faults] == [
        "image",
        "quota",
        "quota",
        "quota",
        "quota",
        "quota",
        "code",
    ]
    assert "secret" not in str([str(fault) for fault in refusal.value.faults])
    assert not [call for call in world.cloud.calls if call.startswith("create")]


def test_a_server_in_error_is_told_with_its_fault_and_undone(world: World) -> None:
    world.cloud.error_on_boot("No valid host was found.")

    with pytest.raises(InstanceFailed, match="No valid host was found") as failure:
        world.launch(wanted())

    assert "a smaller --flavor" in failure.value.advice[0]
    assert world.is_empty


def test_a_first_boot_that_fails_is_told_with_the_end_of_the_console(world: World) -> None:
    world.around.ready_after_looks = None
    world.cloud.script = (*CONSOLE[:5], "celeriac: failed code: could not fetch 0123456789ab")

    with pytest.raises(InstanceFailed, match="could not fetch 0123456789ab") as failure:
        world.launch(wanted())

    assert "celeriac: stage code" in failure.value.log
    assert world.is_empty


def test_a_service_that_never_answers_ends_at_the_timeout(world: World) -> None:
    world.around.ready_after_looks = None

    with pytest.raises(
        InstanceFailed, match="time is up after 1:00, before the service was ready"
    ) as failure:
        world.launch(wanted(), timeout_s=60)

    assert f"celeriac: ready {COMMIT_ID}" in failure.value.log
    assert any("--allow-from" in advice for advice in failure.value.advice)
    assert world.is_empty


def test_every_error_has_an_exit_code() -> None:
    assert set(EXIT_CODES) == set(ClientError.__subclasses__())


def test_a_cloud_that_does_not_answer_for_a_while_does_not_end_a_launch(world: World) -> None:
    down = Unavailable("503: try again", is_passing=True)
    world.cloud.fail("server", with_=down, on_call=2, times=5)
    world.cloud.fail("console", with_=down, times=3)

    launched = world.launch(wanted())

    assert launched.instance.address
    assert len(world.cloud.belongings().servers) == 1


def test_a_cloud_that_stays_silent_ends_a_launch_when_time_is_up(world: World) -> None:
    silent = Unavailable("503: try again", is_passing=True)
    world.cloud.fail("belongings", with_=silent, on_call=2, times=35)

    with pytest.raises(Unavailable, match="did not answer until time was up: boot server lab"):
        world.launch(wanted(), timeout_s=60)

    assert world.is_empty


def test_a_login_that_is_none_is_not_believed(world: World) -> None:
    world.cloud.script = (*CONSOLE[:3], "celeriac: login -oProxyCommand=reboot", *CONSOLE[4:])

    assert world.launch(wanted()).instance.login == ""
