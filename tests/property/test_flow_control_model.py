"""Min and tagged flow control against a naive model that keeps a dict of receivers."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit"))

import send_frames as frames

from volans.testing.send_kit import PublicationKit, SenderKit

MS = 1_000_000
TIMEOUT = 300 * MS
TAG = 7


class Model:
    """The limit is that of the slowest receiver that was heard of lately."""

    def __init__(self, strategy, least):
        self.tagged, self.least = strategy == "tagged", least
        self.receivers = {}  # id → (edge, when)
        self.limit = 0
        self.setup = None  # (limit, when)
        self.asked = False

    def lowest(self, now_ns):
        if self.setup is not None and now_ns > self.setup[1] + TIMEOUT:
            self.setup = None
        edges = [edge for edge, _ in self.receivers.values()]
        if self.setup is not None:
            edges.append(self.setup[0])
        return min(edges, default=1 << 62)

    def allowed(self, now_ns):
        if not self.receivers or len(self.receivers) < self.least:
            return self.limit
        return self.lowest(now_ns)

    def status(self, receiver, position, window, tag, is_leaving, now_ns):
        edge = position + window
        if self.tagged and tag != TAG:
            if not is_leaving and not self.receivers and self.least == 0:
                self.limit = max(self.limit, edge)
                return
        elif is_leaving:
            self.receivers.pop(receiver, None)
        elif receiver in self.receivers or not self.receivers:
            is_new = receiver not in self.receivers
            self.receivers[receiver] = (edge, now_ns)
            if is_new:
                self.setup = None
        elif edge >= self.lowest(now_ns) - window:
            self.receivers[receiver] = (edge, now_ns)
            self.setup = None
        self.limit = max(self.limit, self.allowed(now_ns))

    def ask(self, tag):
        self.asked = self.asked or not self.tagged or tag == TAG

    def send_setup(self, now_ns):
        if self.asked and self.receivers:
            self.setup = (self.limit, now_ns)
        self.asked = False

    def idle(self, now_ns):
        for receiver, (_, when) in list(self.receivers.items()):
            if now_ns > when + TIMEOUT:
                del self.receivers[receiver]
        self.limit = self.allowed(now_ns)


tags = st.sampled_from([TAG, TAG, None, 8])
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("status"),
            st.integers(1, 3),
            st.integers(0, 500),
            st.sampled_from([1024, 4096]),
            tags,
            st.sampled_from([False, False, False, True]),
        ),
        st.tuples(st.just("reject"), st.integers(1, 3)),
        st.tuples(st.just("ask"), tags),
        st.tuples(st.just("pass"), st.integers(1, 150)),
    ),
    min_size=30,
    max_size=60,
)


@settings(deadline=None, max_examples=200)
@given(steps, st.sampled_from(["min", "tagged"]), st.integers(0, 2))
def test_limit_and_receivers_are_those_of_the_model(steps, strategy, least):
    sender = SenderKit(has_group_semantics=True)
    publication = PublicationKit(
        sender,
        flow_control=strategy,
        group_min_size=least,
        group_tag=TAG,
        receiver_timeout_ns=TIMEOUT,
    )
    publication.send(0)
    model = Model(strategy, least)
    now_ns = 0
    is_first = True  # until a status message comes, each cycle may send a SETUP
    last_setup_ns = 0
    is_elicited = False
    for step in steps:
        if step[0] == "status":
            _, receiver, units, window, tag, is_leaving = step
            flags = 0x40 if is_leaving else 0
            frame = frames.status_message(units * 32, window, flags=flags, receiver_id=receiver)
            sender.receive(with_tag(frame, tag), now_ns)
            model.status(receiver, units * 32, window, tag, is_leaving, now_ns)
            is_first = False
        elif step[0] == "reject":
            sender.receive(frames.error_frame(b"no", receiver_id=step[1]), now_ns)
            model.receivers.pop(step[1], None)
        elif step[0] == "ask":
            frame = frames.status_message(0, 0, flags=0x80, receiver_id=9)
            sender.receive(with_tag(frame, step[1]), now_ns)
            model.ask(step[1])
            is_elicited = True
        else:
            now_ns += step[1] * MS
            if (is_first or is_elicited) and now_ns > last_setup_ns + 100 * MS:
                model.send_setup(now_ns)
                last_setup_ns = now_ns
                if publication.has_receivers:
                    is_elicited = False
            publication.send(now_ns)
            model.idle(now_ns)
        assert publication.counter("sender_limit") == model.limit
        assert publication.counter("receiver_count") == len(model.receivers)
        assert publication.has_required_receivers == (len(model.receivers) >= least)


def with_tag(frame, tag):
    return frame if tag is None else struct.pack("<i", 44) + frame[4:] + struct.pack("<q", tag)
