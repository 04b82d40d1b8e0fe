"""Subscriptions and images against a running driver: every way to read a stream."""

from __future__ import annotations

import gc
import struct

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

BIG = bytes(range(256)) * 60
ABORT, BREAK, COMMIT, CONTINUE = volans.ControlledAction


def test_buffer_is_valid_in_its_handler_only(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    publication.publish(b"\x01\x02\x03\x04\x05\x06\x07\x08rest")
    kept = []

    def handler(buffer, header):
        assert len(buffer) == 12
        assert buffer[0] == 1
        assert buffer[-1] == ord("t")
        assert buffer[8:] == b"rest"
        assert buffer == b"\x01\x02\x03\x04\x05\x06\x07\x08rest"
        assert buffer != b"other"
        assert buffer.get_int64(0) == 0x0807060504030201
        assert (buffer.get_int32(4), buffer.get_uint16(0), buffer.get_uint8(2)) == (
            0x08070605,
            0x0201,
            3,
        )
        assert buffer.get_int16(8) == int.from_bytes(b"re", "little")
        assert buffer.get_uint32(8) == int.from_bytes(b"rest", "little")
        assert buffer.get_float64(0) == struct.unpack("<d", bytes(buffer[:8]))[0]
        assert buffer.tobytes() == bytes(buffer)
        for offset in (-1, 5, 1 << 40):
            with pytest.raises(IndexError):
                buffer.get_int64(offset)
        with pytest.raises(IndexError):
            _ = buffer[12]
        with pytest.raises(TypeError):
            memoryview(buffer)[0] = 1
        kept.extend((buffer, memoryview(buffer), header, header.position))

    await_that(lambda: subscription.poll(handler))
    buffer, view, header, position = kept
    for use in (bytes, len, memoryview, lambda b: b[0], lambda b: b.get_uint8(0)):
        with pytest.raises(volans.StaleBufferError):
            use(buffer)
    assert "returned" in repr(buffer)
    publication.publish(b"another")
    assert collect(subscription, 1) == [b"another"]
    # Safe to touch; the driver may have cleaned the space by now.
    assert bytes(view[8:]) in (b"rest", bytes(4))
    assert header.position == position == 64


def test_reused_objects_are_new_when_kept(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    for number in range(6):
        publication.publish(bytes([number]) * (number + 1))
    seen, kept = [], []

    def handler(buffer, header):
        seen.append((id(buffer), id(header)))
        if header.position == 3 * 64:
            kept.append(header)

    poll_until(subscription.poll, handler, lambda: len(seen) == 6)
    assert seen[0] == seen[1] == seen[2]
    assert seen[3] == seen[4] == seen[5]
    assert seen[2][1] != seen[3][1]
    assert (kept[0].position, kept[0].frame_length) == (3 * 64, 32 + 3)


def test_views_outlive_everything(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    publication.publish(b"small")
    publication.publish(BIG)
    views = []
    poll_until(subscription.poll, lambda b, _h: views.append(memoryview(b)), lambda: len(views))
    poll_until(subscription.poll, lambda b, _h: views.append(memoryview(b)), lambda: views[1:])
    publication.publish(BIG[::-1])
    assert collect(subscription, 1) == [BIG[::-1]]
    publication.close()
    subscription.close()
    client.close()
    gc.collect()
    assert bytes(views[0]) in (b"small", bytes(5))
    assert bytes(views[1]) == BIG


@pytest.mark.parametrize("media", ["ipc", "udp"])
def test_messages_are_assembled_unless_fragments_are_wanted(client, stream_id, udp_channel, media):
    channel = "aeron:ipc" if media == "ipc" else udp_channel
    whole = client.add_subscription(channel, stream_id)
    raw = client.add_subscription(channel, stream_id, fragments=True)
    publication = client.add_publication(channel, stream_id)
    await_that(lambda: publication.is_connected and whole.images and raw.images)
    publication.publish(b"a", reserved_value=4)
    publication.publish(BIG, reserved_value=5)
    publication.publish(b"z", reserved_value=6)
    got, pieces = [], []
    poll_until(
        whole.poll,
        lambda b, h: got.append((bytes(b), h.flags, h.reserved_value, h.position)),
        lambda: len(got) == 3,
    )
    poll_until(
        raw.poll,
        lambda b, h: pieces.append((bytes(b), h.flags, h.position)),
        lambda: pieces and pieces[-1][0] == b"z",
    )
    assert [message for message, *_ in got] == [b"a", BIG, b"z"]
    assert [flags for _, flags, *_ in got] == [0xC0] * 3
    assert [value for _, _, value, _ in got] == [4, 5, 6]
    assert len(pieces) == 2 + -(-len(BIG) // publication.max_payload_length)
    assert b"".join(piece for piece, *_ in pieces) == b"a" + BIG + b"z"
    assert [pieces[0][1], pieces[1][1], pieces[2][1], pieces[-2][1]] == [0xC0, 0x80, 0, 0x40]
    assert got[1][3] == pieces[-2][2]


def test_a_failing_handler_loses_nothing_but_its_message(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    for number in range(5):
        publication.publish(bytes([number]))
    seen = []

    def handler(buffer, _header):
        seen.append(buffer[0])
        if buffer[0] == 2:
            raise KeyError("handler")

    with pytest.raises(KeyError):
        await_that(lambda: subscription.poll(handler) and False)
    poll_until(subscription.poll, handler, lambda: len(seen) == 5)
    assert seen == [0, 1, 2, 3, 4]


def test_polls_do_not_nest(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    publication.publish(b"x")
    publication.publish(b"y")
    with pytest.raises(volans.ReentrantPollError):
        await_that(lambda: subscription.poll(lambda *_: subscription.poll(print)) and False)
    assert collect(subscription, 1) == [b"y"]


def test_closing_from_a_handler_is_safe(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    image = subscription.images[0]
    for _ in range(3):
        publication.publish(b"x" * 100)
    seen = []

    def handler(buffer, _header):
        subscription.close()
        seen.append(bytes(buffer))

    await_that(lambda: subscription.poll(handler))
    assert seen == [b"x" * 100]
    assert image.is_closed
    with pytest.raises(volans.SubscriptionClosedError):
        subscription.poll(handler)


@pytest.mark.parametrize("message", [b"small", BIG], ids=["frame", "fragments"])
def test_controlled_poll_obeys(client, stream_id, message):
    publication, subscription = connected_pair(client, stream_id)
    for number in range(5):
        publication.publish(bytes([number]) + message)
    answers = [CONTINUE, ABORT, ABORT, None, BREAK, COMMIT, CONTINUE]
    seen, positions = [], []

    def handler(buffer, _header):
        assert bytes(buffer)[1:] == message
        seen.append(buffer[0])
        positions.append(image.position)
        return answers[len(seen) - 1]

    image = subscription.images[0]
    counts = []

    def poll():
        count = subscription.controlled_poll(handler)
        if count or len(seen) == len(answers):
            counts.append(count)
        return len(seen) == len(answers)

    await_that(poll)
    assert seen == [0, 1, 1, 1, 2, 3, 4]
    publication.publish(b"q" + message)
    with pytest.raises(ValueError, match="ControlledAction"):
        await_that(lambda: subscription.controlled_poll(lambda *_: 77) and False)


def test_an_aborted_message_stays_readable_through_its_view(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    publication.publish(BIG)
    views = []

    def handler(buffer, _header):
        views.append(memoryview(buffer))
        return ABORT if len(views) < 3 else CONTINUE

    poll_until(subscription.controlled_poll, handler, lambda: len(views) == 3)
    assert [bytes(view) for view in views] == [BIG] * 3


def test_bounded_poll_stops_in_front_of_the_limit(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    for number in range(4):
        publication.publish(bytes([number]))
    image = subscription.images[0]
    seen = []
    take = lambda buffer, _header: seen.append(buffer[0])  # noqa: E731
    assert image.bounded_poll(take, 0) == 0
    poll_until(lambda h: image.bounded_poll(h, 128), take, lambda: len(seen) == 2)
    assert image.bounded_poll(take, 128) == 0
    assert image.bounded_controlled_poll(take, 192) == 1
    assert image.position == 192
    assert image.poll(take) == 1
    assert seen == [0, 1, 2, 3]


def test_limits_count_messages(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    for _ in range(7):
        publication.publish(b"m")
    got = []
    await_that(lambda: subscription.poll(lambda b, _h: got.append(bytes(b)), 3))
    assert len(got) == 3
    assert subscription.poll(lambda *_: None, 0) == 0
    assert subscription.poll(lambda *_: None, 100) == 4


def test_blocks_and_files(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    for number in range(4):
        publication.publish(bytes([number]) * 10)
    blocks, places = [], []
    await_that(
        lambda: subscription.block_poll(
            lambda block, session_id, term_id: blocks.append((bytes(block), session_id, term_id)),
            128,
        )
    )
    block, session_id, term_id = blocks[0]
    assert (len(block), session_id, term_id) == (
        128,
        publication.session_id,
        publication.initial_term_id,
    )
    assert block[32:42] == bytes(10)
    assert block[96:106] == b"\x01" * 10
    assert subscription.raw_poll(lambda *place: places.append(place)) == 128
    path, offset, length, session_id, _ = places[0]
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(length)
    assert (data[32:42], session_id) == (b"\x02" * 10, publication.session_id)
    assert subscription.block_poll(print) == 0


def test_batch_of_equal_messages_is_one_array(client, stream_id):
    numpy = pytest.importorskip("numpy")
    publication, subscription = connected_pair(client, stream_id)
    rows = numpy.arange(400, dtype=numpy.uint8).reshape(40, 10)
    publication.offer_batch(rows)
    batch = await_that(subscription.poll_batch)
    image = subscription.images[0]
    assert len(batch) == 40
    assert batch.equal_size == 10
    assert (batch.array == rows).all()
    assert not batch.array.flags.writeable
    assert batch.array.strides == (64, 1)
    assert (numpy.asarray(memoryview(batch)) == rows).all()
    assert [bytes(message) for message in batch] == [bytes(row) for row in rows]
    assert bytes(batch[-1]) == bytes(rows[-1])
    assert (batch.lengths == 10).all()
    offset = batch.offsets[7]
    assert bytes(batch.data[offset : offset + 10]) == bytes(rows[7])
    assert batch.header(1).position == 128
    assert (batch.position, batch.image) == (40 * 64, image)
    # The publisher may not reuse the space while the batch is in use.
    counter = image.subscriber_position_id
    assert client.counters.value(counter) == 0
    array = batch.array
    assert not subscription.poll_batch()
    assert client.counters.value(counter) == 40 * 64
    for use in (
        lambda: batch[0],
        lambda: batch.array,
        batch.tolist,
        lambda: list(batch),
        lambda: batch.header(0),
    ):
        with pytest.raises(volans.StaleBatchError):
            use()
    assert (array == rows).all()


def test_batches_of_unequal_and_fragmented_messages(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    sent = [b"a", b"bb", b"", BIG, b"cc", b"dd", BIG, BIG[:5000]]
    for message in sent:
        publication.publish(message)
    got, sizes = [], []

    def take():
        batch = subscription.poll_batch()
        got.extend(batch.tolist())
        if batch:
            sizes.append((len(batch), batch.equal_size))
            if batch.equal_size is None:
                with pytest.raises(BufferError, match="differ"):
                    memoryview(batch)
            header = batch.header(0)
            assert header.session_id == publication.session_id
        return len(got) == len(sent)

    await_that(take)
    assert got == sent
    assert sizes[0] == (3, None)
    assert (1, len(BIG)) in sizes


def test_batches_cross_terms_and_respect_their_limit(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    total = 3 * publication.term_buffer_length // 1024
    sent, got = 0, []
    while len(got) < total:
        while sent < total and publication.offer(sent.to_bytes(4, "little") + bytes(900)):
            sent += 1
        batch = subscription.poll_batch(7)
        assert len(batch) <= 7
        got.extend(int.from_bytes(message[:4], "little") for message in batch)
    assert got == list(range(total))


def test_iteration_loses_nothing_when_left(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    for number in range(6):
        publication.publish(bytes([number]))
    publication.publish(BIG)
    seen = []
    for message in subscription.messages(timeout=20):
        seen.append((bytes(message), len(message), message.header.position))
        if len(seen) == 2:
            break
    assert seen == [(b"\x00", 1, 64), (b"\x01", 1, 128)]
    third = []
    assert subscription.poll(lambda buffer, _header: third.append(bytes(buffer)), 1) == 1
    assert third == [b"\x02"]
    rest = [bytes(message.buffer) for message in subscription.messages(timeout=0.05)]
    assert rest == [b"\x03", b"\x04", b"\x05", BIG]
    assert list(subscription.messages(timeout=0.01)) == []


def test_message_is_stale_after_the_next_step(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    publication.publish(b"one")
    publication.publish(BIG)
    messages = subscription.messages(timeout=20)
    first = next(messages)
    assert bytes(first) == b"one"
    assert bytes(next(messages)) == BIG
    with pytest.raises(volans.StaleBatchError):
        bytes(first)


def test_images_of_many_publishers_take_turns(client, stream_id):
    publications = [client.add_exclusive_publication("aeron:ipc", stream_id) for _ in range(3)]
    subscription = client.add_subscription("aeron:ipc", stream_id)
    await_that(lambda: subscription.image_count == 3)
    for publication in publications:
        for number in range(20):
            publication.publish(bytes([number]))
    seen: dict[int, list[int]] = {}

    def handler(buffer, header):
        seen.setdefault(header.session_id, []).append(buffer[0])

    first = []
    for _ in range(3):
        assert subscription.poll(handler, 1) == 1
        first.append(set(seen))
    assert len(first[-1]) == 3
    poll_until(subscription.poll, handler, lambda: sum(map(len, seen.values())) == 60)
    assert list(seen.values()) == [list(range(20))] * 3
    for publication in publications:
        image = subscription.image_by_session_id(publication.session_id)
        assert image.position == publication.position == 20 * 64
    assert subscription.image_by_session_id(12345) is None


def test_image_tells_what_it_is(client, stream_id, udp_channel):
    publication, subscription = connected_pair(client, stream_id, udp_channel)
    image = subscription.images[0]
    publication.publish(b"x" * 50)
    collect(subscription, 1)
    assert image.source_identity.startswith("127.0.0.1:")
    assert (image.join_position, image.position) == (0, 96)
    assert image.term_buffer_length == publication.term_buffer_length
    assert image.mtu_length == publication.max_payload_length + 32
    assert image.initial_term_id == publication.initial_term_id
    await_that(lambda: image.active_transport_count == 1)
    assert image.subscription is subscription
    assert not image.is_end_of_stream
    assert not image.is_publication_revoked
    assert not image.is_closed
    publication.close()
    await_that(lambda: image.is_closed, 30)
    assert image.position == 96
    assert image.poll(print) == 0
    assert subscription.images == ()


def test_image_handlers_and_their_errors(client, errors, stream_id):
    came, went = [], []
    subscription = client.add_subscription(
        "aeron:ipc", stream_id, on_available_image=came.append, on_unavailable_image=went.append
    )

    def failing(_image):
        raise KeyError("image handler")

    failed = client.add_subscription("aeron:ipc", stream_id, on_available_image=failing)
    publication = client.add_publication("aeron:ipc", stream_id)
    await_that(lambda: subscription.images and failed.images)
    assert came == list(subscription.images)
    assert [type(error) for error in errors] == [KeyError]
    publication.publish(b"goes on")
    assert collect(failed, 1) == [b"goes on"]
    image = came[0]
    subscription.close()
    await_that(lambda: went)
    assert went == [image]
    publication.close()


def test_handlers_may_not_wait_for_their_own_thread(client, errors, stream_id):
    asked = []

    def on_image(_image):
        asked.append(client.async_add_publication("aeron:ipc", stream_id + 500_000))
        client.add_publication("aeron:ipc", stream_id)

    client.add_subscription("aeron:ipc", stream_id, on_available_image=on_image)
    client.add_publication("aeron:ipc", stream_id)
    await_that(lambda: errors)
    assert isinstance(errors[0], volans.ReentrantCallError)
    publication = await_that(lambda: client.get_publication(asked[0]))
    assert publication.stream_id == stream_id + 500_000
    assert client.get_publication(asked[0]) is publication
    with pytest.raises(ValueError, match="not known"):
        client.get_publication(987654321)


def test_reject_tells_the_publisher(driver, stream_id, udp_channel):
    refused = []
    with volans.connect(driver.directory, on_publication_error=refused.append) as client:
        publication, subscription = connected_pair(client, stream_id, udp_channel)
        image = subscription.images[0]
        with pytest.raises(ValueError, match="1023"):
            image.reject("x" * 2000)
        image.reject("no")
        await_that(lambda: refused)
        assert refused[0].message == "no"
        assert refused[0].session_id == publication.session_id


def test_ports_and_addresses_are_resolved(client, stream_id):
    subscription = client.add_subscription("aeron:udp?endpoint=127.0.0.1:0", stream_id)
    address = await_that(lambda: subscription.resolved_endpoint)
    assert address.startswith("127.0.0.1:")
    assert not address.endswith(":0")
    assert subscription.local_socket_addresses == [address]
    channel = subscription.resolved_channel
    assert channel == f"aeron:udp?endpoint={address}"
    publication = client.add_publication(channel, stream_id)
    publication.publish(b"found", timeout=20)
    assert collect(subscription, 1) == [b"found"]
    assert publication.local_socket_addresses
    assert subscription.channel_status is volans.ChannelStatus.ACTIVE
    subscription.close()
    assert subscription.channel_status is volans.ChannelStatus.CLOSING
