"""Who holds a stream's window is named in a counter, as long as it does."""

from __future__ import annotations

import json

import pytest
from bad_input import await_that, error_texts, free_port, run_driver, stream_id
from typer.testing import CliRunner

import volans
from volans.cli.main import app
from volans.protocol.counter_types import CounterType, describe

__all__ = ["stream_id"]


@pytest.fixture(scope="module")
def driver():
    with run_driver() as running:
        yield running
        assert error_texts(running.directory) == []


def slow_counters(client: volans.Client) -> list[int]:
    return client.counters.find_by_type(CounterType.SLOW_SUBSCRIBER)


@pytest.mark.parametrize("media", ["ipc", "udp", "spy"])
@pytest.mark.parametrize("end", ["catches up", "leaves"])
def test_the_slow_subscriber_is_named_and_only_it(driver, stream_id, media, end):
    udp = f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    channel = "aeron:ipc" if media == "ipc" else udp
    with (
        volans.connect(driver.directory, client_name="hare") as client,
        volans.connect(driver.directory, client_name="tortoise of port") as slow_client,
    ):
        publication = client.add_publication(channel, stream_id)
        fast = client.add_subscription(channel, stream_id)
        slow = slow_client.add_subscription(
            f"aeron-spy:{udp}" if media == "spy" else channel, stream_id
        )
        await_that(lambda: fast.is_connected and slow.is_connected)

        def publish() -> None:
            publication.offer(bytes(1000))
            fast.poll(lambda *_: None, 100)

        def is_named() -> bool:
            publish()
            return any(
                "name=tortoise of port pid=" in client.counters.label(id_)
                for id_ in slow_counters(client)
            )

        await_that(is_named)
        (counter_id,) = slow_counters(client)
        counters = client.counters
        assert describe(CounterType.SUBSCRIBER_POSITION, counters.key(counter_id)) == {
            "registration_id": slow.registration_id,
            "session_id": publication.session_id,
            "stream_id": stream_id,
            "channel": slow.channel,
        }
        assert counters.owner_id(counter_id) == slow_client.client_id
        assert f"client={slow_client.client_id} " in counters.label(counter_id)
        assert counters.value(counter_id) > 16 * 1024  # half of the window of a 64k term, IPC
        arguments = ["stat", "--once", "--json", "-d", str(driver.directory)]
        answer = CliRunner().invoke(app, [*arguments, "--type", "slow-subscriber"])
        (shown,) = json.loads(answer.stdout)["counters"]
        assert (shown["type"], shown["stream_id"]) == ("slow-subscriber", stream_id)
        streams = CliRunner().invoke(app, ["streams", "--json", "-d", str(driver.directory)])
        rows = json.loads(streams.stdout)["streams"]
        assert "slow-subscriber" in {row["name"] for row in rows}

        if end == "leaves":
            slow.close()
            await_that(lambda: publish() or not slow_counters(client))
        else:

            def has_caught_up() -> bool:
                slow.poll(lambda *_: None, 1000)
                fast.poll(lambda *_: None, 1000)
                return not slow_counters(client)

            await_that(has_caught_up)
