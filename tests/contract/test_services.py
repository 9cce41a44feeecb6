"""The tests' own services start, survive what tests do to them, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from kombu import Connection

from testing.postgres import find_postgres, postgres_cluster
from testing.rabbitmq import find_rabbitmq, rabbitmq_node
from tests.conftest import must_have

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from testing.postgres import PostgresCluster
    from testing.rabbitmq import RabbitMQNode


def processes_that_mention(text: str) -> list[str]:
    """Command lines and environments of running processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in words:
            found.append(f"{process.name}: {words[:200]!r}")
    return found


def publish(url: str, queue: str) -> None:
    with (
        Connection(url, transport_options={"confirm_publish": True}) as connection,
        connection.SimpleQueue(queue) as out,
    ):
        out.put("kept", delivery_mode=2)


def messages_in(url: str, queue: str) -> int:
    with Connection(url) as connection, connection.SimpleQueue(queue) as work:
        return int(work.qsize())


def test_a_rabbitmq_node_keeps_its_messages_when_it_is_killed_and_forgets_them_when_wiped(
    rabbitmq: RabbitMQNode, vhost: str, broker_url: str
) -> None:
    publish(broker_url, "work")

    rabbitmq.kill()
    rabbitmq.start()
    assert messages_in(broker_url, "work") == 1

    rabbitmq.wipe(vhost)
    assert messages_in(broker_url, "work") == 0


def test_a_postgres_cluster_keeps_its_rows_when_it_is_killed(
    postgres: PostgresCluster, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    postgres.kill()
    postgres.start()

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_rabbitmq_node_leaves_nothing_behind() -> None:
    with rabbitmq_node(must_have(find_rabbitmq(), "RabbitMQ")) as node:
        assert processes_that_mention(str(node.directory))

    assert not node.directory.exists()
    assert processes_that_mention(str(node.directory)) == []


def test_a_postgres_cluster_leaves_nothing_behind() -> None:
    with postgres_cluster(must_have(find_postgres(), "PostgreSQL")) as cluster:
        assert processes_that_mention(str(cluster.directory))

    assert not cluster.directory.exists()
    assert processes_that_mention(str(cluster.directory)) == []


def test_chromium_opens_a_page(page: Page) -> None:
    page.set_content("<title>Celeriac</title>")

    assert page.title() == "Celeriac"
