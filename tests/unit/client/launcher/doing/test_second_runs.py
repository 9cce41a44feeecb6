"""A second run with the same name: it adds what is missing, and never makes a second instance."""

from __future__ import annotations

import threading

import pytest

from client.errors import Refused
from client.launcher.cloud import Mark, Rule
from client.launcher.machine.repository import CodeRequest
from testing.fake_cloud import Call
from testing.launching import COMMIT as COMMIT_ID
from testing.launching import World, wanted


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


def test_a_second_run_knows_the_name_and_opens_what_was_closed(world: World) -> None:
    first = world.launch(wanted(domain="celeriac.example.org")).instance
    (group,) = world.cloud.belongings().security_groups
    world.cloud.close_port(group.id, Rule(80, "0.0.0.0/0"))

    again = world.launch(wanted()).instance

    assert (again.url, again.server_id) == ("https://celeriac.example.org", first.server_id)
    assert world.cloud.belongings().security_groups[0].rules == group.rules


def test_another_name_than_the_instance_has_is_told_of_and_changes_nothing(world: World) -> None:
    world.launch(wanted(domain="celeriac.example.org"))

    again = world.launch(wanted(domain="other.example.org")).instance

    assert again.url == "https://celeriac.example.org"
    assert [note for note in world.notes if "with celeriac.example.org, not other.example.org" in note]


def test_a_second_run_without_code_options_asks_for_the_code_that_is_there(world: World) -> None:
    world.launch(wanted())

    again = world.launch(wanted(code=CodeRequest()))

    assert again.prepared.code.commit == COMMIT_ID


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


@pytest.mark.parametrize("refused", ["delete_security_group", "delete_floating_address"])
def test_the_group_of_an_overtaken_run_goes_though_the_cloud_refuses_at_first(
    world: World, refused: str
) -> None:
    """A server that is gone leaves its port, and so its group in use, behind for a moment."""
    begun: list[str] = []

    def overtake(call: Call) -> None:
        if call.operation == "create_floating_address" and not begun:
            begun.append("begun")
            world.launch(wanted())
            world.cloud.fail(refused, with_=Refused("it is in use", code="conflict"), times=3)

    world.cloud.hooks.append(overtake)

    world.launch(wanted())

    own = world.cloud.belongings()
    assert (len(own.servers), len(own.security_groups)) == (1, 1)


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


def test_an_address_that_another_run_was_quicker_with_is_taken(world: World) -> None:
    """B was overtaken, finds A's server without an address, and points its own at it before A does."""
    quicker: list[str] = []

    def overtake(call: Call) -> None:
        if (call.operation, call.moment) == ("attach", "before") and not quicker:
            (server,) = world.cloud.belongings().servers
            address = world.cloud.create_floating_address("network-2", mark=Mark("lab", "quicker"))
            quicker.append(address.address)
            world.cloud.attach(address.id, server.id)

    world.cloud.hooks.append(overtake)

    launched = world.launch(wanted())

    own = world.cloud.belongings()
    assert launched.instance.address == quicker[0]
    assert [address.address for address in own.floating_addresses] == quicker
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
