"""Destinations against naive models: who is sent to after any history of frames and commands."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from volans.testing.send_kit import PublicationKit, SenderKit

SECOND = 1_000_000_000
TIMEOUT_NS = 5 * SECOND
SETUP_SPACING_NS = SECOND // 5
SESSION_ID, STREAM_ID = 1001, 10

ports = st.integers(41000, 41003)
receivers = st.integers(1, 3)
pauses = st.sampled_from([0, 1, SECOND // 2, SECOND, 2 * SECOND, TIMEOUT_NS, TIMEOUT_NS + 1])


def setup_request(receiver_id: int) -> bytes:
    return struct.pack("<ibBhiiiiiq", 36, 0, 0x80, 3, SESSION_ID, STREAM_ID, 0, 0, 0, receiver_id)


def sent_to(sender: SenderKit, publication: PublicationKit, now_ns: int) -> list[int]:
    """Ports of one SETUP to everybody."""
    sender.take()
    publication.send(now_ns)
    found = sender.take_destination_ports()
    sender.take()
    return sorted(found)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(pauses, receivers, ports), max_size=30))
def test_learnt_destinations(history):
    """On one host a destination is a port; it lives for five seconds after it was last heard."""
    sender = SenderKit(has_group_semantics=True, control_mode="dynamic")
    publication = PublicationKit(sender)
    heard: dict[int, int] = {}
    now_ns = 0
    for pause_ns, receiver_id, port in history:
        now_ns += pause_ns
        sender.receive(setup_request(receiver_id), now_ns, source_port=port)
        heard[port] = now_ns
        now_ns += SETUP_SPACING_NS
        expected = sorted(p for p, when in heard.items() if now_ns <= when + TIMEOUT_NS)
        heard = {p: heard[p] for p in expected}
        assert sent_to(sender, publication, now_ns) == expected
        assert sender.destination_count == len(expected)


commands = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 6), ports | st.just(0)),
    st.tuples(st.just("change"), st.integers(1, 6), ports | st.just(0)),
    st.tuples(st.just("remove"), st.integers(1, 6), st.just(0)),
    st.tuples(st.just("hear"), receivers, ports),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(commands, max_size=30))
def test_given_destinations(history):
    """Registration ids are added once, as correlation ids are; frames change nothing."""
    sender = SenderKit(has_group_semantics=True, control_mode="manual")
    publication = PublicationKit(sender)
    model: dict[int, int] = {}
    now_ns = 0
    for kind, number, port in history:
        now_ns += SETUP_SPACING_NS
        if kind == "add" and number not in model:
            model[number] = port
            sender.add_destination(number, port)
        elif kind == "change":
            if number in model:
                model[number] = port
            sender.change_destination(number, port)
        elif kind == "remove":
            model.pop(number, None)
            sender.remove_destination(number)
        elif kind == "hear":
            sender.receive(setup_request(number), now_ns, source_port=port)
        sender.cycle(now_ns)
        assert sent_to(sender, publication, now_ns) == sorted(p for p in model.values() if p)
        assert sender.destination_count == len(model)
