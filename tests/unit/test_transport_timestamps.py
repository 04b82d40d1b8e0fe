"""When a datagram came, as the engines made of sockets tell it."""

from __future__ import annotations

import time

import pytest
from transport_pairs import SOCKET_ENGINES, Pair, receive

MEDIA, CHANNEL = 1, 2
COUNT = 20


@pytest.fixture(params=SOCKET_ENGINES)
def pair(request, tmp_path):
    made = Pair(request.param, "IPv4", tmp_path)
    yield made
    made.close()


def exchange(pair, timestamps):
    """Datagrams that came, and the time before and after (epoch ns)."""
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host, timestamps=timestamps)
    before_ns = time.time_ns()
    assert pair.sender.send_run(x, pair.receiver.local(y), bytes(100 * COUNT), 100, COUNT) == COUNT
    pair.sender.flush()
    return receive(pair.receiver, COUNT), before_ns, time.time_ns()


def test_nothing_is_taken_unasked(pair):
    got, _before, _after = exchange(pair, 0)
    assert {(d.receive_timestamp_ns, d.channel_timestamp_ns) for d in got} == {(0, 0)}


@pytest.mark.parametrize("asked", [MEDIA, CHANNEL, MEDIA | CHANNEL])
def test_the_times_asked_for_are_taken_of_each_datagram(pair, asked):
    got, before_ns, after_ns = exchange(pair, asked)
    assert [(d.data, d.source) for d in got] == [(bytes(100), got[0].source)] * COUNT
    for datagram in got:
        media_ns, channel_ns = datagram.receive_timestamp_ns, datagram.channel_timestamp_ns
        assert bool(media_ns) == bool(asked & MEDIA)
        assert bool(channel_ns) == bool(asked & CHANNEL)
        times = [before_ns, *filter(None, (media_ns, channel_ns)), after_ns]
        assert times == sorted(times)
    for name in ("receive_timestamp_ns", "channel_timestamp_ns"):
        series = [getattr(datagram, name) for datagram in got]
        assert series == sorted(series)
