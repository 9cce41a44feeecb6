"""What the launcher may rely on in a cloud. The cloud in memory and the adapter on a real one pass the same tests."""

from __future__ import annotations

import base64
import random
from dataclasses import astuple

import pytest

from client.launcher.cloud import Rule
from testing.processes import wait_until
from tests.contract.cloud_place import (
    ANYWHERE,
    ANYWHERE_6,
    Place,
    booted,
    flavor,
    is_gone,
    network,
    new_mark,
    refused,
    request,
    settled,
)


def noise(characters: int) -> str:
    """A text that nothing makes much shorter."""
    return base64.b64encode(random.Random(1).randbytes(characters)).decode()[:characters]  # no secret


class CloudContract:
    """Whoever inherits these tests has a fixture `place` that is empty before each test."""

    def test_the_inventory_has_what_a_launch_chooses_from(self, place: Place) -> None:
        found = place.cloud.inventory()

        assert (
            found.account.project and found.account.project_id and found.account.user and found.account.host
        )
        assert [image.name for image in found.images if image.is_active] == ["debian-12"]
        flavors = {(each.name, each.cores, each.memory_mb, each.disk_gb) for each in found.flavors}
        assert flavors >= {("m1.tiny", 1, 512, 1), ("m1.small", 1, 1024, 10)}
        assert {each.name: each.is_external for each in found.networks} == {"private": False, "public": True}
        assert [each.name for each in found.keypairs] == [place.keypair]
        assert [each.name for each in found.security_groups] == ["default"]

    def test_the_inventory_says_how_much_is_left(self, place: Place) -> None:
        before = place.cloud.inventory().quota
        small, mark = flavor(place, "m1.small"), new_mark()

        place.cloud.create_security_group("web", [], mark=mark)
        place.cloud.create_floating_address(network(place, is_external=True).id, mark=mark)
        booted(place, mark, flavor_id=small.id)

        after = place.cloud.inventory().quota
        taken = [had - has for had, has in zip(astuple(before), astuple(after), strict=True)]
        assert taken == [1, small.cores, small.memory_mb, 1, 1]

    def test_what_has_no_limit_is_told_from_what_is_used_up(self, place: Place) -> None:
        with place.limits(instances=None, cores=0, floating_addresses=None, security_groups=0):
            quota = place.cloud.inventory().quota

        assert (quota.instances, quota.cores) == (None, 0)
        assert (quota.floating_addresses, quota.security_groups) == (None, 0)

    def test_a_security_group_is_found_by_its_mark_with_its_rules(self, place: Place) -> None:
        mark, rules = new_mark(), [Rule(22, "192.0.2.0/24"), Rule(5100, ANYWHERE), Rule(5100, ANYWHERE_6)]

        made = place.cloud.create_security_group("web", rules, mark=mark)

        assert (made.name, made.rules, made.mark) == ("web", frozenset(rules), mark)
        assert place.cloud.belongings().of_run(mark.run).security_groups == (made,)
        assert made in place.cloud.inventory().security_groups

    def test_groups_may_have_the_same_name(self, place: Place) -> None:
        made = {place.cloud.create_security_group("web", [], mark=new_mark()).id for _ in range(2)}

        assert {each.id for each in place.cloud.belongings().security_groups} == made

    def test_a_port_is_opened_once(self, place: Place) -> None:
        mark = new_mark()
        group = place.cloud.create_security_group("web", [Rule(22, ANYWHERE)], mark=mark)

        for source in (ANYWHERE, ANYWHERE, "2001:db8::/32"):
            place.cloud.open_port(group.id, Rule(5100, source))

        (found,) = place.cloud.belongings().security_groups
        assert found.rules == {Rule(22, ANYWHERE), Rule(5100, ANYWHERE), Rule(5100, "2001:db8::/32")}

    def test_a_rule_without_a_range_of_addresses_is_refused(self, place: Place) -> None:
        with refused("invalid"):
            place.cloud.create_security_group("web", [Rule(22, "everywhere")], mark=new_mark())

        assert place.leftovers() == []

    def test_a_floating_address_is_found_by_its_mark(self, place: Place) -> None:
        mark, public = new_mark(), network(place, is_external=True)

        made = place.cloud.create_floating_address(public.id, mark=mark)

        assert (made.network_id, made.server_id, made.mark) == (public.id, None, mark)
        assert made.address.count(".") == 3
        assert place.cloud.belongings().of_run(mark.run).floating_addresses == (made,)

    def test_a_server_comes_up_as_it_was_asked_for(self, place: Place) -> None:
        mark = new_mark()
        group = place.cloud.create_security_group("web", [], mark=mark)
        metadata, largest = {"commit": "0123abc", "port": "5100"}, noise(64_000)
        wanted = request(place, mark, security_group_id=group.id, metadata=metadata, user_data=largest)

        made = place.cloud.create_server(wanted)
        console = place.cloud.console(made.id)
        server = settled(place, made.id)

        assert (made.status, made.name, made.metadata, made.mark) == ("BUILD", mark.name, metadata, mark)
        assert isinstance(console, str), "whether it has a host already or not"
        assert (server.id, server.metadata, server.mark, server.fault) == (made.id, metadata, mark, None)
        assert server.created and len(server.addresses) == 1
        assert server.security_groups == ("web",)
        assert place.cloud.belongings().of_name(mark.name).servers == (server,)

    def test_the_console_has_an_end(self, place: Place) -> None:
        server = booted(place, new_mark())

        wait_until(lambda: place.cloud.console(server.id).count("\n") >= 2, what="something was written")

        assert (
            place.cloud.console(server.id, lines=1).strip() == place.cloud.console(server.id).splitlines()[-1]
        )

    def test_a_server_with_an_address_and_another_group(self, place: Place) -> None:
        mark = new_mark()
        groups = [place.cloud.create_security_group(name, [], mark=mark) for name in ("first", "second")]
        address = place.cloud.create_floating_address(network(place, is_external=True).id, mark=mark)
        server = booted(place, mark, security_group_id=groups[0].id)

        for _ in range(2):
            place.cloud.attach(address.id, server.id)
            place.cloud.add_security_group(server.id, groups[1].id)

        found = place.cloud.belongings().of_name(mark.name)
        assert [each.server_id for each in found.floating_addresses] == [server.id]
        assert [sorted(each.security_groups) for each in found.servers] == [["first", "second"]]

    def test_a_group_that_is_used_stays_until_the_server_is_gone(self, place: Place) -> None:
        mark = new_mark()
        group = place.cloud.create_security_group("web", [], mark=mark)
        server = booted(place, mark, security_group_id=group.id)

        with refused("conflict"):
            place.cloud.delete_security_group(group.id)
        place.cloud.delete_server(server.id)
        wait_until(lambda: is_gone(place, server.id), what="the server is gone")
        place.cloud.delete_security_group(group.id)

        assert place.leftovers() == []

    def test_a_deleted_server_leaves_its_address(self, place: Place) -> None:
        mark = new_mark()
        address = place.cloud.create_floating_address(network(place, is_external=True).id, mark=mark)
        server = booted(place, mark)
        place.cloud.attach(address.id, server.id)

        place.cloud.delete_server(server.id)

        assert place.cloud.belongings().servers == ()
        wait_until(lambda: is_gone(place, server.id), what="the server is gone")
        assert place.cloud.belongings().floating_addresses == (address,)

    def test_what_is_gone_can_be_deleted_again(self, place: Place) -> None:
        mark = new_mark()
        group = place.cloud.create_security_group("web", [], mark=mark)
        address = place.cloud.create_floating_address(network(place, is_external=True).id, mark=mark)
        server = booted(place, mark)
        place.cloud.delete_server(server.id)
        wait_until(lambda: is_gone(place, server.id), what="the server is gone")

        for _ in range(2):
            place.cloud.delete_server(server.id)
            place.cloud.delete_floating_address(address.id)
            place.cloud.delete_security_group(group.id)
            place.cloud.delete_image(server.id)

        assert place.cloud.belongings().is_empty and place.leftovers() == []
        assert place.cloud.server(server.id) is None and place.cloud.console(server.id) == ""
        assert place.cloud.image(server.id) is None

    def test_changes_to_what_is_gone_are_refused(self, place: Place) -> None:
        mark = new_mark()
        group = place.cloud.create_security_group("web", [], mark=mark)
        place.cloud.delete_security_group(group.id)

        with refused("not_found"):
            place.cloud.open_port(group.id, Rule(22, ANYWHERE))
        with refused("not_found"):
            place.cloud.start_server(group.id)
        with refused("not_found"):
            place.cloud.attach(group.id, group.id)
        with refused("not_found"):
            place.cloud.add_security_group(group.id, group.id)
        with refused("not_found"):
            place.cloud.create_image(group.id, "copy", properties={})

    def test_a_server_that_cannot_boot_says_why_and_takes_no_address(self, place: Place) -> None:
        mark = new_mark()
        address = place.cloud.create_floating_address(network(place, is_external=True).id, mark=mark)

        with place.failing_boot() as name:
            made = place.cloud.create_server(request(place, mark, flavor_id=flavor(place, name).id))
            server = settled(place, made.id, "ERROR")

        assert "No valid host" in (server.fault or "") and server.mark == mark
        assert place.cloud.console(made.id) == ""
        assert [each.status for each in place.cloud.belongings().servers] == ["ERROR"]
        with refused("conflict"):
            place.cloud.attach(address.id, made.id)
        place.cloud.delete_server(made.id)
        wait_until(lambda: is_gone(place, made.id), what="the server is gone")

    def test_a_server_goes_off_and_on(self, place: Place) -> None:
        server = booted(place, new_mark())

        with refused("conflict"):
            place.cloud.start_server(server.id)
        place.cloud.stop_server(server.id)
        settled(place, server.id, "SHUTOFF")
        place.cloud.start_server(server.id)

        assert settled(place, server.id).addresses == server.addresses

    def test_a_server_that_is_off_becomes_an_image(self, place: Place) -> None:
        server = booted(place, new_mark())
        place.cloud.stop_server(server.id)
        settled(place, server.id, "SHUTOFF")

        made = place.cloud.create_image(server.id, "celeriac-1", properties={"celeriac_commit": "0123abc"})

        assert (made.name, made.properties["celeriac_commit"]) == ("celeriac-1", "0123abc")
        found = place.cloud.image(made.id)
        assert found is not None and found.properties["celeriac_commit"] == "0123abc"
        assert made.id in [each.id for each in place.cloud.inventory().images]
        place.cloud.delete_image(made.id)
        assert place.cloud.image(made.id) is None

    @pytest.mark.parametrize("field", ["image_id", "flavor_id", "network_id", "keypair", "security_group_id"])
    def test_a_server_of_what_does_not_exist_is_refused(self, place: Place, field: str) -> None:
        nothing = "00000000-0000-4000-8000-000000000000"

        with refused("invalid"):
            place.cloud.create_server(request(place, new_mark(), **{field: nothing}))

        assert place.leftovers() == []

    def test_user_data_over_the_limit_is_refused(self, place: Place) -> None:
        too_much = noise(66_000)

        with refused("invalid"):
            place.cloud.create_server(request(place, new_mark(), user_data=too_much))

        assert place.leftovers() == []

    @pytest.mark.parametrize(("resource", "limit"), [("instances", 0), ("cores", 0), ("memory_mb", 511)])
    def test_a_server_over_the_quota_is_refused(self, place: Place, resource: str, limit: int) -> None:
        wanted = request(place, new_mark())

        with place.limits(**{resource: limit}), refused("quota_exceeded"):
            place.cloud.create_server(wanted)

        assert place.leftovers() == []

    def test_groups_and_addresses_over_the_quota_are_refused(self, place: Place) -> None:
        mark, public = new_mark(), network(place, is_external=True)

        with place.limits(floating_addresses=0, security_groups=1):
            with refused("quota_exceeded"):
                place.cloud.create_security_group("web", [], mark=mark)
            with refused("quota_exceeded"):
                place.cloud.create_floating_address(public.id, mark=mark)

        assert place.leftovers() == []

    def test_an_empty_pool_of_addresses_is_told_from_a_quota(self, place: Place) -> None:
        with place.empty_pool() as name:
            empty = next(each for each in place.cloud.inventory().networks if each.name == name)
            assert empty.is_external
            with refused("conflict"):
                place.cloud.create_floating_address(empty.id, mark=new_mark())

        assert place.leftovers() == []

    def test_an_address_of_a_network_that_has_none_is_refused(self, place: Place) -> None:
        with refused("invalid"):
            place.cloud.create_floating_address(network(place, is_external=False).id, mark=new_mark())

    def test_what_others_made_is_nobodys_belonging(self, place: Place) -> None:
        mark = new_mark()
        group_id = place.add_foreign_group("celeriac")
        server_id = place.add_foreign_server(mark.name)

        assert place.cloud.belongings().is_empty
        groups = {each.id: each.mark for each in place.cloud.inventory().security_groups}
        assert group_id in groups and set(groups.values()) == {None}
        server = place.cloud.server(server_id)
        assert server is not None and (server.name, server.mark) == (mark.name, None)
