"""Whatever bytes or texts come in, only the typed errors come out.

Each sweep is seeded: a failure names the input. Hypothesis looks for the odd shapes, the plain
generators make the quantity.
"""

# ruff: noqa: PT017 - whether an error comes is open, what it says when it comes is not

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fuzz"))

import amount
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volans.driver.config import ConfigError, DriverConfig
from volans.driver.config_table import SETTINGS
from volans.driver.naming.address import SocketAddress
from volans.driver.naming.interfaces import InterfaceAddress
from volans.driver.naming.resolve import DefaultResolver
from volans.driver.udp_channel import UdpChannel
from volans.errors import CncFormatError, CncVersionError, DriverNotRunningError
from volans.protocol import commands, events, frames
from volans.protocol.channel_uri import PARAMETERS, ChannelUri, InvalidChannelError
from volans.protocol.cnc import CncFile, CncLayout, create_cnc
from volans.protocol.counter_types import describe

SWEEP = max(21_000, amount.inputs())
EXTREMES = [0, 1, 3, 4, 7, 8, 16, 24, 31, 32, 127, 255, 4096, 65535, 0x7FFFFFFF, -1, -(1 << 31)]


def hostile_bytes(rng: random.Random) -> bytes:
    """Bytes of small words, most of them lengths that could matter."""
    words = rng.randrange(0, 14)
    data = b"".join(
        rng.choice(EXTREMES).to_bytes(4, "little", signed=True)
        if rng.random() < 0.7
        else rng.randbytes(4)
        for _ in range(words)
    )
    return data + rng.randbytes(rng.randrange(0, 4))


def test_commands() -> None:
    rng = random.Random(1)
    decoded = 0
    for _ in range(SWEEP):
        data = hostile_bytes(rng)
        type_id = rng.choice([rng.randrange(0, 20), rng.choice(EXTREMES)])
        try:
            commands.decode_command(type_id, data)
            decoded += 1
        except (commands.MalformedCommandError, commands.UnknownCommandError) as error:
            assert (error.client_id is None) == (len(data) < 16)
    assert 0 < decoded < SWEEP


def test_events() -> None:
    rng = random.Random(2)
    decoded = 0
    for _ in range(SWEEP):
        data = hostile_bytes(rng)
        try:
            events.decode_event(rng.randrange(0x0F00, 0x0F10), data)
            decoded += 1
        except (events.MalformedEventError, events.UnknownEventError) as error:
            assert (error.correlation_id is None) == (len(data) < 8)
    assert 0 < decoded < SWEEP


def test_frames() -> None:
    rng = random.Random(3)
    decoded = 0
    for _ in range(SWEEP):
        length = rng.choice([*EXTREMES, rng.randrange(0, 64)])
        header = length.to_bytes(4, "little", signed=True) + bytes(
            [0 if rng.random() < 0.9 else 1, rng.randrange(256), rng.randrange(0, 14), 0]
        )
        try:
            decoded += len(list(frames.decode_datagram(header + hostile_bytes(rng))))
        except frames.FrameError:
            pass
    assert decoded > 100


FRAGMENTS = [
    *PARAMETERS,
    "aeron:udp?",
    "aeron:ipc?",
    "aeron-spy:",
    "=",
    "|",
    "=",
    "|",
    ",",
    ":",
    "tag:",
    "64k",
    "5s",
    "true",
    "-1",
    "99999999999999999999",
    "0x",
    "reserved",
    "prototype",
    "localhost:0",
    "[::1]:1",
    "224.0.0.1:5",
    "127.0.0.1/24",
    "{lo}",
    "é",
    "\udcff",
    "\0",
    " ",
    "%",
    "[",
    "]",
    "/",
]
SOUND_PAIRS = [
    "endpoint=localhost:1",
    "endpoint=224.0.0.1:5",
    "control=localhost:2",
    "control-mode=manual",
    "tags=1,2",
    "interface={lo}",
    "session-id=4",
    "mtu=8k",
    "term-length=64k",
    "linger=5s",
    "sparse=true",
    "fc=max",
    "ttl=4",
    "reliable=false",
    "so-rcvbuf=1m",
    "rcv-wnd=64k",
    "media-rcv-ts-offset=reserved",
    "alias=x",
]
LOOPBACK = SocketAddress(socket.AF_INET, "127.0.0.1", 0)
RESOLVER = DefaultResolver(
    lambda host, family: LOOPBACK if host == "localhost" else None,
    lambda: [InterfaceAddress("lo", 1, LOOPBACK, 8, True, True, False)],
)


def hostile_uri(rng: random.Random) -> str:
    start = rng.choice(["aeron:udp?", "aeron:udp?", "aeron:ipc?", ""])
    if rng.random() < 0.6:
        pairs = [rng.choice(SOUND_PAIRS) for _ in range(rng.randrange(0, 8))]
        for _ in range(rng.randrange(0, 3)):
            pairs.append(f"{rng.choice(PARAMETERS)}={rng.choice(FRAGMENTS)}")
        return start + "|".join(pairs)
    return start + "".join(rng.choice(FRAGMENTS) for _ in range(rng.randrange(0, 12)))


def test_channel_uris() -> None:
    rng = random.Random(4)
    resolved = 0
    for _ in range(SWEEP):
        text = hostile_uri(rng)
        try:
            uri = ChannelUri.parse(text)
            assert ChannelUri.parse(str(uri)) == uri
            uri.start_position(65536)
            channel = UdpChannel.from_uri(uri, RESOLVER)
            assert len(channel.remote_data.sockaddr_bytes()) in (16, 28)
            uri.validate()
            resolved += 1
        except InvalidChannelError as error:
            assert str(error).isprintable(), text
            assert str(error).isascii(), text
            assert int(error.error_code) in (1, 9)
    assert resolved > 500


def test_every_parameter_with_every_fragment() -> None:
    for parameter in PARAMETERS:
        for value in FRAGMENTS:
            try:
                ChannelUri.parse(f"aeron:udp?{parameter}={value}").validate()
            except InvalidChannelError as error:
                assert error.parameter in (parameter, None)


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=60))
def test_any_text_as_a_channel_or_an_address(text: str) -> None:
    for channel in (text, "aeron:udp?" + text, "aeron:udp?endpoint=" + text):
        try:
            UdpChannel.from_uri(channel, RESOLVER)
        except InvalidChannelError:
            pass
    for function in (RESOLVER.resolve, lambda it: RESOLVER.resolve_interface(it, socket.AF_INET)):
        try:
            function(text)
        except InvalidChannelError:
            pass


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SETTINGS), st.text(max_size=30) | st.sampled_from(FRAGMENTS))
def test_any_text_as_a_setting(setting: object, text: str) -> None:
    try:
        DriverConfig.from_environment({setting.variable: text})
    except ConfigError as error:
        assert "\n" not in str(error)


@settings(max_examples=300, deadline=None)
@given(st.integers(-5, 30), st.binary(max_size=112))
def test_any_bytes_as_a_counter_key(type_id: int, key: bytes) -> None:
    describe(type_id, key)


def test_any_header_of_a_cnc_file(tmp_path: Path) -> None:
    layout = CncLayout.of_lengths(
        to_driver_buffer_length=4096 + 768,
        to_clients_buffer_length=4096 + 128,
        counters_values_buffer_length=4096,
        error_log_buffer_length=4096,
    )
    with create_cnc(
        tmp_path, layout, client_liveness_timeout_ns=1, start_timestamp_ms=1, pid=1
    ) as cnc:
        cnc.signal_ready()
        with cnc.mapped.view(0, 128) as header:
            sound = bytes(header)
            rng = random.Random(5)
            attached = 0
            for _ in range(amount.scaled(3_000)):
                header[:] = sound
                for _ in range(rng.randrange(1, 4)):
                    offset = rng.randrange(0, 13) * 4
                    value = rng.choice(
                        [*EXTREMES, 512, 4864, 4224, 16384, rng.getrandbits(31), 1 << 30]
                    )
                    header[offset : offset + 4] = value.to_bytes(4, "little", signed=True)
                try:
                    with CncFile.attach(tmp_path, timeout_s=0, require_alive=False) as other:
                        assert other.layout.sections_end <= other.mapped.length
                        for section in (
                            other.to_driver_buffer,
                            other.to_clients_buffer,
                            other.counters_metadata_buffer,
                            other.counters_values_buffer,
                            other.error_log_buffer,
                        ):
                            section[:8].tobytes()
                        attached += 1
                except (CncFormatError, CncVersionError, DriverNotRunningError):
                    pass
    assert attached > 10


@pytest.mark.parametrize("length", [0, 1, 15, 17, 28, 64])
def test_any_bytes_as_a_sockaddr(length: int) -> None:
    rng = random.Random(length)
    for _ in range(300):
        data = rng.choice([b"\x02\x00", b"\x0a\x00", b""]) + rng.randbytes(length)
        try:
            address = SocketAddress.from_sockaddr(data)
            assert address.sockaddr_bytes()[:2] == data[:2]
        except ValueError:
            pass
