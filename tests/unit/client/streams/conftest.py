"""A Kafka cluster for the client's commands about streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testing.kafka import MockKafka

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    running = MockKafka()
    yield running
    running.close()
