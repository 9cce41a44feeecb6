"""Names in the DNS that an instance can have."""

from __future__ import annotations

import pytest

from client.errors import InputError
from client.launcher.machine.domain import checked_domain

LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    "name",
    [
        "celeriac.example.org",
        "a.b",
        "xn--sellerie-n4a.example.org",
        "1.example.org",
        "lab-2.example.org",
        "lab.xn--p1ai",
        LONGEST,
    ],
)
def test_a_name_is_taken_as_it_is(name: str) -> None:
    assert checked_domain(name) == name


def test_large_letters_become_small() -> None:
    assert checked_domain("Celeriac.Example.ORG") == "celeriac.example.org"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "celeriac",
        "localhost",
        "celeriac.example.org.",
        ".example.org",
        "celeriac..org",
        "*.example.org",
        "https://celeriac.example.org",
        "celeriac.example.org:443",
        "celeriac.example.org/",
        "user@celeriac.example.org",
        "-lab.example.org",
        "lab-.example.org",
        "lab_1.example.org",
        "sellerie.bücher.example",
        "\u212aelvin.example.org",
        "celeriac.example.org\n",
        "celeriac example.org",
        "{env.HOME}.example.org",
        "203.0.113.7",
        "1.2",
        "2001:db8::7",
        f"{'a' * 64}.example.org",
        f"{LONGEST}a",
    ],
)
def test_what_is_no_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError) as refused:
        checked_domain(name)

    assert str(refused.value).startswith("--domain takes a name such as celeriac.example.org")
    assert "\n" not in str(refused.value)
