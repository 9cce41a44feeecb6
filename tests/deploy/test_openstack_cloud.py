"""The adapter on a real OpenStack keeps the contract of clouds, and says what is wrong with credentials."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from client.errors import InputError, Unavailable
from client.launcher.cloud import Mark
from client.launcher.openstack.cloud import OpenStackCloud, connect
from testing.openstack import ADMIN
from testing.openstack_project import KEYPAIR, openstack, project, shared_project

pytest.register_assert_rewrite("tests.contract.cloud_contract", "tests.contract.cloud_place")

from tests.contract.cloud_contract import CloudContract  # noqa: E402  (asserts are rewritten on import)
from tests.contract.cloud_place import booted, network, new_mark, refused  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from testing.openstack import OpenStack
    from testing.openstack_project import OpenStackProject

__all__ = ["openstack", "project", "shared_project"]


class ConnectWith(Protocol):
    """Connects to the project with other credentials."""

    def __call__(self, *, region: str = ..., **changes: Any) -> OpenStackCloud: ...


class OpenStackPlace:
    """A project of a real OpenStack, and its administrator."""

    keypair = KEYPAIR

    def __init__(self, project: OpenStackProject, cloud: OpenStackCloud) -> None:
        self.cloud, self.project = cloud, project

    def limits(self, **limits: int | None) -> AbstractContextManager[None]:
        return self.project.limits(**limits)

    def empty_pool(self) -> AbstractContextManager[str]:
        return self.project.empty_pool()

    def failing_boot(self) -> AbstractContextManager[str]:
        return self.project.failing_flavor()

    def add_foreign_server(self, name: str) -> str:
        """With half of a mark."""
        inventory = self.cloud.inventory()
        with self.project.as_user() as user:
            server = user.compute.create_server(
                name=name,
                image_id=inventory.images[0].id,
                flavor_id=next(each.id for each in inventory.flavors if each.name == "m1.tiny"),
                networks=[{"uuid": next(each.id for each in inventory.networks if not each.is_external)}],
                metadata={"celeriac-name": name},
            )
        return str(server.id)

    def add_foreign_group(self, name: str) -> str:
        """With a description that talks of a mark."""
        with self.project.as_user() as user:
            group = user.network.create_security_group(
                name=name, description="see celeriac-name=lab celeriac-run=1"
            )
        return str(group.id)

    def leftovers(self) -> list[str]:
        return self.project.leftovers()


@pytest.fixture
def cloud(project: OpenStackProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenStackCloud]:
    """The project, as a user connects to it."""
    with project.connect(monkeypatch) as cloud:
        yield cloud


@pytest.fixture
def place(project: OpenStackProject, cloud: OpenStackCloud) -> OpenStackPlace:
    return OpenStackPlace(project, cloud)


class TestOpenStackCloud(CloudContract):
    """With the fixture `place` of this module."""


@pytest.fixture
def connect_with(project: OpenStackProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[ConnectWith]:
    """Connect to the project with other credentials in the clouds.yaml that the environment names."""
    path = project.config.with_name("other.yaml")
    opened = []

    def connect_with(*, region: str = "RegionOne", **changes: Any) -> OpenStackCloud:
        project.write_config(path, region=region, **changes)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
        opened.append(connect("rig"))
        return opened[-1]

    yield connect_with
    for cloud in opened:
        cloud.close()


def test_a_wrong_password_is_refused_and_not_repeated(connect_with: ConnectWith) -> None:
    with refused("unauthorized") as refusal:
        connect_with(password="not-the-password").inventory()

    assert "not-the-password" not in str(refusal.value)


def test_an_application_credential_opens_the_project(
    project: OpenStackProject, connect_with: ConnectWith
) -> None:
    with project.as_user() as user:
        made = user.identity.create_application_credential(user=user.current_user_id, name="launcher")
    nobody: dict[str, Any] = dict.fromkeys(
        ("username", "password", "project_name", "user_domain_name", "project_domain_name")
    )
    credential = {"application_credential_id": made.id, "application_credential_secret": made.secret}

    account = connect_with(kind="v3applicationcredential", **nobody, **credential).inventory().account

    assert (account.project, account.user) == (project.name, project.name)
    credential["application_credential_id"] = "gone"
    with refused("unauthorized"):
        connect_with(kind="v3applicationcredential", **nobody, **credential).inventory()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": "Nowhere"}, "region_name"),
        ({"project_name": None, "kind": "v3password", "unscoped": True}, "project_name"),
        ({"project_domain_name": None}, "domain"),
        ({"auth_url": "nonsense"}, "auth_url"),
    ],
)
def test_credentials_that_make_no_sense_are_told(
    connect_with: ConnectWith, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        connect_with(**changes).inventory()


def test_a_service_that_does_not_answer_is_told_from_wrong_credentials(connect_with: ConnectWith) -> None:
    cloud = connect_with(compute_endpoint_override="http://127.0.0.1:1/v2.1")

    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1.*refused") as failure:
        cloud.belongings()

    assert failure.value.is_passing


def test_an_interruption_right_after_a_creation_loses_nothing(
    project: OpenStackProject, place: OpenStackPlace
) -> None:
    class Interrupted(OpenStackCloud):
        def _tag(self, resource: Any, mark: Mark) -> None:
            raise KeyboardInterrupt

    mark, public = new_mark(), network(place, is_external=True)
    with project.as_user() as user:
        cloud = Interrupted(user)
        with pytest.raises(KeyboardInterrupt):
            cloud.create_floating_address(public.id, mark=mark)
        with pytest.raises(KeyboardInterrupt):
            cloud.create_security_group("web", [], mark=mark)

    found = place.cloud.belongings().of_run(mark.run)
    assert (len(found.floating_addresses), len(found.security_groups)) == (1, 1)


def test_people_may_filter_by_tags(project: OpenStackProject, place: OpenStackPlace) -> None:
    mark = new_mark()
    group = place.cloud.create_security_group("web", [], mark=mark)
    place.cloud.create_floating_address(network(place, is_external=True).id, mark=mark)
    server = booted(place, mark, security_group_id=group.id)

    tag = f"celeriac-name={mark.name}"
    with project.as_user() as user:
        assert [each.id for each in user.compute.servers(tags=tag)] == [server.id]
        assert [each.id for each in user.network.security_groups(tags=tag)] == [group.id]
        assert len(list(user.network.ips(tags=f"celeriac,{tag}"))) == 1


def test_the_server_has_a_config_drive_with_the_user_data(
    project: OpenStackProject, place: OpenStackPlace
) -> None:
    server = booted(place, new_mark(), user_data="#cloud-config\n# ü\n")

    with project.cloud.admin() as admin:
        found = admin.compute.get_server(server.id)
    assert found.has_config_drive == "True"
    assert gzip.decompress(base64.b64decode(found.user_data)).decode() == "#cloud-config\n# ü\n"


def test_an_administrator_is_shown_only_the_project_itself(
    place: OpenStackPlace, openstack: OpenStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = new_mark()
    place.cloud.create_security_group("web", [], mark=mark)
    place.cloud.create_floating_address(network(place, is_external=True).id, mark=mark)

    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(openstack.config))
    with connect(ADMIN) as admin:
        assert admin.belongings().of_name(mark.name).is_empty
        assert [each.name for each in admin.inventory().networks] == ["public"]


def test_nobody_but_the_marks_own_words_makes_a_mark(place: OpenStackPlace) -> None:
    with pytest.raises(ValueError, match="letters"):
        place.cloud.create_security_group("web", [], mark=Mark("two words", "1"))

    assert place.leftovers() == []
