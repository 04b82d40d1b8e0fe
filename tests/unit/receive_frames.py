"""Frames as bytes, written out field by field (PROTOCOL.md section 10)."""

from __future__ import annotations

import struct

SESSION = 11
STREAM = 1001
TERM_ID = 7
RECEIVER_ID = 77
TERM_LENGTH = 65536
PAD, DATA = 0, 1


def frame(term_offset, payload, *, term_id=TERM_ID, session=SESSION, stream=STREAM, flags=0xC0):
    """A data frame, padded to the frame alignment."""
    header = struct.pack(
        "<ibBhiiiiq", 32 + len(payload), 0, flags, DATA, term_offset, session, stream, term_id, 0
    )
    return (header + payload).ljust((32 + len(payload) + 31) // 32 * 32, b"\0")


def padding(term_offset, length, *, term_id=TERM_ID, session=SESSION, stream=STREAM):
    """A padding frame as it travels: its header alone."""
    return struct.pack("<ibBhiiiiq", length, 0, 0xC0, PAD, term_offset, session, stream, term_id, 0)


def heartbeat(term_offset, *, term_id=TERM_ID, session=SESSION, stream=STREAM, flags=0xC0):
    return struct.pack("<ibBhiiiiq", 0, 0, flags, DATA, term_offset, session, stream, term_id, 0)


def setup(
    *,
    term_offset=0,
    session=SESSION,
    stream=STREAM,
    initial_term_id=TERM_ID,
    active_term_id=TERM_ID,
    term_length=TERM_LENGTH,
    mtu=1408,
    ttl=0,
    flags=0,
):
    return struct.pack(
        "<ibBhiiiiiiii",
        40,
        0,
        flags,
        5,
        term_offset,
        session,
        stream,
        initial_term_id,
        active_term_id,
        term_length,
        mtu,
        ttl,
    )


def status_message(
    term_id, term_offset, window, *, flags=0, session=SESSION, stream=STREAM, group_tag=None
):
    fields = (session, stream, term_id, term_offset, window, RECEIVER_ID)
    if group_tag is None:
        return struct.pack("<ibBhiiiiiq", 36, 0, flags, 3, *fields)
    return struct.pack("<ibBhiiiiiqq", 44, 0, flags, 3, *fields, group_tag)


def setup_request(*, session=SESSION, stream=STREAM):
    return status_message(0, 0, 0, flags=0x80, session=session, stream=stream)


def nak(term_id, term_offset, length, *, session=SESSION, stream=STREAM):
    return struct.pack("<ibBhiiiii", 28, 0, 0, 2, session, stream, term_id, term_offset, length)


def rttm(echo_ns, *, flags, receiver_id=RECEIVER_ID, session=SESSION, stream=STREAM, delta_ns=0):
    return struct.pack(
        "<ibBhiiqqq", 40, 0, flags, 6, session, stream, echo_ns, delta_ns, receiver_id
    )


def error(code, text, *, session=SESSION, stream=STREAM, group_tag=None):
    return (
        struct.pack(
            "<ibBhiiqqii",
            40 + len(text),
            0,
            0 if group_tag is None else 8,
            4,
            session,
            stream,
            RECEIVER_ID,
            -1 if group_tag is None else group_tag,
            code,
            len(text),
        )
        + text
    )
