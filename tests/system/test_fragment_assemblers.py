"""Assemblers in front of handlers that poll fragments."""

import gc
import random

import pytest
from client_driver import (
    client,
    connected_pair,
    driver,
    errors,
    poll_until,
    stream_id,
)

import volans
from volans import ControlledAction

__all__ = ["client", "driver", "errors", "stream_id"]

SIZES = [0, 10, 1376, 1377, 5000, 20_000]


def messages(seed: int) -> list[bytes]:
    generator = random.Random(seed)
    return [generator.randbytes(size) for size in SIZES]


@pytest.mark.parametrize("of_image", [False, True])
@pytest.mark.parametrize("controlled", [False, True])
def test_whole_messages_come_out(client, stream_id, controlled, of_image):
    publication, subscription = connected_pair(client, stream_id, fragments=True)
    got = []

    def take(buffer, header):
        got.append((bytes(buffer), header.frame_length, header.reserved_value, header.position))

    kind = {
        (False, False): volans.FragmentAssembler,
        (False, True): volans.ImageFragmentAssembler,
        (True, False): volans.ControlledFragmentAssembler,
        (True, True): volans.ImageControlledFragmentAssembler,
    }[controlled, of_image]
    sent = messages(1)
    positions = []
    for number, message in enumerate(sent):
        publication.publish(message, reserved_value=number)
        positions.append(publication.position)
    assembler = kind(take)
    source = subscription.images[0] if of_image else subscription
    poll = source.controlled_poll if controlled else source.poll
    arguments = {"fragments": True} if of_image else {}
    poll_until(lambda handler: poll(handler, **arguments), assembler, lambda: len(got) == len(sent))
    assert got == [
        (message, len(message) + 32, number, position)
        for number, (message, position) in enumerate(zip(sent, positions, strict=True))
    ]


def test_sessions_are_kept_apart(client, stream_id):
    subscription = client.add_subscription("aeron:ipc", stream_id, fragments=True)
    publications = [client.add_exclusive_publication("aeron:ipc", stream_id) for _ in range(3)]
    sent = {}
    for seed, publication in enumerate(publications):
        sent[publication.session_id] = messages(seed)
        for message in sent[publication.session_id]:
            publication.publish(message)
    got = {session_id: [] for session_id in sent}
    assembler = volans.FragmentAssembler(
        lambda buffer, header: got[header.session_id].append(bytes(buffer))
    )
    # One fragment of each image at a time, so that messages overlap.
    poll_until(lambda handler: subscription.poll(handler, limit=1), assembler, lambda: got == sent)


def test_an_aborted_message_comes_again_whole(client, stream_id):
    publication, subscription = connected_pair(client, stream_id, fragments=True)
    message = messages(3)[-1]
    publication.publish(message)
    got = []

    def refuse_twice(buffer, _header):
        got.append(bytes(buffer))
        return ControlledAction.ABORT if len(got) < 3 else ControlledAction.COMMIT

    assembler = volans.ControlledFragmentAssembler(refuse_twice)
    poll_until(subscription.controlled_poll, assembler, lambda: len(got) == 3)
    assert got == [message] * 3
    assert subscription.controlled_poll(assembler) == 0


def test_kept_memory_stays_what_it_was(client, stream_id):
    publication, subscription = connected_pair(client, stream_id, fragments=True)
    kept, ended = [], []

    def keep(buffer, _header):
        ended.append(buffer)
        kept.append(buffer[10:20])

    assembler = volans.FragmentAssembler(keep)
    sent = [bytes([number]) * 4000 for number in (1, 2)]
    for message in sent:
        publication.publish(message)
    poll_until(subscription.poll, assembler, lambda: len(kept) == 2)
    gc.collect()
    assert [bytes(part) for part in kept] == [message[10:20] for message in sent]

    looked_at = []
    assembler = volans.FragmentAssembler(lambda buffer, _header: looked_at.append(buffer))
    publication.publish(sent[0])
    poll_until(subscription.poll, assembler, lambda: looked_at)
    with pytest.raises(ValueError, match="released"):
        bytes(looked_at[0])


def test_who_joins_in_the_middle_gets_the_next_message(client, stream_id):
    publication, subscription = connected_pair(client, stream_id, fragments=True)
    publication.publish(b"a" * 5000)
    publication.publish(b"b" * 5000)
    skipped, got = [], []
    poll_until(
        lambda handler: subscription.poll(handler, limit=1),
        lambda buffer, _header: skipped.append(len(buffer)),
        lambda: skipped,
    )
    assembler = volans.FragmentAssembler(lambda buffer, _header: got.append(bytes(buffer)))
    poll_until(subscription.poll, assembler, lambda: got)
    assert got == [b"b" * 5000]
    assert assembler.free(publication.session_id)
    assert not assembler.free(publication.session_id)
