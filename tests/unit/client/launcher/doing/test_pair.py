"""An instance and a machine for development: launched side by side, and the one may push models to the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.errors import InstanceFailed, Refused, Unavailable
from client.launcher.cloud import Belongings, Rule
from client.launcher.deciding.labels import PRODUCTION, ROLE
from client.launcher.deciding.request import LaunchRequest, PairRequest
from client.launcher.doing.pair import HOST_KEY as HOST_KEY_FILE
from client.launcher.doing.pair import Pair, PairTools, launch_pair
from client.launcher.machine.role import Role
from testing.fake_cloud_contents import PUBLIC_KEY
from testing.launching import CONSOLE, HOST_KEY, World, wanted

PRODUCTION_REQUEST = wanted(takes_pushes=True)
DEVELOPMENT_REQUEST = wanted(
    "lab-development",
    flavor="m1.large",
    role=Role.DEVELOPMENT,
    production="lab",
    allow_from=("192.0.2.7/32",),
)
BOTH = PairRequest(PRODUCTION_REQUEST, DEVELOPMENT_REQUEST)
TELLS_KEY = (*CONSOLE[:-1], f"celeriac: push-key {PUBLIC_KEY}", CONSOLE[-1])


@pytest.fixture
def world(world: World) -> World:
    """Every console shows a key, and the host key of every machine can be read."""
    world.cloud.script = TELLS_KEY
    world.around.answers = {("cat", HOST_KEY_FILE): f"{HOST_KEY} root@lab\n"}
    return world


def launched(world: World, request: PairRequest = BOTH, *, timeout_s: float = 600) -> Pair:
    tools = world.tools(timeout_s=timeout_s)
    return launch_pair(request, PairTools(tools, tools))


def of(world: World, name: str) -> Belongings:
    return world.cloud.belongings().of_name(name)


def test_both_are_launched_and_the_one_may_push_to_the_other(world: World) -> None:
    pair = launched(world)

    production, development = pair.production.instance, pair.development.instance
    assert (production.name, development.name) == ("lab", "lab-development")
    assert development.push_key == PUBLIC_KEY
    (server,) = of(world, "lab-development").servers
    assert (server.metadata[ROLE], server.metadata[PRODUCTION]) == ("development", "lab")
    (own,) = of(world, "lab").servers[0].addresses
    assert world.around.executed == [
        (production.address, "sudo", "celeriac", "push-keys", "add", f"{PUBLIC_KEY} lab-development"),
        (production.address, "cat", HOST_KEY_FILE),
        (development.address, "sudo", "celeriac", "connect", f"{own} {production.address}", HOST_KEY),
    ]


def test_each_lets_in_who_has_to_come_in(world: World) -> None:
    pair = launched(world)

    (own,) = of(world, "lab-development").servers[0].addresses
    (production,), (development,) = (of(world, name).security_groups for name in ("lab", "lab-development"))
    from_development = {Rule(22, f"{own}/32"), Rule(22, f"{pair.development.instance.address}/32")}
    assert production.rules == from_development | {
        Rule(22, "198.51.100.7/32"),
        Rule(5100, "198.51.100.7/32"),
    }
    assert development.rules == {Rule(22, "192.0.2.7/32")}


def test_the_cloud_boots_one_while_the_other_is_made(world: World) -> None:
    launched(world)

    stages = [note for note in world.cloud.calls if note in {"create_server", "console"}]
    assert stages[:2] == ["create_server", "create_server"]


def test_a_second_run_makes_nothing_and_connects_again(world: World) -> None:
    launched(world)
    made = world.cloud.leftovers
    world.around.executed.clear()

    launched(world)

    assert world.cloud.leftovers == made
    assert world.around.executed[0][1:4] == ("sudo", "celeriac", "push-keys")


def test_what_was_launched_a_moment_ago_is_not_called_existing(world: World) -> None:
    launched(world)

    assert not [note for note in world.notes if "exists" in note]


@pytest.mark.parametrize("word", ["push-keys", "connect"])
def test_where_one_cannot_be_told_of_the_other_nothing_is_left(world: World, word: str) -> None:
    world.around.refusals = {word: Unavailable("ssh: Permission denied (publickey)")}

    with pytest.raises(Unavailable, match="Permission denied"):
        launched(world)

    assert world.is_empty


def test_an_ssh_that_fails_for_a_while_is_tried_again(world: World) -> None:
    tries: list[str] = []

    class Passing(dict[str, Exception]):
        def keys(self) -> set[str]:  # type: ignore[override]
            tries.append("tried")
            return {"connect"} if len(tries) < 6 else set()

    world.around.refusals = Passing(connect=Unavailable("ssh: timed out", is_passing=True))

    launched(world)

    assert world.around.executed[-1][3] == "connect"


def test_a_production_that_fails_takes_development_with_it(world: World) -> None:
    world.around.ready_after_looks = None

    with pytest.raises(InstanceFailed):
        launched(world, timeout_s=60)

    assert world.is_empty


def test_an_interrupted_launch_leaves_neither(world: World) -> None:
    world.around.refusals = {"connect": KeyboardInterrupt()}  # type: ignore[dict-item]

    with pytest.raises(KeyboardInterrupt):
        launched(world)

    assert world.is_empty


def test_what_shall_be_kept_is_kept(world: World) -> None:
    world.around.refusals = {"connect": Unavailable("no")}
    keeping = PairRequest(replace(BOTH.production, keeps=True), replace(BOTH.development, keeps=True))

    with pytest.raises(Unavailable):
        launched(world, keeping)

    assert world.cloud.belongings().names == ["lab", "lab-development"]


def test_a_console_without_a_key_is_told(world: World) -> None:
    world.cloud.script = CONSOLE

    with pytest.raises(InstanceFailed, match="the console of lab-development shows no key"):
        launched(world)

    assert world.is_empty


def test_faults_of_either_stop_both_before_anything_is_made(world: World) -> None:
    small = replace(DEVELOPMENT_REQUEST, flavor="m1.small")
    keyless = replace(PRODUCTION_REQUEST, keypair="gone")

    with pytest.raises(Refused, match="lab and lab-development cannot be launched") as refusal:
        launched(world, PairRequest(keyless, small))

    assert list(map(str, refusal.value.faults)) == [
        "lab keypair: expected one of laptop, got 'gone'",
        (
            "lab-development flavor: expected at least 3000 MB of memory and 10 GB of disk: m1.large, "
            "got m1.small with 1024 MB and 10 GB"
        ),
    ]
    assert not [call for call in world.cloud.calls if call.startswith("create")]


def test_a_cloud_that_refuses_to_tell_what_it_has_is_told_as_it_says(world: World) -> None:
    world.cloud.fail("inventory", with_=Refused("wrong password", code="unauthorized"))

    with pytest.raises(Refused, match="wrong password"):
        launched(world)


THERE = PairRequest(LaunchRequest("lab"), DEVELOPMENT_REQUEST, is_there=True)


def test_one_pushes_to_an_instance_that_is_there(world: World) -> None:
    world.launch(PRODUCTION_REQUEST)
    (server,) = of(world, "lab").servers

    pair = launched(world, THERE)

    assert pair.production.instance.server_id == server.id
    assert world.around.executed[-1][1:4] == ("sudo", "celeriac", "connect")


@pytest.mark.parametrize(
    ("takes_pushes", "says"),
    [(None, "there is no instance called lab to push models to"), (False, "lab takes no pushes of models")],
)
def test_nobody_is_launched_who_could_not_push(world: World, takes_pushes: bool | None, says: str) -> None:
    if takes_pushes is not None:
        world.launch(wanted(takes_pushes=takes_pushes))
    before = world.cloud.leftovers

    with pytest.raises(Refused, match=says):
        launched(world, THERE)

    assert world.cloud.leftovers == before


def test_an_instance_that_was_there_stays_when_development_fails(world: World) -> None:
    world.launch(PRODUCTION_REQUEST)
    before = world.cloud.leftovers
    world.around.refusals = {"connect": Unavailable("no")}

    with pytest.raises(Unavailable):
        launched(world, THERE)

    assert world.cloud.leftovers == before


def test_a_group_that_is_not_ours_is_not_changed_and_that_is_said(world: World) -> None:
    world.cloud.add_foreign_group("web")
    theirs = {"security_group": "web", "allow_from": ()}
    ours = PairRequest(replace(BOTH.production, **theirs), replace(BOTH.development, **theirs))  # type: ignore[arg-type]

    launched(world, ours)

    (web,) = [group for group in world.cloud.inventory().security_groups if group.name == "web"]
    assert web.rules == frozenset()
    assert [note for note in world.notes if "port 22 must be open to" in note]
