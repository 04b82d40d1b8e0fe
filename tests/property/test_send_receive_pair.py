"""A sender and a receiver over a link that loses, doubles and swaps: every message comes once."""

from __future__ import annotations

import random
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from volans.testing.receive_kit import ReceiveKit
from volans.testing.send_kit import PublicationKit, SenderKit

SESSION, STREAM, TERM_ID, TERM_LENGTH = 11, 1001, 7, 65536
STEP_NS = 50_000
MAX_STEPS = 400_000


class Link:
    """Datagrams with faults; what is swapped comes a step later."""

    def __init__(self, rng, loss, odd):
        self.rng, self.loss, self.odd = rng, loss, odd
        self.late = []

    def carry(self, datagrams):
        out = []
        for datagram in datagrams:
            if self.rng.random() < self.loss:
                continue
            if self.rng.random() < self.odd:
                self.late.append(datagram)
                if self.rng.random() < 0.5:
                    continue
            out.append(datagram)
        if self.late and self.rng.random() < 0.5:
            out.extend(self.late)
            self.late = []
        return out


class Reader:
    """A subscriber: walks the frames of the image's log up to what is whole."""

    def __init__(self, image):
        self.image = image
        self.counter_id = image.add_subscriber()
        self.position = 0
        self.messages = []
        self.padding_bytes = 0

    def poll(self):
        view = self.image.log_view
        while self.position < self.image.position:
            term_count, offset = divmod(self.position, TERM_LENGTH)
            at = term_count % 3 * TERM_LENGTH + offset
            length, _, _, kind = struct.unpack_from("<ibBh", view, at)
            assert length >= 32
            if kind == 1:
                self.messages.append(bytes(view[at + 32 : at + length]))
            else:
                self.padding_bytes += length
            self.position += (length + 31) // 32 * 32
        self.image.consume(self.counter_id, self.position)


def run(seed, loss, odd, count, directory, is_reliable=True):
    rng = random.Random(seed)
    sender = SenderKit()
    publication = PublicationKit(
        sender, session_id=SESSION, stream_id=STREAM, initial_term_id=TERM_ID
    )
    sender.add_endpoint()
    sender.add_publication(publication)
    there, back = Link(rng, loss, odd), Link(rng, loss, odd)
    messages = [
        struct.pack("<i", number) + rng.randbytes(rng.randrange(1300)) for number in range(count)
    ]
    sent, image, reader = 0, None, None
    with ReceiveKit(seed=seed) as kit:
        kit.receiver.add_subscription(kit.endpoint, STREAM)
        for _ in range(MAX_STEPS):
            kit.advance(STEP_NS)
            publication.log.is_connected = publication.has_receivers
            publication.log.position_limit = publication.counter("publisher_limit")
            while sent < count and publication.log.append(messages[sent]) > 0:
                sent += 1
            sender.cycle(kit.now_ns)
            publication.update_limit()
            for datagram in there.carry(sender.take()):
                kit.feed(datagram)
            kit.cycle()
            if image is None and kit.requests():
                image = kit.make_image(
                    directory=directory,
                    session_id=SESSION,
                    stream_id=STREAM,
                    initial_term_id=TERM_ID,
                    is_reliable=is_reliable,
                )
                reader = Reader(image)
            for datagram in back.carry(kit.sent()):
                sender.receive(datagram, kit.now_ns)
            if image is not None:
                image.track()
                reader.poll()
                if sent == count and reader.position == publication.log.producer_position:
                    return messages, reader, sender, kit
    raise AssertionError(
        f"seed {seed}: {sent} of {count} sent, {0 if reader is None else len(reader.messages)} came"
    )


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    loss=st.sampled_from([0.0, 0.01, 0.1, 0.3]),
    odd=st.sampled_from([0.0, 0.1]),
)
def test_every_message_comes_once_and_in_order(tmp_path_factory, seed, loss, odd):
    messages, reader, sender, kit = run(seed, loss, odd, 300, tmp_path_factory.mktemp("pair"))
    assert reader.messages == messages
    assert not sender.has_errors
    assert not any(kit.error_log)


def test_without_loss_nothing_is_asked_for(tmp_path):
    _, reader, _, _ = run(3, 0.0, 0.0, 300, tmp_path)
    assert reader.image.naks_sent == 0


def test_an_unreliable_stream_keeps_its_order_and_steps_over_its_losses(tmp_path):
    messages, reader, _, _ = run(5, 0.1, 0.0, 300, tmp_path, is_reliable=False)
    assert reader.image.naks_sent == 0
    assert 0 < len(reader.messages) < len(messages)
    remaining = iter(messages)
    assert all(message in remaining for message in reader.messages)
    assert reader.padding_bytes > 0
