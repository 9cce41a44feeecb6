from __future__ import annotations

from typing import Any

import pytest
from kombu import Consumer

from production_server.broker.amqp_listener import Listener
from production_server.broker.app import create_celery
from production_server.errors import Unavailable
from production_server.settings import read_settings

NOBODY_LISTENS = "amqp://127.0.0.1:1"


def never(_channel: Any) -> Consumer:
    raise AssertionError("there is no channel")


def test_each_step_says_that_the_broker_does_not_answer_as_long_as_it_does_not() -> None:
    listener = Listener(create_celery(read_settings({"BROKER_URL": NOBODY_LISTENS})), never)

    for _ in range(2):
        with pytest.raises(Unavailable, match="the broker does not answer"):
            listener.step()

    listener.close()
