"""The cloud in memory, which the tests of the launcher use, keeps the contract of clouds."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.services.fake_cloud import FakeCloud

pytest.register_assert_rewrite("tests.contract.cloud_contract", "tests.contract.cloud_place")

from tests.contract.cloud_contract import CloudContract  # noqa: E402  (asserts are rewritten on import)

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
