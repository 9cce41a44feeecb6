"""Undoing: nothing is left, wherever a launch ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.errors import InstanceFailed, Refused, Unavailable
from client.launcher.cloud import Mark
from client.launcher.doing.launch import launch
from client.launcher.doing.report import TimedReport
from testing.fake_cloud import Call
from testing.launching import World, wanted

CHANGES = (
    "create_floating_address",
    "create_security_group",
    "create_server",
    "attach",
)


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

    assert world.is_empty


@pytest.mark.parametrize("operation", ["server", "console", "belongings"])
def test_nothing_is_left_when_a_launch_is_interrupted_while_it_waits(world: World, operation: str) -> None:
    def interrupt(call: Call) -> None:
        if call.operation == operation and "create_server" in world.cloud.calls and interrupts:
            raise interrupts.pop()

    interrupts = [KeyboardInterrupt()]
    world.cloud.hooks.append(interrupt)

    with pytest.raises(KeyboardInterrupt):
        world.launch(wanted())

    assert world.is_empty


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


def test_an_undo_waits_until_the_cloud_answers_again(world: World) -> None:
    world.cloud.fail("attach", with_=KeyboardInterrupt())
    down = Unavailable("503: try again", is_passing=True)
    for operation in ("delete_server", "delete_floating_address", "delete_security_group"):
        world.cloud.fail(operation, with_=down, times=4)

    with pytest.raises(KeyboardInterrupt):
        world.launch(wanted())

    assert world.is_empty


def test_what_appears_after_an_interrupt_is_deleted_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a request never came, and the cloud shows what it made some seconds later."""
    monkeypatch.setattr("client.launcher.doing.launch.secrets.token_hex", lambda _size: "f" * 16)
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
    assert world.is_empty


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
        launch(wanted(), replace(world.tools(), report=report))

    assert world.is_empty
