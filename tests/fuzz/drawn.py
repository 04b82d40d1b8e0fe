"""Blocks of datagrams that hypothesis draws: bytes, and headers that look right laid over them.

One example is one block of bytes cut into many datagrams, so that a test of some hundred examples
judges tens of thousands of inputs. A failing example is shrunk to short bytes and plain headers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import hostile
from hypothesis import strategies as st

DATAGRAMS_AN_EXAMPLE = 100
CHOICE_BYTES = 8  # what a datagram takes of the block to choose by
MIN_BLOCK_BYTES = 4 * 1024
MAX_BLOCK_BYTES = 7 * 1024  # what hypothesis gives one example is 8 KiB
MAX_DATAGRAM_BYTES = 1408
SEGMENT_LENGTHS = (*(0,) * 12, 28, 32, 36, -1)
CHOICE = struct.Struct("<BBBBHH")


@dataclass(frozen=True)
class Look:
    """What the headers of a block may say."""

    kind: int
    session_id: int
    stream_id: int
    term_id: int
    flags: int
    extreme: int


@dataclass(frozen=True)
class Drawn:
    """A datagram, and how long the segments are that it is said to be made of."""

    data: bytes
    segment_length: int


def looks(
    kinds: tuple[int, ...],
    sessions: tuple[int, ...],
    streams: tuple[int, ...],
    term_ids: tuple[int, ...],
) -> st.SearchStrategy[Look]:
    return st.builds(
        Look,
        kind=st.sampled_from((*kinds, *kinds, *hostile.FRAME_TYPES)),
        session_id=st.sampled_from(sessions),
        stream_id=st.sampled_from(streams),
        term_id=st.sampled_from((*term_ids, *hostile.EXTREMES)),
        flags=st.sampled_from(hostile.FLAGS),
        extreme=st.sampled_from(hostile.EXTREMES),
    )


def header(look: Look, offset: int, payload: bytes) -> bytes:
    """A frame of the look's kind; its lengths are right."""
    ids = (look.session_id, look.stream_id)
    if look.kind == hostile.SETUP:
        return hostile.setup(*ids, look.term_id, term_offset=offset, flags=look.flags)
    if look.kind == hostile.SM:
        return hostile.status_message(*ids, look.term_id, offset, flags=look.flags)
    if look.kind == hostile.NAK:
        return hostile.nak(*ids, look.term_id, offset, 64 + len(payload))
    if look.kind == hostile.ERR:
        return hostile.error_frame(*ids, payload[:1000])
    if look.kind == hostile.RTTM:
        return hostile.round_trip(*ids, flags=look.flags)
    return hostile.data(*ids, look.term_id, offset, payload, flags=look.flags, frame_type=look.kind)


def datagram(block: bytes, at: int, choices: list[Look]) -> Drawn:
    """The datagram that the bytes at a place of the block choose."""
    how, which, word, segment, length, place = CHOICE.unpack_from(block, at)
    look = choices[which % len(choices)]
    segment_length = SEGMENT_LENGTHS[segment % len(SEGMENT_LENGTHS)]
    noise = block[at : at + length % (MAX_DATAGRAM_BYTES + 1)]
    if how % 8 == 7:
        return Drawn(noise, segment_length)
    # Half of the places are near the beginning, where the streams are.
    offset = place % (2048 if how & 8 else 64) * 32
    frame = bytearray(header(look, offset, noise[: MAX_DATAGRAM_BYTES - 32]))
    if how % 8 in (1, 2):
        del frame[length % (len(frame) + 1) :]
    elif how % 8 == 3:
        struct.pack_into("<i", frame, word % 7 * 4, look.extreme)
    elif how % 8 == 4:
        frame[: len(noise)] = noise[: word % 48] + frame[word % 48 : len(noise)]
    elif how % 8 == 5:
        frame += noise
    return Drawn(bytes(frame[:MAX_DATAGRAM_BYTES]), segment_length)


@st.composite
def datagrams(
    draw: st.DrawFn,
    kinds: tuple[int, ...],
    sessions: tuple[int, ...],
    streams: tuple[int, ...],
    term_ids: tuple[int, ...],
) -> list[Drawn]:
    """As many datagrams as an example has."""
    block = draw(st.binary(min_size=MIN_BLOCK_BYTES, max_size=MAX_BLOCK_BYTES))
    choices = draw(st.lists(looks(kinds, sessions, streams, term_ids), min_size=3, max_size=12))
    step = (len(block) - CHOICE_BYTES) // (DATAGRAMS_AN_EXAMPLE - 1)
    return [datagram(block, index * step, choices) for index in range(DATAGRAMS_AN_EXAMPLE)]
