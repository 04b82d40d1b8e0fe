"""What every transport engine must do alike, whatever network API is underneath."""

from __future__ import annotations

import errno
import os
import select
import socket

import pytest
from transport_pairs import ENGINES, SOCKET_ENGINES, Pair, payloads, receive

RCVBUF = 4 << 20


@pytest.fixture(params=["IPv4", "IPv6"])
def family(request):
    return request.param


@pytest.fixture
def make_pair(tmp_path):
    pairs = []

    def make(kind, family, **options):
        pairs.append(Pair(kind, family, tmp_path, **options))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.close()


@pytest.fixture(params=ENGINES)
def pair(request, family, make_pair):
    return make_pair(request.param, family)


@pytest.fixture(params=SOCKET_ENGINES)
def socket_kind(request):
    return request.param


def numbered(count, length):
    return b"".join(i.to_bytes(4, "big") * (length // 4) for i in range(count))


def test_run_arrives_in_order_with_a_shorter_last_one(pair):
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    data = numbered(5, 100)
    assert pair.sender.send_run(x, pair.receiver.local(y), data, 100, 5, 40) == 5
    assert pair.sender.flush() == 5
    got = receive(pair.receiver, 5)
    assert payloads(got) == [data[i * 100 : i * 100 + (100 if i < 4 else 40)] for i in range(5)]
    assert {d.source for d in got} == {pair.sender.local(x)}
    assert {(d.endpoint, d.is_truncated) for d in got} == {(y, False)}


def test_reply_goes_to_the_source_of_a_wildcard_endpoint(pair):
    x, y = pair.sender.open(pair.wildcard), pair.receiver.open(pair.wildcard)
    pair.sender.send_copy(x, (pair.host, pair.receiver.local(y)[1]), b"ping")
    pair.sender.flush()
    source = receive(pair.receiver, 1)[0].source
    assert source == (pair.host, pair.sender.local(x)[1])
    pair.receiver.send_copy(y, source, b"pong")
    pair.receiver.flush()
    assert payloads(receive(pair.sender, 1)) == [b"pong"]


@pytest.mark.parametrize("length", [0, 1, 31, 32, 1408, 2048, 2049, 8900, 65504])
def test_lengths(pair, length):
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    data = os.urandom(length)
    assert pair.sender.send_run(x, pair.receiver.local(y), data, length, 1) == 1
    assert pair.sender.send_copy(x, pair.receiver.local(y), data) == 1
    assert pair.sender.flush() == 2
    assert payloads(receive(pair.receiver, 2)) == [data, data]
    assert pair.sender.stats["bytes_sent"] == 2 * length
    assert pair.receiver.stats["bytes_received"] == 2 * length


def test_big_bursts_keep_their_order_across_runs_and_copies(pair):
    x = pair.sender.open(pair.host)
    y = pair.receiver.open(pair.host, socket_rcvbuf_length=RCVBUF)
    to = pair.receiver.local(y)
    expected = []
    for burst in range(4):
        for run in range(3):
            data = os.urandom(64 * 200)
            assert pair.sender.send_run(x, to, data, 200, 64) == 64
            expected += [data[i * 200 : i * 200 + 200] for i in range(64)]
            copied = b"copy %d %d" % (burst, run)
            assert pair.sender.send_copy(x, to, copied) == 1
            expected.append(copied)
        assert pair.sender.flush() == 195
        assert payloads(receive(pair.receiver, 195)) == expected
        expected.clear()
    assert pair.sender.stats["datagrams_sent"] == 4 * 195
    assert pair.receiver.stats["datagrams_received"] == 4 * 195


def test_full_queue_takes_part_of_a_run_then_nothing(make_pair, family):
    for kind in ENGINES:
        pair = make_pair(kind, family, tx_queue_count=8)
        x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
        to = pair.receiver.local(y)
        data = numbered(12, 40)
        assert pair.sender.send_copy(x, to, b"first") == 1
        assert pair.sender.send_run(x, to, data, 40, 12, 4) == 7
        assert pair.sender.send_run(x, to, data, 40, 1) == 0
        assert pair.sender.send_copy(x, to, b"no room") == 0
        assert pair.sender.flush() == 8
        assert pair.sender.send_run(x, to, data, 40, 5, 4, offset=7 * 40) == 5
        assert pair.sender.flush() == 5
        expected = [data[i * 40 : i * 40 + (40 if i < 11 else 4)] for i in range(12)]
        assert payloads(receive(pair.receiver, 13)) == [b"first", *expected]


def test_no_endpoint_starves(pair):
    x = pair.sender.open(pair.host)
    endpoints = [pair.receiver.open(pair.host, socket_rcvbuf_length=RCVBUF) for _ in range(4)]
    for y in endpoints[1:]:
        pair.sender.send_copy(x, pair.receiver.local(y), b"quiet")
    pair.sender.send_run(x, pair.receiver.local(endpoints[0]), bytes(120 * 64), 64, 120)
    assert pair.sender.flush() == 123
    first_polls = [receive(pair.receiver, 1, limit=4)]
    first_polls += [pair.receiver.poll(4) for _ in range(5)]
    seen = {datagram.endpoint for got in first_polls for datagram in got}
    assert seen >= set(endpoints[1:])


def test_one_poll_reads_every_endpoint(make_pair, socket_kind):
    pair = make_pair(socket_kind, "IPv4")
    x = pair.sender.open(pair.host)
    endpoints = [pair.receiver.open(pair.host) for _ in range(4)]
    for y in endpoints:
        pair.sender.send_run(x, pair.receiver.local(y), bytes(640), 64, 1 if y else 10)
    pair.sender.flush()
    for y in endpoints:
        assert select.select([pair.receiver.descriptor(y)], [], [], 20)[0]
    assert {d.endpoint for d in pair.receiver.poll(4)} == set(endpoints)


def test_many_endpoints(pair):
    x = pair.sender.open(pair.host)
    endpoints = [pair.receiver.open(pair.host) for _ in range(20)]
    for round_number in range(3):
        for y in endpoints:
            pair.sender.send_copy(x, pair.receiver.local(y), b"%d %d" % (round_number, y))
        assert pair.sender.flush() == 20
        got = receive(pair.receiver, 20, limit=7)
        assert {(d.endpoint, d.data) for d in got} == {
            (y, b"%d %d" % (round_number, y)) for y in endpoints
        }
        # The last takes the first one's place in the table: it must be found there.
        pair.receiver.close_endpoint(endpoints.pop(0))
        endpoints.append(pair.receiver.open(pair.host))


def test_idle_poll_of_many_endpoints_is_one_system_call(make_pair, socket_kind):
    pair = make_pair(socket_kind, "IPv4")
    for _ in range(20):
        pair.receiver.open(pair.host)
    before = pair.receiver.stats["system_calls"]
    assert pair.receiver.poll() == []
    assert pair.receiver.stats["system_calls"] == before + 1


def test_mmsg_moves_a_burst_in_one_system_call(make_pair):
    pair = make_pair("mmsg", "IPv4", rx_burst_count=64)
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    to = pair.receiver.local(y)
    pair.sender.send_run(x, to, bytes(60 * 32), 32, 60)
    pair.sender.send_copy(x, to, b"heartbeat")
    assert pair.sender.flush() == 61
    assert pair.sender.stats["system_calls"] == 1
    receive(pair.receiver, 61)
    assert pair.receiver.stats["system_calls"] < 20


def test_forgotten_memory_is_not_sent(pair):
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    to = pair.receiver.local(y)
    gone, stays = b"g" * 400, b"s" * 200
    pair.sender.send_copy(x, to, b"before")
    pair.sender.send_run(x, to, gone, 100, 4)
    pair.sender.send_run(x, to, stays, 100, 2)
    pair.sender.forget(gone)
    assert pair.sender.flush() == 3
    assert payloads(receive(pair.receiver, 3)) == [b"before", stays[:100], stays[:100]]


def test_forgetting_a_part_keeps_the_datagrams_outside(pair):
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    to = pair.receiver.local(y)
    data = numbered(4, 100)
    pair.sender.send_run(x, to, data, 100, 4)
    pair.sender.forget(data, offset=200)
    pair.sender.send_run(x, to, data, 100, 4)
    pair.sender.forget(data, offset=0, length=150)
    assert pair.sender.flush() == 2
    assert payloads(receive(pair.receiver, 2)) == [data[200:300], data[300:400]]


def test_removed_endpoint_sends_nothing_and_others_go_on(pair):
    x, z, y = (
        pair.sender.open(pair.host),
        pair.sender.open(pair.host),
        pair.receiver.open(pair.host),
    )
    to = pair.receiver.local(y)
    pair.sender.send_copy(x, to, b"removed")
    pair.sender.send_copy(z, to, b"stays")
    pair.sender.remove(x)
    assert pair.sender.flush() == 1
    assert payloads(receive(pair.receiver, 1)) == [b"stays"]
    pair.sender.add(x)
    pair.sender.send_copy(x, to, b"again")
    assert pair.sender.flush() == 1
    assert payloads(receive(pair.receiver, 1)) == [b"again"]


def test_close_and_reopen_the_same_port(pair):
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    to = pair.receiver.local(y)
    pair.sender.send_copy(x, to, b"lost with its endpoint")
    pair.sender.flush()
    pair.receiver.close_endpoint(y)
    again = pair.receiver.open(*to)
    assert pair.receiver.local(again) == to
    pair.sender.send_copy(x, to, b"for the new one")
    pair.sender.flush()
    assert [(d.data, d.endpoint) for d in receive(pair.receiver, 1)] == [
        (b"for the new one", again)
    ]


def test_bind_conflict_and_foreign_address(pair):
    y = pair.receiver.open(pair.host)
    for driver in (pair.receiver, pair.sender):
        with pytest.raises(OSError, match="open") as caught:
            driver.open(*pair.receiver.local(y))
        assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(OSError, match="open") as caught:
        pair.receiver.open("203.0.113.9" if pair.family == "IPv4" else "2001:db8::9")
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_closed_port_does_not_stop_others(pair):
    y, closed = pair.receiver.open(pair.host), pair.receiver.open(pair.host)
    nobody = pair.receiver.local(closed)
    pair.receiver.close_endpoint(closed)
    x = pair.sender.open(pair.host)
    connected = pair.sender.open(pair.host, connect_to=nobody)
    for i in range(5):
        pair.sender.send_copy(x, nobody, b"nobody")
        pair.sender.send_copy(connected, None, b"nobody")
        pair.sender.send_copy(x, pair.receiver.local(y), b"somebody %d" % i)
        pair.sender.flush()
        pair.sender.poll()
    assert payloads(receive(pair.receiver, 5)) == [b"somebody %d" % i for i in range(5)]
    # Once somebody is there the connected endpoint reaches it: no error sticks, none blocks.
    back = pair.receiver.open(*nobody)
    pair.sender.poll()
    pair.sender.send_copy(connected, None, b"at last")
    pair.sender.flush()
    got = receive(pair.receiver, 1)
    assert [(d.data, d.endpoint) for d in got] == [(b"at last", back)]


def test_an_answer_to_an_earlier_datagram_costs_no_later_one(make_pair, socket_kind):
    pair = make_pair(socket_kind, "IPv4")
    nobody = pair.receiver.local(closed := pair.receiver.open(pair.host))
    pair.receiver.close_endpoint(closed)
    x = pair.sender.open(pair.host, connect_to=nobody)
    pair.sender.send_copy(x, None, b"nobody")
    pair.sender.flush()
    # The refusal waits at the socket, and the next call gets it instead of its own result.
    select.select([pair.sender.descriptor(x)], [], [], 20)
    pair.receiver.open(*nobody)
    pair.sender.send_copy(x, None, b"somebody")
    assert pair.sender.flush() == 1
    assert payloads(receive(pair.receiver, 1)) == [b"somebody"]
    assert pair.sender.stats["tx_errors"] == 1
    assert pair.sender.stats["last_errno"] == errno.ECONNREFUSED


def test_connected_endpoint_hears_its_peer_only(pair):
    peer, stranger = pair.sender.open(pair.host), pair.sender.open(pair.host)
    y = pair.receiver.open(pair.host, connect_to=pair.sender.local(peer))
    to = pair.receiver.local(y)
    pair.sender.send_copy(stranger, to, b"stranger")
    pair.sender.send_copy(peer, to, b"peer")
    pair.sender.flush()
    assert payloads(receive(pair.receiver, 1)) == [b"peer"]
    assert pair.receiver.poll() == []


def test_a_full_socket_keeps_its_datagrams_in_order(make_pair, socket_kind):
    pair = make_pair(socket_kind, "IPv4")
    y = pair.receiver.open(pair.host)
    other = pair.sender.open(pair.host)
    x = pair.sender.open(pair.host, connect_to=pair.receiver.local(y))
    # A local datagram socket in its place really fills up, which loopback UDP never does.
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        near.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        os.dup2(near.fileno(), pair.sender.descriptor(x))
        data = numbered(60, 40)
        assert pair.sender.send_run(x, None, data, 40, 60) == 60
        pair.sender.send_copy(other, pair.receiver.local(y), b"not held up")
        pair.sender.send_copy(x, None, b"the last")
        sent = pair.sender.flush()
        assert 1 < sent < 60
        assert pair.sender.stats["short_sends"] == 1
        got = [far.recv(4096) for _ in range(sent - 1)]
        while len(got) < 61:
            sent = pair.sender.flush()
            assert sent > 0
            got += [far.recv(4096) for _ in range(sent)]
        assert got == [data[i * 40 : i * 40 + 40] for i in range(60)] + [b"the last"]
        assert pair.sender.flush() == 0
    assert pair.sender.stats["tx_errors"] == 0


def test_a_datagram_the_system_refuses_is_dropped_and_counted(make_pair, socket_kind):
    pair = make_pair(socket_kind, "IPv4")
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    to = pair.receiver.local(y)
    pair.sender.send_copy(x, to, b"one")
    pair.sender.send_copy(x, (pair.host, 0), b"port 0 cannot be sent to")
    pair.sender.send_copy(x, to, b"two")
    assert pair.sender.flush() == 2
    assert payloads(receive(pair.receiver, 2)) == [b"one", b"two"]
    assert pair.sender.stats["tx_errors"] == 1
    assert pair.sender.stats["last_errno"] == errno.EINVAL


def test_short_buffers_say_so(make_pair, socket_kind, family):
    pair = make_pair(socket_kind, family, rx_buffer_length_bytes=100)
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    for length in (99, 100, 101, 3000):
        pair.sender.send_copy(x, pair.receiver.local(y), bytes(length))
    pair.sender.flush()
    got = receive(pair.receiver, 4)
    assert [(len(d.data), d.is_truncated) for d in got] == [
        (99, False),
        (100, False),
        (100, True),
        (100, True),
    ]


def test_held_buffers_are_not_given_out_twice(make_pair, socket_kind):
    pair = make_pair(socket_kind, "IPv4", rx_burst_count=4)
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    pair.sender.send_run(x, pair.receiver.local(y), numbered(10, 8), 8, 10)
    pair.sender.flush()
    got = []
    while len(got) < 10:
        burst = pair.receiver.poll(64, release=False)
        assert len(burst) <= 4
        got += payloads(burst)
        pair.receiver.release()
    assert b"".join(got) == numbered(10, 8)


def test_buffer_lengths_are_reported_as_granted(pair):
    y = pair.receiver.open(pair.host, socket_sndbuf_length=100_000, socket_rcvbuf_length=120_000)
    sndbuf, rcvbuf = pair.receiver.buffer_lengths(y)
    assert sndbuf >= 100_000
    assert rcvbuf >= 120_000


def test_what_cannot_be_sent(pair):
    x, y = pair.sender.open(pair.host), pair.receiver.open(pair.host)
    to = pair.receiver.local(y)
    too_long = bytes(65508)
    for call, number in (
        (lambda: pair.sender.send_copy(x, None, b"where to?"), errno.EDESTADDRREQ),
        (lambda: pair.sender.send_run(x, None, b"where to?", 9, 1), errno.EDESTADDRREQ),
        (lambda: pair.sender.send_copy(x, to, too_long), errno.EMSGSIZE),
        (lambda: pair.sender.send_run(x, to, too_long, 65508, 1), errno.EMSGSIZE),
        (lambda: pair.sender.send_run(x, to, b"", 0, 0), errno.EINVAL),
        (lambda: pair.sender.send_run(x, to, b"", -1, 1), errno.EINVAL),
    ):
        with pytest.raises(OSError, match="send") as caught:
            call()
        assert caught.value.errno == number
    assert pair.sender.flush() == 0


# The IPv6 groups are interface-local (RFC 4291): they never leave the host, on any interface.
GROUPS = {"IPv4": ("224.20.30.41", "224.20.30.43"), "IPv6": ("ff11::4:41", "ff11::4:43")}


def open_members(pair, port, on_interface):
    group, other_group = GROUPS[pair.family]
    # The sender first: it fails on an interface without a multicast route.
    x = pair.sender.open(group, port, connect_to=(group, port), multicast_ttl=1, **on_interface)
    members = [
        pair.receiver.open(pair.wildcard, port, multicast_group=(group, port), **on_interface),
        pair.receiver.open(group, port, **on_interface),
    ]
    pair.receiver.open(other_group, port, **on_interface)
    return members, x


def test_multicast(pair):
    probe = pair.receiver.open(pair.host)
    port = pair.receiver.local(probe)[1]
    pair.receiver.close_endpoint(probe)
    interfaces = [{"multicast_interface": "127.0.0.1"}]
    if pair.family == "IPv6":
        interfaces = [{"multicast_interface_index": index} for index, _ in socket.if_nameindex()]
    why = None
    for on_interface in interfaces:
        try:
            members, x = open_members(pair, port, on_interface)
            break
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENETUNREACH):
                raise
            why = error
    else:
        pytest.skip(f"no interface carries {pair.family} multicast: {why}")
    pair.sender.send_copy(x, None, b"to all")
    assert pair.sender.flush() == 1
    got = receive(pair.receiver, len(members), limit=1) + receive(pair.sender, 1)
    assert payloads(got) == [b"to all"] * 3
    assert {d.endpoint for d in got} >= set(members)
    assert pair.receiver.poll() == []


def test_nothing_leaks(make_pair, family):
    make_pair("mmsg", family).close()
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    for kind in ENGINES:
        pair = make_pair(kind, family)
        endpoints = [pair.receiver.open(pair.host) for _ in range(10)]
        with pytest.raises(OSError, match="in use"):
            pair.receiver.open(*pair.receiver.local(endpoints[0]))
        pair.receiver.wait_descriptor()
        x = pair.sender.open(pair.host, connect_to=pair.receiver.local(endpoints[3]))
        pair.sender.send_copy(x, None, bytes(5000))
        pair.close()
        assert pair.sender.handle.closed
        pair.sender.handle.close()
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
