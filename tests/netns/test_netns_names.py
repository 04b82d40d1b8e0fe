"""A name that moves to another host while a stream is sent to it."""

from __future__ import annotations

import struct

import kit
import pytest

STREAM = 3201
ROW_COUNTER_TYPE = 2001
MESSAGES = [kit.message(i) for i in range(60)]


@pytest.fixture(scope="module")
def lan():
    if kit.missing():
        pytest.skip(kit.missing())
    with kit.Lan(3) as made:
        yield made


def switch_name(party: kit.Party, value: int) -> None:
    """Set the counter of the only row of a driver's name table."""
    (row_id,) = party.client.counters.find_by_type(ROW_COUNTER_TYPE)
    with open(party.directory / "driver" / "cnc.dat", "r+b") as file:
        _version, to_driver, to_clients, metadata = struct.unpack("<4i", file.read(16))
        file.seek(128 + to_driver + to_clients + metadata + 128 * row_id)
        file.write(struct.pack("<q", value))


def test_a_stream_follows_the_name_of_its_receiver(lan):
    first, second = (host.address for host in lan.hosts[1:])
    settings = {
        "AERON_NAME_RESOLVER_SUPPLIER": "csv_table",
        "AERON_NAME_RESOLVER_INIT_ARGS": f"sink,{first},{second}",
        "AERON_DRIVER_RERESOLUTION_CHECK_INTERVAL": "100ms",
    }
    with (
        kit.Party(lan.hosts[0], **settings) as source,
        kit.Party(lan.hosts[1]) as one,
        kit.Party(lan.hosts[2]) as other,
    ):
        readers = [
            kit.Reader(sink, f"aeron:udp?endpoint={sink.host.address}:40800", STREAM)
            for sink in (one, other)
        ]
        publication = source.client.add_exclusive_publication(
            "aeron:udp?endpoint=sink:40800", STREAM
        )
        kit.connect(publication, readers[:1])
        kit.send(publication, readers[:1], MESSAGES)
        # The first host is gone, and whoever asks for its name is told the second one's address.
        one.close()
        switch_name(source, 1)
        kit.connect(publication, readers[1:], timeout_s=30)
        kit.send(publication, readers[1:], MESSAGES)
