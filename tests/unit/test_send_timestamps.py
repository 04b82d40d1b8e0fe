"""channel-snd-ts-offset: the send time in messages, and nowhere else."""

import struct

import pytest
import send_frames as frames
from send_frames import MS, SECOND

from volans.testing.send_kit import PublicationKit, SenderKit

RESERVED = -8
MAX_PAYLOAD = 1376
HEADER = 32


def publication_with(offset):
    sender = SenderKit(send_timestamp_offset=offset)
    publication = PublicationKit(sender)
    publication.send(0)
    sender.receive(frames.status_message(), 0)
    sender.take()
    return sender, publication


def frames_of(datagram):
    """(flags, reserved value, payload) of each."""
    found = []
    at = 0
    while at < len(datagram):
        length, _version, flags, *_ids, reserved = struct.unpack_from("<ibBhiiiiq", datagram, at)
        found.append((flags, reserved, datagram[at + HEADER : at + length]))
        at += (length + 31) & ~31
    return found


def test_every_message_of_a_datagram_gets_the_time_at_its_offset():
    sender, publication = publication_with(16)
    for number in range(3):
        publication.log.append(bytes([number + 1]) * 40)
    publication.send(SECOND + 7)
    (datagram,) = sender.take()
    messages = frames_of(datagram)
    assert len(messages) == 3
    for number, (_flags, reserved, payload) in enumerate(messages):
        assert reserved == 0
        assert struct.unpack_from("<q", payload, 16) == (SECOND + 7,)
        rest = payload[:16] + payload[24:]
        assert rest == bytes([number + 1]) * 32


def test_reserved_value_gets_the_time_and_the_payload_stays():
    sender, publication = publication_with(RESERVED)
    publication.log.append(b"x" * 40, 99)
    publication.send(SECOND)
    ((_flags, reserved, payload),) = frames_of(sender.take()[0])
    assert reserved == SECOND
    assert payload == b"x" * 40


@pytest.mark.parametrize("offset", [RESERVED, 0, 1000])
def test_only_the_first_fragment_of_a_message_is_touched(offset):
    sender, publication = publication_with(offset)
    publication.log.append(b"y" * (2 * MAX_PAYLOAD + 100), 5)
    publication.send(3 * SECOND)
    first, middle, last = (frames_of(datagram)[0] for datagram in sender.take())
    assert first[0] & 0x80
    if offset == RESERVED:
        assert first[1:] == (3 * SECOND, b"y" * MAX_PAYLOAD)
    else:
        assert struct.unpack_from("<q", first[2], offset) == (3 * SECOND,)
    assert middle[1:] == (5, b"y" * MAX_PAYLOAD)
    assert last[1:] == (5, b"y" * 100)


@pytest.mark.parametrize("length", [0, 7, 23])
def test_a_message_without_room_at_the_offset_is_left_alone(length):
    sender, publication = publication_with(16)
    publication.log.append(b"z" * length)
    publication.send(SECOND)
    ((_flags, reserved, payload),) = frames_of(sender.take()[0])
    assert (reserved, payload) == (0, b"z" * length)


def test_padding_and_channels_without_the_parameter_get_none():
    sender, publication = publication_with(RESERVED)
    publication.log.append_padding(64)
    publication.send(SECOND)
    assert [reserved for _, reserved, _ in frames_of(sender.take()[0][:HEADER])] == [0]
    sender, publication = publication_with(None)
    publication.log.append(b"plain message")
    publication.send(SECOND)
    assert frames_of(sender.take()[0])[0][1:] == (0, b"plain message")


def test_what_is_sent_again_tells_when_it_was_sent_again():
    sender, publication = publication_with(RESERVED)
    publication.log.append(b"w" * 40)
    publication.send(SECOND)
    sender.take()
    sender.receive(frames.nak(0, 96), 2 * SECOND + MS)
    assert frames_of(sender.take()[0])[0][1] == 2 * SECOND + MS
