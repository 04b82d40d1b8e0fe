"""The capture wrapper's files, read back by an independent parser and by Wireshark's dissector."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from volans import transport
from volans.testing.transport_kit import EngineDriver
from volans.transport.capture import CaptureEngine
from volans.transport.simulated import SimulatedNetwork

EPOCH_NS = 1_700_000_000_000_000_000


def data_frame(session_id, payload):
    return (
        struct.pack("<iBBHiiiiq", 32 + len(payload), 0, 0xC0, 1, 0, session_id, 10, 5, 0) + payload
    )


def blocks(file):
    """(type, body) of every block; checks lengths and that both length fields agree."""
    data = file.read_bytes()
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        yield kind, data[at + 8 : at + length - 4]
        at += length
    assert at == len(data)


def packets(file):
    """(time in ns, packet bytes, original length, flags) of every packet."""
    for kind, body in blocks(file):
        if kind == 6:
            interface, high, low, captured, original = struct.unpack_from("<5I", body)
            assert interface == 0
            padded = (captured + 3) & ~3
            code, length, flags = struct.unpack_from("<HHI", body, 20 + padded)
            assert (code, length) == (2, 4)
            yield (high << 32) | low, body[20 : 20 + captured], original, flags


@pytest.fixture
def capture(tmp_path):
    """Two hosts; what 10.0.0.1 (or fd00::1) sends and receives is captured."""

    class Capture:
        path = tmp_path / "capture.pcapng"

        def __init__(self):
            self.network = SimulatedNetwork(1)

        def drivers(self, one="10.0.0.1", other="10.0.0.2", **options):
            handle = CaptureEngine(
                self.network.engine(one), self.path, epoch_offset_ns=EPOCH_NS, **options
            )
            return EngineDriver(handle), EngineDriver(self.network.engine(other))

    return Capture()


def exchange(near, far, hosts=("10.0.0.1", "10.0.0.2")):
    x, y = near.open(hosts[0]), far.open(hosts[1], 40123)
    near.set_now_ns(1_234_567_891)
    near.send_run(x, far.local(y), data_frame(7, b"abc") * 3, 35, 3)
    near.send_copy(x, far.local(y), data_frame(8, b""))
    near.flush()
    far.set_now_ns(2_000_000_000)
    got = far.poll()
    far.send_copy(y, got[0].source, data_frame(9, b"reply"))
    far.flush()
    near.set_now_ns(2_000_000_001)
    assert len(near.poll()) == 1
    return near.local(x), far.local(y)


@pytest.mark.parametrize("hosts", [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_packets_as_an_independent_parser_sees_them(capture, hosts):
    scapy = pytest.importorskip("scapy.layers.inet")
    scapy6 = pytest.importorskip("scapy.layers.inet6")
    near, far = capture.drivers(*hosts)
    with near, far:
        (_, near_port), (_, far_port) = exchange(near, far, hosts)
        assert near.handle.packet_count == 5
    found = list(packets(capture.path))
    assert [(when, flags) for when, _, _, flags in found] == [(EPOCH_NS + 1_234_567_891, 2)] * 4 + [
        (EPOCH_NS + 2_000_000_001, 1)
    ]
    layer = scapy.IP if "." in hosts[0] else scapy6.IPv6
    for i, (_, raw, original, _) in enumerate(found):
        packet = layer(raw)
        assert original == len(raw) == len(packet)
        ends = (packet.src, packet.sport, packet.dst, packet.dport)
        forth = (hosts[0], near_port, hosts[1], far_port)
        assert ends == (forth if i < 4 else forth[2:] + forth[:2])
        # Whoever computes the checksums anew finds the same ones.
        again = packet.copy()
        if layer is scapy.IP:
            del again.chksum
            assert layer(bytes(again)).chksum == packet.chksum
        else:
            del again[scapy.UDP].chksum
            assert layer(bytes(again))[scapy.UDP].chksum == packet[scapy.UDP].chksum
    assert [bytes(layer(raw)[scapy.UDP].payload) for _, raw, _, _ in found] == [
        *[data_frame(7, b"abc")] * 3,
        data_frame(8, b""),
        data_frame(9, b"reply"),
    ]


def test_wireshark_dissects_aeron(capture):
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    near, far = capture.drivers(interface_name="data path")
    with near, far:
        exchange(near, far)
    fields = [
        "frame.time_epoch",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "_ws.col.Protocol",
        "aeron.data.session_id",
        "aeron.data.stream_id",
    ]
    command = ["tshark", "-r", str(capture.path), "-d", "udp.port==40123,aeron", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[:4] for row in rows] == [
        ["1700000001.234567891", "data path", "0x00000002", "Aeron"]
    ] * 4 + [["1700000002.000000001", "data path", "0x00000001", "Aeron"]]
    assert [(int(row[4], 0), int(row[5], 0)) for row in rows] == [
        (7, 10),
        (7, 10),
        (7, 10),
        (8, 10),
        (9, 10),
    ]


def test_groups_and_connected_peers_have_their_addresses(capture):
    near, far = capture.drivers()
    with near, far:
        group = ("224.20.30.41", 24326)
        x = near.open(*group, connect_to=group)
        near.open(*group)
        near.send_copy(x, None, b"to the group")
        near.flush()
        assert len(near.poll()) == 2
    found = [raw for _, raw, _, _ in packets(capture.path)]
    assert len(found) == 3
    for raw in found:
        assert raw[16:20] == bytes([224, 20, 30, 41])
        assert raw[22:24] == (24326).to_bytes(2, "big")


@pytest.mark.parametrize(("direction", "flags"), [("rx", [1]), ("tx", [2] * 4)])
def test_one_direction(capture, direction, flags):
    near, far = capture.drivers(direction=direction)
    with near, far:
        exchange(near, far)
    assert [packet[3] for packet in packets(capture.path)] == flags


def test_snap_length_cuts_but_tells_the_whole_length(capture):
    near, far = capture.drivers(snap_length_bytes=33)
    with near, far:
        exchange(near, far)
    for _, raw, original, _ in packets(capture.path):
        assert len(raw) <= 28 + 33
        assert original == 20 + int.from_bytes(raw[24:26], "big")


def test_large_captures_are_written_as_they_grow(capture):
    near, far = capture.drivers()
    with near, far:
        x, y = near.open("10.0.0.1"), far.open("10.0.0.2")
        data = bytes(range(256)) * 250
        for length in (64_000, 63_999, 63_998, 63_997, 1, 0) * 5:
            near.send_run(x, far.local(y), data, length, 1)
            near.flush()
            assert len(far.poll()) == 1
        assert capture.path.stat().st_size > 1_000_000
        near.handle.flush()
        assert len(list(packets(capture.path))) == 30
    lengths = [len(raw) - 28 for _, raw, _, _ in packets(capture.path)]
    assert lengths == [64_000, 63_999, 63_998, 63_997, 1, 0] * 5


def test_a_full_disk_ends_the_capture_and_not_the_traffic():
    with (
        EngineDriver(
            CaptureEngine(transport.create("sockets", role="sender"), "/dev/full")
        ) as sender,
        EngineDriver(transport.create("sockets", role="receiver")) as receiver,
    ):
        x, y = sender.open("127.0.0.1"), receiver.open("127.0.0.1")
        sender.handle.flush()
        assert sender.handle.error == 28
        sender.send_copy(x, receiver.local(y), b"goes on")
        assert sender.flush() == 1
        assert sender.handle.packet_count == 0
