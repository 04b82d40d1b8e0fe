"""channel-snd-ts-offset in a running driver: what it writes is the time of this machine."""

from __future__ import annotations

import struct
import time

import pytest
from client_driver import (
    await_that,
    client,
    connected_pair,
    driver,
    errors,
    poll_until,
    stream_id,
    udp_channel,
)

import volans
from volans.protocol.error_codes import ErrorCode

__all__ = ["client", "driver", "errors", "stream_id", "udp_channel"]


@pytest.mark.parametrize("offset", ["reserved", "8"])
def test_messages_tell_when_they_were_sent(client, stream_id, udp_channel, offset):
    # The driver process is another one: its clock is the system's, not the test's.
    subscription = client.add_subscription(udp_channel, stream_id)
    publication = client.add_exclusive_publication(
        f"{udp_channel}|channel-snd-ts-offset={offset}", stream_id
    )
    await_that(lambda: publication.is_connected and publication.available_window)
    before = time.time_ns()
    publication.publish(bytes(24))
    got = []
    poll_until(
        subscription.poll,
        lambda buffer, header: got.append((header.reserved_value, bytes(buffer))),
        lambda: got,
    )
    reserved, payload = got[0]
    stamp = reserved if offset == "reserved" else struct.unpack_from("<q", payload, 8)[0]
    assert before <= stamp <= time.time_ns()
    assert payload == bytes(24) if offset == "reserved" else payload[16:] == bytes(8)


def test_ipc_has_no_channel_and_no_stamp(client, stream_id):
    publication, subscription = connected_pair(
        client, stream_id, "aeron:ipc?channel-snd-ts-offset=reserved"
    )
    publication.publish(b"unstamped")
    got = []
    poll_until(
        subscription.poll, lambda _buffer, header: got.append(header.reserved_value), lambda: got
    )
    assert got == [0]


def test_publications_of_one_socket_agree(client, stream_id, udp_channel):
    stamped = f"{udp_channel}|channel-snd-ts-offset=reserved|tags={stream_id}"
    publications = [client.add_exclusive_publication(stamped, stream_id)]
    publications.append(client.add_exclusive_publication(f"aeron:udp?tags={stream_id}", stream_id))
    for channel in (
        f"{udp_channel}|tags={stream_id}",
        f"{udp_channel}|tags={stream_id}|channel-snd-ts-offset=0",
    ):
        with pytest.raises(volans.RegistrationError) as refusal:
            client.add_exclusive_publication(channel, stream_id)
        assert refusal.value.code == ErrorCode.INVALID_CHANNEL
        assert "channel-snd-ts-offset" in refusal.value.message
        assert "say reserved" in refusal.value.message
    assert all(not publication.is_closed for publication in publications)


@pytest.mark.parametrize("other", ["media-rcv-ts-offset", "channel-rcv-ts-offset"])
def test_stamps_may_not_overlap(client, stream_id, udp_channel, other):
    with pytest.raises(volans.RegistrationError) as refusal:
        client.add_publication(f"{udp_channel}|channel-snd-ts-offset=4|{other}=8", stream_id)
    assert other in refusal.value.message
