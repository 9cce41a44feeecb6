"""Plans as golden files: what would be done for an instance, by what exists of it already."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from client.launcher.cloud import Belongings, FloatingAddress, Mark, Rule, SecurityGroup, Server
from client.launcher.deciding.labels import COMMIT, DOMAIN, PRODUCTION, ROLE, TAKES_PUSHES
from client.launcher.deciding.plan import Plan, make_plan
from client.launcher.deciding.preflight import preflight
from client.launcher.deciding.request import NONE, LaunchRequest
from client.launcher.machine.repository import IN_IMAGE, UPLOADED, Code
from client.launcher.machine.role import Role
from testing.fake_cloud import FakeCloud
from testing.fake_cloud_contents import PUBLIC_KEY

GOLDEN = Path(__file__).parent / "golden"
COMMIT_ID = "0123456789abcdef0123456789abcdef01234567"
FETCHED = Code(COMMIT_ID, "https://git.example/celeriac")
MARK = Mark("lab", "0f0f")
WANTED = LaunchRequest("lab", flavor="m1.small")

SERVER = Server(
    "server-7",
    "lab",
    "ACTIVE",
    "2026-01-02T00:00:00Z",
    metadata={COMMIT: COMMIT_ID},
    security_groups=("celeriac-lab",),
    mark=MARK,
)
ADDRESS = FloatingAddress("address-7", "203.0.113.7", "network-2", "server-7", MARK)
OPEN = frozenset({Rule(22, "198.51.100.7/32"), Rule(5100, "198.51.100.7/32")})
GROUP = SecurityGroup("group-7", "celeriac-lab", OPEN, MARK)
ALL = Belongings((SERVER,), (ADDRESS,), (GROUP,))
OWN = ("198.51.100.7/32",)


def plan(
    existing: Belongings = ALL,
    *,
    request: LaunchRequest = WANTED,
    code: Code = FETCHED,
    ranges: tuple[str, ...] = OWN,
) -> Plan:
    choices, faults = preflight(request, FakeCloud().inventory(), existing)
    assert not faults
    return make_plan(request, choices, existing, ranges=ranges, code=code, user_data="#cloud-config\n")


def server(**changes: object) -> Belongings:
    return replace(ALL, servers=(replace(SERVER, **changes),))  # type: ignore[arg-type]


DEVELOPMENT = replace(WANTED, flavor="m1.large", role=Role.DEVELOPMENT, production="lab")
NAMED = replace(WANTED, domain="celeriac.example.org")
HAS_NAME = {COMMIT: COMMIT_ID, DOMAIN: "celeriac.example.org"}
WITH_NAME = replace(
    server(metadata=HAS_NAME),
    security_groups=(
        replace(
            GROUP,
            rules=frozenset({Rule(22, *OWN), Rule(443, *OWN), Rule(80, "0.0.0.0/0")}),
        ),
    ),
)

PLANS = {
    "new": plan(Belongings(), ranges=()),
    "new-for-two-ranges": plan(Belongings(), ranges=("192.0.2.0/24", "2001:db8::/32")),
    "new-by-upload": plan(Belongings(), code=Code(COMMIT_ID, UPLOADED)),
    "new-to-be-baked": plan(Belongings(), request=replace(WANTED, baked_image="baked")),
    "new-to-be-baked-and-kept": plan(Belongings(), request=replace(WANTED, baked_image="baked", keeps=True)),
    "new-from-baked-image": plan(Belongings(), code=Code(COMMIT_ID, IN_IMAGE)),
    "new-without-floating-address": plan(Belongings(), request=replace(WANTED, floating_network=NONE)),
    "new-in-a-group-that-exists": plan(Belongings(), request=replace(WANTED, security_group="default")),
    "new-without-waiting": plan(Belongings(), request=replace(WANTED, waits=False)),
    "complete": plan(),
    "complete-of-another-commit": plan(code=Code("f" * 40, "https://git.example/celeriac")),
    "off": plan(server(status="SHUTOFF")),
    "without-address": plan(replace(ALL, floating_addresses=())),
    "address-points-nowhere": plan(replace(ALL, floating_addresses=(replace(ADDRESS, server_id=None),))),
    "without-group": plan(replace(server(security_groups=("default",)), security_groups=())),
    "only-leftovers": plan(Belongings((), (replace(ADDRESS, server_id=None),), (GROUP,))),
    "new-with-a-name": plan(Belongings(), request=NAMED, ranges=()),
    "new-with-a-name-in-a-group-that-exists": plan(
        Belongings(), request=replace(NAMED, security_group="default")
    ),
    "with-a-name-complete": plan(WITH_NAME),
    "with-a-name-of-another-group": plan(server(metadata=HAS_NAME), request=NAMED),
    "with-a-name-for-another-range": plan(WITH_NAME, ranges=("192.0.2.9/32",)),
    "with-another-name": plan(WITH_NAME, request=replace(NAMED, domain="other.example.org")),
    "without-the-name": plan(request=NAMED),
    "without-a-repository-for-models": plan(request=replace(WANTED, takes_pushes=True)),
    "with-other-keys-that-push": plan(
        server(metadata={COMMIT: COMMIT_ID, TAKES_PUSHES: "yes"}),
        request=replace(WANTED, takes_pushes=True, push_keys=(f"{PUBLIC_KEY} ben",)),
    ),
    "new-for-development": plan(Belongings(), request=DEVELOPMENT, ranges=()),
    "development-complete": plan(
        server(metadata={COMMIT: COMMIT_ID, ROLE: "development", PRODUCTION: "lab"}), request=DEVELOPMENT
    ),
    "from-elsewhere": plan(ranges=("192.0.2.9/32", *OWN)),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_is_as_its_golden_file_says(name: str) -> None:
    golden = GOLDEN / f"plan-{name}.txt"
    text = "".join(f"{line}\n" for line in (*map(str, PLANS[name].steps), *PLANS[name].notes))
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)

    assert text == golden.read_text()


def test_every_golden_plan_is_of_a_test() -> None:
    assert {path.stem for path in GOLDEN.glob("plan-*.txt")} == {f"plan-{name}" for name in PLANS}
