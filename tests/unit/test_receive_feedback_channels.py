"""What a channel says of NAKs: their delay, and whether others are to be spared."""

from __future__ import annotations

import pytest
from conductor_kit import HOST, Asker, invoked_driver
from receive_frames import SESSION, STREAM, heartbeat, setup

from volans.testing.transport_kit import EngineDriver

PEER_HOST, PEER_PORT, PORT = "10.0.0.2", 30001, 40301
UNICAST = f"aeron:udp?endpoint={HOST}:{PORT}"
NAK = 2
GROUP_FLAG = 0x40
MAX_BACKOFF_MS = 60


def time_to_nak_ms(channel: str, *, seed: int = 1, flags: int = 0) -> int:
    """How long a driver waits before it asks for what a heartbeat says is missing."""
    with invoked_driver(
        seed,
        client_liveness_timeout_ns="10s",
        image_liveness_timeout_ns="10s",
        nak_multicast_max_backoff_ns=f"{MAX_BACKOFF_MS}ms",
    ) as driver:
        network_peer = EngineDriver(driver.network.engine(PEER_HOST))
        endpoint = network_peer.open(PEER_HOST, PEER_PORT)

        def send(data: bytes) -> None:
            network_peer.set_now_ns(driver.now_ms * 1_000_000)
            assert network_peer.send_copy(endpoint, (HOST, PORT), data) == 1
            network_peer.flush()

        def heard_a_nak() -> bool:
            network_peer.set_now_ns(driver.now_ms * 1_000_000)
            return any(frame.data[6] == NAK for frame in network_peer.poll(256))

        try:
            Asker(driver).subscription(channel, STREAM)
            send(setup(flags=flags))
            driver.pass_time(50)
            send(heartbeat(1024))
            for waited_ms in range(500):
                driver.step(1)
                if heard_a_nak():
                    return waited_ms
        finally:
            network_peer.close()
    raise AssertionError(f"no NAK in 500 ms on {channel}, session {SESSION}")


def test_a_lone_receiver_asks_at_once():
    assert time_to_nak_ms(UNICAST) <= 3


def test_the_channel_says_how_long_to_wait():
    assert 40 <= time_to_nak_ms(f"{UNICAST}|nak-delay=40ms") <= 45


@pytest.mark.parametrize(
    ("channel", "flags"),
    [(f"{UNICAST}|group=true", 0), (UNICAST, GROUP_FLAG)],
    ids=["the channel says so", "the publication says so"],
)
def test_members_of_a_group_wait_differently(channel, flags):
    waits = {time_to_nak_ms(channel, seed=seed, flags=flags) for seed in range(1, 7)}
    assert len(waits) > 2
    assert max(waits) <= MAX_BACKOFF_MS + 3


def test_who_is_said_to_be_alone_spares_nobody():
    waits = [
        time_to_nak_ms(f"{UNICAST}|group=false", seed=seed, flags=GROUP_FLAG)
        for seed in range(1, 4)
    ]
    assert max(waits) <= 3
