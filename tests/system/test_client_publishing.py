"""Publications against a running driver: every kind of message, every outcome."""

from __future__ import annotations

import array
from pathlib import Path

import pytest
from client_driver import (
    await_that,
    client,
    collect,
    connected_pair,
    driver,
    errors,
    poll_until,
    stream_id,
    udp_channel,
)

import volans

__all__ = ["client", "driver", "errors", "stream_id", "udp_channel"]

BIG = bytes(range(256)) * 100


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("media", ["ipc", "udp"])
def test_every_kind_of_message_arrives(client, stream_id, udp_channel, exclusive, media):
    channel = "aeron:ipc" if media == "ipc" else udp_channel
    subscription = client.add_subscription(channel, stream_id)
    add = client.add_exclusive_publication if exclusive else client.add_publication
    publication = add(channel, stream_id)
    numbers = array.array("d", [1.5, 2.5])
    sent = [
        b"",
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"xmemoryviewx")[1:-1],
        numbers,
        [b"gathered ", bytearray(b"from "), memoryview(b"pieces")],
        (b"",),
        BIG,
        [BIG, b"-", b"end"],
    ]
    for message in sent:
        publication.publish(message, timeout=20)
    got = collect(subscription, len(sent))
    assert got == [
        b"",
        b"bytes",
        b"bytearray",
        b"memoryview",
        bytes(numbers),
        b"gathered from pieces",
        b"",
        BIG,
        BIG + b"-end",
    ]


def test_what_is_no_message_is_refused(client, stream_id):
    publication, _ = connected_pair(client, stream_id)
    with pytest.raises(TypeError, match="encode"):
        publication.offer("text")
    with pytest.raises(TypeError):
        publication.offer(5)
    with pytest.raises(TypeError):
        publication.offer([b"good", "bad"])
    with pytest.raises(BufferError):
        publication.offer(memoryview(b"abcdef")[::2])
    limit = publication.max_message_length
    for much in (bytes(limit + 1), bytearray(limit + 1), [bytes(limit), b"x"]):
        with pytest.raises(volans.MessageTooLongError, match=str(limit + 1)) as caught:
            publication.offer(much)
        assert caught.value.length_bytes == limit + 1
    assert publication.position == 0


def test_offer_says_why_not(client, stream_id):
    publication = client.add_publication("aeron:ipc", stream_id)
    result = publication.offer(b"nobody")
    assert result is volans.OfferResult.NOT_CONNECTED
    assert not result
    assert not publication.is_connected
    with pytest.raises(volans.PublishTimeoutError, match="no subscriber"):
        publication.publish(b"nobody", timeout=0.01)
    subscription = client.add_subscription("aeron:ipc", stream_id)
    await_that(lambda: publication.is_connected)

    def fill():
        while True:
            publication.publish(bytes(1000), timeout=0.5)

    with pytest.raises(volans.PublishTimeoutError, match="slowest subscriber") as caught:
        fill()
    assert caught.value.result is volans.OfferResult.BACK_PRESSURED
    assert publication.offer(b"full") is volans.OfferResult.BACK_PRESSURED
    assert publication.last_result is volans.OfferResult.BACK_PRESSURED
    assert publication.available_window == 0
    collect(subscription, 1)
    publication.publish(b"room again", timeout=20)


def test_positions_and_reserved_value(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    assert publication.offer(b"x" * 10, reserved_value=-77) is True
    assert publication.last_position == publication.position == 64
    assert publication.position_limit > 64
    assert publication.is_original
    assert publication.channel_status is volans.ChannelStatus.ACTIVE
    headers = []
    await_that(lambda: subscription.poll(lambda _b, header: headers.append(header)))
    header = headers[0]
    assert header.reserved_value == -77
    assert header.session_id == publication.session_id
    assert header.stream_id == stream_id
    assert header.term_id == publication.initial_term_id
    assert (header.term_offset, header.position, header.flags) == (0, 64, 0xC0)
    assert (header.frame_length, header.type) == (42, 1)


@pytest.mark.parametrize("way", ["offer", "publish"])
def test_reserved_values_can_be_made_of_the_message(client, stream_id, way):
    publication, subscription = connected_pair(client, stream_id, fragments=True)
    shared = client.add_publication("aeron:ipc", stream_id)
    await_that(lambda: subscription.image_count == 2 and shared.available_window)
    got = []
    for sender in (publication, shared):
        for message in (b"short", bytearray(b"x" * 3000), [b"one ", b"two"]):
            getattr(sender, way)(message, reserved_value=lambda given: 1000 + len(given))
    poll_until(
        subscription.poll,
        lambda _buffer, header: got.append(header.reserved_value),
        lambda: len(got) == 10,
    )
    assert sorted(got) == sorted([1005, *[4000] * 3, 1002] * 2)

    def fail(_message):
        raise LookupError("no value")

    with pytest.raises(LookupError):
        publication.offer(b"not sent", reserved_value=fail)
    with pytest.raises(OverflowError):
        publication.offer(b"not sent", reserved_value=1 << 63)
    assert subscription.poll(lambda _buffer, header: got.append(header)) == 0


@pytest.mark.parametrize("exclusive", [False, True])
def test_claims(client, stream_id, exclusive):
    add = client.add_exclusive_publication if exclusive else client.add_publication
    publication = add("aeron:ipc", stream_id)
    assert publication.try_claim(8) is volans.OfferResult.NOT_CONNECTED
    subscription = client.add_subscription("aeron:ipc", stream_id)
    await_that(lambda: publication.is_connected and publication.available_window)
    with publication.try_claim(5) as claim:
        claim.buffer[:] = b"first"
        claim.reserved_value = 9
    with pytest.raises(volans.ClaimEndedError):
        claim.commit()
    with pytest.raises(volans.ClaimEndedError):
        _ = claim.buffer

    def fail_inside():
        with publication.try_claim(5) as claim:
            claim.buffer[:] = b"never"
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    claim = publication.try_claim(6)
    view = claim.buffer
    view[:] = b"second"
    claim.commit()
    with pytest.raises(ValueError, match="released"):
        view[0] = 1
    publication.try_claim(7).abort()
    dropped = publication.try_claim(3)
    del dropped
    publication.publish(b"third")
    assert collect(subscription, 3) == [b"first", b"second", b"third"]
    with pytest.raises(volans.MessageTooLongError, match="offer"):
        publication.try_claim(publication.max_payload_length + 1)


def test_batches_of_rows_and_lists(client, stream_id):
    numpy = pytest.importorskip("numpy")
    publication, subscription = connected_pair(client, stream_id)
    rows = numpy.arange(600, dtype=numpy.uint8).reshape(50, 12)
    assert publication.offer_batch(rows) == 50
    assert publication.offer_batch(rows[::2, :7]) == 25
    assert publication.offer_batch([b"one", bytearray(b"three"), BIG]) == 3
    assert publication.offer_batch([]) == 0
    got = collect(subscription, 78)
    assert got[:50] == [bytes(row) for row in rows]
    assert got[50:75] == [bytes(row) for row in rows[::2, :7]]
    assert got[75:] == [b"one", b"three", BIG]
    with pytest.raises(ValueError, match="two dimensions"):
        publication.offer_batch(rows[0])
    assert publication.last_position == publication.position


def test_a_batch_stops_when_there_is_no_room(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    message = bytes(992)
    rows = memoryview(message * 1000).cast("B", (1000, 992))
    accepted = publication.offer_batch(rows)
    assert 0 < accepted < 1000
    assert publication.last_result is volans.OfferResult.BACK_PRESSURED
    assert publication.offer_batch([message]) == 0
    assert publication.last_result is volans.OfferResult.BACK_PRESSURED
    assert len(collect(subscription, accepted)) == accepted


def test_batches_cross_the_ends_of_terms(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    count = 3 * publication.term_buffer_length // 128
    sent = 0
    got: list[bytes] = []
    rows = memoryview(b"".join(number.to_bytes(70, "little") for number in range(count)))
    rows = rows.cast("B", (count, 70))
    while len(got) < count:
        sent += publication.offer_batch(rows[sent:]) if sent < count else 0
        subscription.poll(lambda buffer, _header: got.append(bytes(buffer)))
    assert [int.from_bytes(message, "little") for message in got] == list(range(count))


def test_padding_and_blocks(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    other, source = connected_pair(client, stream_id + 100_000)
    assert publication.append_padding(96) is True
    assert publication.position == 128
    assert publication.offer(b"after") is True
    assert collect(subscription, 1) == [b"after"]
    blocks = []
    other.publish(b"framed")
    await_that(lambda: source.block_poll(lambda block, *_ids: blocks.append(bytes(block))))
    with pytest.raises(ValueError, match="expected"):
        publication.offer_block(blocks[0])
    with pytest.raises(ValueError, match="does not fit"):
        publication.offer_block(blocks[0][:40])
    frame = bytearray(blocks[0])
    frame[8:12] = (publication.position % publication.term_buffer_length).to_bytes(4, "little")
    frame[12:16] = publication.session_id.to_bytes(4, "little", signed=True)
    frame[16:20] = stream_id.to_bytes(4, "little")
    frame[20:24] = publication.initial_term_id.to_bytes(4, "little", signed=True)
    assert publication.offer_block(frame) is True
    assert collect(subscription, 1) == [b"framed"]


def test_publications_are_shared_and_closed_one_by_one(client, stream_id):
    first = client.add_publication("aeron:ipc", stream_id)
    second = client.add_publication("aeron:ipc", stream_id)
    assert first.is_original
    assert not second.is_original
    assert first.session_id == second.session_id
    subscription = client.add_subscription("aeron:ipc", stream_id)
    first.close()
    first.close()
    assert first.is_closed
    for use in (
        lambda: first.offer(b"x"),
        lambda: first.publish(b"x"),
        lambda: first.try_claim(1),
        lambda: first.offer_batch([b"x"]),
        lambda: first.position,
    ):
        with pytest.raises(volans.PublicationClosedError):
            use()
    second.publish(b"still here", timeout=20)
    assert collect(subscription, 1) == [b"still here"]


def test_revoked_publication_ends_its_image(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    image = subscription.images[0]
    publication.revoke()
    await_that(lambda: not subscription.images)
    assert image.is_closed
    assert publication.is_closed


def test_refusals_of_the_driver_are_typed(client, stream_id):
    with pytest.raises(volans.RegistrationError) as caught:
        client.add_publication("aeron:udp?endpoint=nonsense", stream_id)
    assert caught.value.code != 0
    with pytest.raises(ValueError, match="4095"):
        client.add_publication("aeron:ipc?alias=" + "x" * 5000, stream_id)
    with pytest.raises(ValueError, match="32-bit"):
        client.add_publication("aeron:ipc", 1 << 31)


def test_closed_publication_gives_its_memory_back(client, stream_id):
    publication = client.add_exclusive_publication("aeron:ipc", stream_id)
    name = f"{publication.registration_id}.logbuffer"
    assert name in Path("/proc/self/maps").read_text()
    publication.close()
    assert name not in Path("/proc/self/maps").read_text()
