"""A launch from an empty project to an instance that answers; converging; and undoing, wherever it stops."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from client.errors import ClientError, InputError, InstanceFailed, Refused, Unavailable
from client.exits import EXIT_CODES
from client.launcher.cloud import Mark, Quota, Rule
from client.launcher.launch import launch
from client.launcher.plan import COMMIT, ORIGIN
from client.launcher.report import TimedReport
from client.launcher.request import NONE, CodeRequest
from tests.services.fake_cloud import Call
from tests.services.launching import COMMIT as COMMIT_ID
from tests.services.launching import CONSOLE, HOST_KEY, REPOSITORY, World, wanted

if TYPE_CHECKING:
    pass

CHANGES = (
    "create_floating_address",
    "create_security_group",
    "create_server",
    "attach",
)


def is_empty(world: World) -> bool:
    return world.cloud.belongings().is_empty


def test_an_instance_is_made_and_answers(world: World) -> None:
    launched = world.launch(wanted())

    own = world.cloud.belongings()
    assert launched.instance.url == f"http://{own.floating_addresses[0].address}:5100"
    assert (launched.instance.login, launched.instance.host_keys) == ("debian", (HOST_KEY,))
    assert own.floating_addresses[0].server_id == own.servers[0].id
    assert own.security_groups[0].rules == {Rule(22, "198.51.100.7/32"), Rule(5100, "198.51.100.7/32")}
    assert own.servers[0].security_groups == ("celeriac-lab",)
    assert own.servers[0].metadata == {COMMIT: COMMIT_ID, ORIGIN: REPOSITORY}
    assert world.cloud.request_of(own.servers[0].id).user_data.startswith("#cloud-config\n")


def test_everything_that_is_made_carries_the_name_and_one_run(world: World) -> None:
    world.launch(wanted())

    own = world.cloud.belongings()
    marks = {own.servers[0].mark, own.floating_addresses[0].mark, own.security_groups[0].mark}
    assert len(marks) == 1
    assert own.names == ["lab"]


def test_each_stage_is_reported_with_its_time(world: World) -> None:
    tools = world.tools()

    launch(wanted(), tools, keeps=False)

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

    assert is_empty(world)


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


def test_a_second_run_changes_nothing(world: World) -> None:
    first = world.launch(wanted())
    world.cloud.calls.clear()

    second = world.launch(wanted())

    assert second.instance.server_id == first.instance.server_id
    assert not [call for call in world.cloud.calls if call.startswith(("create", "delete", "attach", "open"))]


@pytest.mark.parametrize("lost", ["floating address", "power"])
def test_a_second_run_adds_what_is_missing(world: World, lost: str) -> None:
    instance = world.launch(wanted()).instance
    if lost == "floating address":
        world.cloud.delete_floating_address(instance.floating_address_id)
    else:
        world.cloud.stop_server(instance.server_id)
        world.cloud.server(instance.server_id)

    again = world.launch(wanted()).instance

    own = world.cloud.belongings()
    assert again.server_id == instance.server_id
    assert [server.status for server in own.servers] == ["ACTIVE"]
    assert [address.server_id for address in own.floating_addresses] == [instance.server_id]
    assert own.servers[0].security_groups == ("celeriac-lab",)


def test_a_second_run_lets_another_address_in(world: World) -> None:
    world.launch(wanted())

    world.launch(wanted(allow_from=("192.0.2.9/32",)))

    sources = {rule.source for rule in world.cloud.belongings().security_groups[0].rules}
    assert sources == {"198.51.100.7/32", "192.0.2.9/32"}


def test_a_second_run_without_code_options_asks_for_the_code_that_is_there(world: World) -> None:
    world.launch(wanted())

    again = world.launch(wanted(code=CodeRequest()))

    assert again.prepared.source.commit == COMMIT_ID


def test_two_names_at_once_get_an_instance_each(world: World) -> None:
    failures: list[BaseException] = []

    def launch(name: str) -> None:
        try:
            world.launch(wanted(name))
        except BaseException as failure:  # noqa: BLE001 # looked at below
            failures.append(failure)

    threads = [threading.Thread(target=launch, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert sorted(server.name for server in world.cloud.belongings().servers) == ["one", "two"]


def test_of_two_runs_with_one_name_only_the_first_makes_a_server(world: World) -> None:
    other: list[str] = []

    def overtake(call: Call) -> None:
        if (call.operation, call.moment) == ("create_server", "before") and not other:
            other.append("begun")
            other.append(world.launch(wanted()).instance.server_id)

    world.cloud.hooks.append(overtake)

    launched = world.launch(wanted())

    assert [server.id for server in world.cloud.belongings().servers] == [other[1]]
    assert launched.instance.server_id == other[1]
    assert len(world.cloud.belongings().floating_addresses) == 1


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

    assert is_empty(world)


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
    assert is_empty(world)


def test_a_first_boot_that_fails_is_told_with_the_end_of_the_console(world: World) -> None:
    world.around.ready_after_looks = None
    world.cloud.script = (*CONSOLE[:5], "celeriac: failed code: could not fetch 0123456789ab")

    with pytest.raises(InstanceFailed, match="could not fetch 0123456789ab") as failure:
        world.launch(wanted())

    assert "celeriac: stage code" in failure.value.log
    assert is_empty(world)


def test_a_service_that_never_answers_ends_at_the_timeout(world: World) -> None:
    world.around.ready_after_looks = None

    with pytest.raises(
        InstanceFailed, match="time is up after 1:00, before the service was ready"
    ) as failure:
        world.launch(wanted(), timeout_s=60)

    assert f"celeriac: ready {COMMIT_ID}" in failure.value.log
    assert any("--allow-from" in advice for advice in failure.value.advice)
    assert is_empty(world)


def test_what_fails_is_kept_if_that_is_wanted(world: World) -> None:
    world.cloud.error_on_boot("No valid host was found.")

    with pytest.raises(InstanceFailed):
        world.launch(wanted(), keeps=True)

    assert len(world.cloud.belongings().servers) == 1
    assert "kept what was made: stop_instance.py lab deletes it" in world.notes


def test_an_instance_that_existed_before_is_not_undone(world: World) -> None:
    world.launch(wanted())
    world.around.ready_after_looks = None

    with pytest.raises(InstanceFailed):
        world.launch(wanted(), timeout_s=60)

    own = world.cloud.belongings()
    assert (len(own.servers), len(own.floating_addresses), len(own.security_groups)) == (1, 1, 1)


@pytest.mark.parametrize("operation", CHANGES)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "failure",
    [
        KeyboardInterrupt(),
        Refused("quota exceeded", code="quota_exceeded"),
        Unavailable("the cloud does not answer"),
    ],
    ids=["interrupted", "refused", "unavailable"],
)
def test_nothing_is_left_wherever_a_launch_ends(
    world: World, operation: str, moment: str, failure: BaseException
) -> None:
    world.cloud.fail(operation, with_=failure, moment=moment)  # type: ignore[arg-type] # one of two literals

    with pytest.raises(type(failure)):
        world.launch(wanted())

    assert is_empty(world)


@pytest.mark.parametrize("operation", ["server", "console", "belongings"])
def test_nothing_is_left_when_a_launch_is_interrupted_while_it_waits(world: World, operation: str) -> None:
    def interrupt(call: Call) -> None:
        if call.operation == operation and "create_server" in world.cloud.calls and interrupts:
            raise interrupts.pop()

    interrupts = [KeyboardInterrupt()]
    world.cloud.hooks.append(interrupt)

    with pytest.raises(KeyboardInterrupt):
        world.launch(wanted())

    assert is_empty(world)


def test_an_undo_that_cannot_be_done_says_what_is_left(world: World) -> None:
    world.cloud.fail("attach", with_=KeyboardInterrupt())
    world.cloud.fail("delete_server", with_=Unavailable("the cloud does not answer"))

    with pytest.raises(KeyboardInterrupt):
        world.launch(wanted())

    assert (
        "not everything was undone (the cloud does not answer): stop_instance.py lab deletes the rest"
        in world.notes
    )


def test_an_undo_leaves_what_others_have_made(world: World) -> None:
    world.cloud.add_foreign_server("lab")
    world.cloud.create_security_group("other", [], mark=Mark("other", "run"))
    world.cloud.fail("attach", with_=Refused("no"))

    with pytest.raises(Refused):
        world.launch(wanted())

    assert [group.name for group in world.cloud.belongings().security_groups] == ["other"]
    assert world.cloud.calls.count("delete_server") == 1


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

    assert is_empty(world)


def test_an_undo_waits_until_the_cloud_answers_again(world: World) -> None:
    world.cloud.fail("attach", with_=KeyboardInterrupt())
    down = Unavailable("503: try again", is_passing=True)
    for operation in ("delete_server", "delete_floating_address", "delete_security_group"):
        world.cloud.fail(operation, with_=down, times=4)

    with pytest.raises(KeyboardInterrupt):
        world.launch(wanted())

    assert is_empty(world)


def test_what_appears_after_an_interrupt_is_deleted_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a request never came, and the cloud shows what it made some seconds later."""
    monkeypatch.setattr("client.launcher.launch.secrets.token_hex", lambda _size: "f" * 16)
    appeared: list[str] = []

    def appear_late(call: Call) -> None:
        if (call.operation, call.moment) == ("create_server", "before"):
            if not world.cloud.belongings().servers and not appeared:
                appeared.append(str(world.time.now_s + 8))
                raise KeyboardInterrupt
        elif (
            call.operation == "belongings"
            and appeared
            and world.time.now_s > float(appeared[0])
            and len(appeared) == 1
        ):
            appeared.append("now")
            world.cloud.create_floating_address("network-2", mark=Mark("lab", "f" * 16))

    world.cloud.hooks.append(appear_late)

    with pytest.raises(KeyboardInterrupt):
        world.launch(wanted())

    assert len(appeared) == 2
    assert is_empty(world)


def test_an_unexpected_error_is_undone_as_well(world: World) -> None:
    world.cloud.fail("attach", with_=ValueError("nobody thought of this"))
    world.cloud.fail("delete_floating_address", with_=ValueError("nor of this"))

    with pytest.raises(ValueError, match="nobody thought of this"):
        world.launch(wanted())

    assert "not everything was undone (nor of this): stop_instance.py lab deletes the rest" in world.notes


def test_who_does_not_listen_keeps_nothing_from_being_undone(world: World) -> None:
    def closed(_said: object) -> None:
        raise BrokenPipeError

    world.cloud.error_on_boot("No valid host was found.")
    report = TimedReport(lambda: 0.0, show=closed, note=closed, warn=closed)

    with pytest.raises(InstanceFailed):
        launch(wanted(), replace(world.tools(), report=report), keeps=False)

    assert is_empty(world)


def test_an_overtaken_run_leaves_what_the_other_one_has_found(world: World) -> None:
    """A makes an address and a group, B finds both and is quicker with the server, A finds B's."""
    other: list[str] = []

    def overtake(call: Call) -> None:
        if (call.operation, call.moment) == ("create_server", "before") and not other:
            other.append("begun")
            other.append(world.launch(wanted()).instance.address)

    world.cloud.hooks.append(overtake)

    launched = world.launch(wanted())

    own = world.cloud.belongings()
    assert launched.instance.address == other[1]
    assert [address.address for address in own.floating_addresses] == [other[1]]
    assert (len(own.servers), len(own.security_groups)) == (1, 1)


def test_a_floating_address_that_points_elsewhere_is_not_taken_for_ours(world: World) -> None:
    foreign = world.cloud.add_foreign_server("other")
    for _ in range(4):
        world.cloud.server(foreign.id)
    taken = world.cloud.create_floating_address("network-2", mark=Mark("lab", "before"))
    world.cloud.attach(taken.id, foreign.id)

    launched = world.launch(wanted())

    assert launched.instance.address != taken.address


@pytest.mark.parametrize("status", ["PAUSED", "SUSPENDED", "SHELVED_OFFLOADED", "RESCUE", "VERIFY_RESIZE"])
def test_an_instance_that_cannot_go_on_is_refused_at_once(world: World, status: str) -> None:
    instance = world.launch(wanted()).instance
    world.cloud.set_status(instance.server_id, status)

    with pytest.raises(Refused) as refusal:
        world.launch(wanted())

    assert f"got one in {status}" in str(refusal.value.faults[0])


def test_a_login_that_is_none_is_not_believed(world: World) -> None:
    world.cloud.script = (*CONSOLE[:3], "celeriac: login -oProxyCommand=reboot", *CONSOLE[4:])

    assert world.launch(wanted()).instance.login == ""
