"""The cloud in memory, which the tests of the launcher use, keeps the contract of clouds."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from client.errors import Unavailable
from testing.fake_cloud import Call, FakeCloud

pytest.register_assert_rewrite("tests.contract.cloud_contract", "tests.contract.cloud_place")

from tests.contract.cloud_contract import CloudContract  # noqa: E402  (asserts are rewritten on import)
from tests.contract.cloud_place import new_mark, request  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakePlace:
    """A cloud in memory, and its administrator."""

    keypair = "laptop"

    def __init__(self) -> None:
        self.cloud = FakeCloud()

    @contextlib.contextmanager
    def limits(self, **limits: int | None) -> Iterator[None]:
        before = self.cloud.quota
        self.cloud.quota = replace(before, **limits)
        yield
        self.cloud.quota = before

    @contextlib.contextmanager
    def empty_pool(self) -> Iterator[str]:
        pool, self.cloud.pool = self.cloud.pool, []
        yield "public"
        self.cloud.pool = pool

    @contextlib.contextmanager
    def failing_boot(self) -> Iterator[str]:
        self.cloud.error_on_boot("No valid host was found.")
        yield "m1.large"
        self.cloud.error_on_boot(None)

    def add_foreign_server(self, name: str) -> str:
        return self.cloud.add_foreign_server(name).id

    def add_foreign_group(self, name: str) -> str:
        return self.cloud.add_foreign_group(name).id

    def leftovers(self) -> list[str]:
        return self.cloud.leftovers


class TestFakeCloud(CloudContract):
    @pytest.fixture
    def place(self) -> FakePlace:
        return FakePlace()


def ids_of_groups(cloud: FakeCloud) -> list[str]:
    return [each.id for each in cloud.belongings().security_groups]


def test_a_call_fails_when_it_is_told_to() -> None:
    cloud, mark = FakeCloud(), new_mark()
    cloud.fail("create_security_group", with_=Unavailable("busy"), on_call=2, times=2)
    made = [cloud.create_security_group("first", [], mark=mark).id]

    for _ in range(2):
        with pytest.raises(Unavailable, match="busy"):
            cloud.create_security_group("second", [], mark=mark)
    made.append(cloud.create_security_group("third", [], mark=mark).id)

    assert ids_of_groups(cloud) == made


@pytest.mark.parametrize(("moment", "count"), [("before", 0), ("after", 1)])
def test_a_call_is_interrupted_before_or_after_its_effect(moment: str, count: int) -> None:
    cloud = FakeCloud()

    def interrupt(call: Call) -> None:
        if (call.operation, call.moment) == ("create_security_group", moment):
            raise KeyboardInterrupt

    cloud.hooks.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        cloud.create_security_group("web", [], mark=new_mark())

    assert len(ids_of_groups(cloud)) == count


def test_servers_change_with_each_look_and_only_then() -> None:
    place = FakePlace()
    place.cloud = FakeCloud(ready_after=4, gone_after=2, script=["one", "two", "three"], lines_per_look=2)

    made = place.cloud.create_server(request(place, new_mark()))
    assert place.cloud.belongings().servers == (made,)

    looks = [place.cloud.server(made.id) for _ in range(4)]
    assert [(each.status, each.task) for each in looks if each] == [
        ("BUILD", "scheduling"),
        ("BUILD", "networking"),
        ("BUILD", "spawning"),
        ("ACTIVE", None),
    ]
    assert [place.cloud.console(made.id) for _ in range(2)] == ["one\ntwo\n", "one\ntwo\nthree\n"]
    place.cloud.delete_server(made.id)
    assert [place.cloud.server(made.id) is None for _ in range(3)] == [False, False, True]


def test_many_threads_may_use_it_at_once() -> None:
    cloud = FakeCloud(pool=[f"203.0.113.{last}" for last in range(40)])
    cloud.quota = replace(cloud.quota, floating_addresses=None)
    public = cloud.networks[1].id

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: cloud.create_floating_address(public, mark=new_mark()), range(40)))

    assert len({each.address for each in made}) == len({each.id for each in made}) == 40
    assert cloud.calls.count("create_floating_address") == 40
