"""Control frames as bytes, and the parts of sent frames, by PROTOCOL.md section 10."""

import struct

MS = 1_000_000
SECOND = 1_000 * MS
SESSION_ID = 1001
STREAM_ID = 10
INITIAL_TERM_ID = 7
TERM_LENGTH = 65536

BYTES_SENT = 0
SENDER_PROXY_FAILS = 3
NAKS_RECEIVED = 6
STATUS_MESSAGES_RECEIVED = 8
HEARTBEATS_SENT = 9
RETRANSMITS_SENT = 11
INVALID_PACKETS = 14
ERRORS = 15
SHORT_SENDS = 16
FLOW_CONTROL_LIMITS = 18
UNBLOCKED_PUBLICATIONS = 19
RETRANSMITTED_BYTES = 36
RETRANSMIT_OVERFLOW = 37
ERROR_FRAMES_RECEIVED = 38
PUBLICATIONS_REVOKED = 40
STATUS_MESSAGES_REJECTED = 44


def status_message(
    position=0,
    window=TERM_LENGTH // 2,
    *,
    flags=0,
    receiver_id=5,
    session_id=SESSION_ID,
    stream_id=STREAM_ID,
    term_length=TERM_LENGTH,
):
    return struct.pack(
        "<ibBhiiiiiq",
        36,
        0,
        flags,
        3,
        session_id,
        stream_id,
        INITIAL_TERM_ID + position // term_length,
        position % term_length,
        window,
        receiver_id,
    )


def nak(position, length, *, session_id=SESSION_ID, stream_id=STREAM_ID):
    return struct.pack(
        "<ibBhiiiii",
        28,
        0,
        0,
        2,
        session_id,
        stream_id,
        INITIAL_TERM_ID + position // TERM_LENGTH,
        position % TERM_LENGTH,
        length,
    )


def rttm(echo_timestamp_ns, *, flags=0x80, receiver_id=5, session_id=SESSION_ID):
    return struct.pack(
        "<ibBhiiqqq", 40, 0, flags, 6, session_id, STREAM_ID, echo_timestamp_ns, 9, receiver_id
    )


def error_frame(text, *, code=13, receiver_id=5, flags=0, group_tag=0, error_length=None):
    length = len(text) if error_length is None else error_length
    return (
        struct.pack(
            "<ibBhiiqqii",
            40 + len(text),
            0,
            flags,
            4,
            SESSION_ID,
            STREAM_ID,
            receiver_id,
            group_tag,
            code,
            length,
        )
        + text
    )


def heartbeat(position, *, flags=0xC0):
    return struct.pack(
        "<ibBhiiiiq",
        0,
        0,
        flags,
        1,
        position % TERM_LENGTH,
        SESSION_ID,
        STREAM_ID,
        INITIAL_TERM_ID + position // TERM_LENGTH,
        0,
    )


def setup(position=0, *, flags=0, ttl=0, mtu_length=1408):
    return struct.pack(
        "<ibBhiiiiiiii",
        40,
        0,
        flags,
        5,
        position % TERM_LENGTH,
        SESSION_ID,
        STREAM_ID,
        INITIAL_TERM_ID,
        INITIAL_TERM_ID + position // TERM_LENGTH,
        TERM_LENGTH,
        mtu_length,
        ttl,
    )


def term_offsets(datagrams):
    return [struct.unpack_from("<i", datagram, 8)[0] for datagram in datagrams]


def frame_types(datagrams):
    return [struct.unpack_from("<h", datagram, 6)[0] for datagram in datagrams]
