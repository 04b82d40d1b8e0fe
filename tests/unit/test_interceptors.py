"""The official interceptors: what they lose, and how a driver's settings name them."""

from __future__ import annotations

import struct

import pytest

from volans.driver.config import DriverConfig
from volans.driver.interceptors import intercept
from volans.errors import ConfigError
from volans.testing.transport_kit import EngineDriver
from volans.transport.simulated import SimulatedNetwork

DATA, SM = 1, 3
LENGTH = 1024


def frame(term_offset: int, *, term_id: int = 7, session_id: int = 1, kind: int = DATA) -> bytes:
    header = struct.pack(
        "<iBBhiiiiq", LENGTH, 0, 0xC0, kind, term_offset, session_id, 1001, term_id, 0
    )
    return header.ljust(LENGTH, b"x")


def survivors(frames: list[bytes], **settings: str) -> list[bytes]:
    """What comes through a perfect network to an engine under the settings' interceptors."""
    config = DriverConfig.from_environment(directory="/nowhere", **settings)
    network = SimulatedNetwork(1)
    with (
        EngineDriver(intercept(config, network.engine())) as receiver,
        EngineDriver(network.engine()) as sender,
    ):
        x, y = sender.open("127.0.0.1"), receiver.open("127.0.0.1")
        got = []
        for each in frames:
            assert sender.send_copy(x, receiver.local(y), each) == 1
            sender.flush()
            while network.in_flight_count:
                got += [datagram.data for datagram in receiver.poll()]
        return got


def offsets(frames: list[bytes]) -> list[int]:
    return [struct.unpack_from("<i", each, 8)[0] for each in frames]


def test_fixed_loss_loses_each_frame_of_its_gap_once():
    stream = [frame(LENGTH * i) for i in range(8)]
    settings = {
        "incoming_interceptors": "fixed-loss",
        "fixed_loss_args": "term-id=7|term-offset=2048|length=1500",
    }
    assert offsets(survivors(stream, **settings)) == [0, 1024, 4096, 5120, 6144, 7168]
    # What is sent again gets through; other terms and sessions are judged by themselves.
    again = [*stream, frame(2048), frame(3072), frame(2048, term_id=8), frame(2048, session_id=2)]
    assert survivors(again, **settings)[6:] == again[8:11]


def test_multi_gap_loss_loses_a_gap_behind_each_multiple():
    stream = [frame(LENGTH * i) for i in range(24)]
    settings = {
        "incoming_interceptors": "multi-gap-loss",
        "multi_gap_loss_args": "term-id=7|gap-radix=8192|gap-length=2000|total-gaps=1",
    }
    got = offsets(survivors(stream, **settings))
    assert sorted(set(range(0, 24 * LENGTH, LENGTH)) - set(got)) == [8192, 9216]
    again = [*stream, frame(8192), frame(9216)]
    assert offsets(survivors(again, **settings))[-2:] == [8192, 9216]


def test_loss_takes_only_frames_of_the_types_in_its_mask():
    mixed = [frame(0, kind=DATA), frame(0, kind=SM)] * 50
    got = survivors(mixed, incoming_interceptors="loss", loss_args="rate=1|recv-msg-mask=2")
    assert got == [frame(0, kind=SM)] * 50
    got = survivors(mixed, incoming_interceptors="loss", loss_args="rate=1.0|recv-msg-mask=0xA")
    assert got == []
    got = survivors(mixed, incoming_interceptors="loss", loss_args="rate=0.5|seed=3")
    assert 20 < len(got) < 80


def test_interceptors_are_chained():
    stream = [frame(LENGTH * i) for i in range(8)]
    got = survivors(
        [*stream, frame(0, kind=SM)],
        incoming_interceptors="fixed-loss,loss",
        fixed_loss_args="term-id=7|term-offset=0|length=1",
        loss_args="rate=1|recv-msg-mask=8",
    )
    assert offsets(got) == offsets(stream[1:])


def test_outgoing_loss_loses_what_is_sent():
    config = DriverConfig.from_environment(
        directory="/nowhere", outgoing_interceptors="loss", loss_args="rate=1"
    )
    network = SimulatedNetwork(1)
    with (
        EngineDriver(intercept(config, network.engine())) as sender,
        EngineDriver(network.engine()) as receiver,
    ):
        x, y = sender.open("127.0.0.1"), receiver.open("127.0.0.1")
        assert sender.send_copy(x, receiver.local(y), frame(0)) == 1
        sender.flush()
        assert network.stats["offered"] == 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"incoming_interceptors": "gain"}, "INCOMING_INTERCEPTORS='gain'"),
        ({"outgoing_interceptors": "fixed-loss"}, "OUTGOING_INTERCEPTORS='fixed-loss'"),
        ({"incoming_interceptors": "loss", "loss_args": "rate=2"}, "rate=2"),
        ({"incoming_interceptors": "loss", "loss_args": "rates=0.2"}, "rates=0.2"),
        ({"incoming_interceptors": "loss", "loss_args": "rate=0.1|seed=x"}, "seed=x"),
        ({"incoming_interceptors": "loss", "loss_args": "rate=0.1|recv-msg-mask=xyz"}, "mask=xyz"),
        ({"incoming_interceptors": "fixed-loss"}, "term-id= is missing"),
        (
            {"incoming_interceptors": "fixed-loss", "fixed_loss_args": "term-id=1|term-offset=-4"},
            "term-offset=-4",
        ),
        (
            {"incoming_interceptors": "multi-gap-loss", "multi_gap_loss_args": "term-id=1"},
            "gap-radix= is missing",
        ),
    ],
)
def test_bad_settings_are_refused(settings, named):
    with pytest.raises(ConfigError) as caught:
        survivors([], **settings)
    assert named in str(caught.value)
