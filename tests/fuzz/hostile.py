"""Makes hostile datagrams: valid frames, then what a broken or malicious sender makes of them.

Everything follows from one `random.Random`, so a seed names an input.
"""

from __future__ import annotations

import random
import struct

PAD, DATA, NAK, SM, ERR, SETUP, RTTM, RES, ATS, RSP_SETUP = 0, 1, 2, 3, 4, 5, 6, 7, 8, 11
FRAME_TYPES = (PAD, DATA, NAK, SM, ERR, SETUP, RTTM, RES, ATS, 9, 10, RSP_SETUP, 12, 0x7FFF, -1)
EXTREMES = (
    *(0, 1, 3, 7, 8, 24, 31, 32, 33, 64, 4096, 65503, 65504, 65535, 65536, 131072),
    *(1 << 20, 1 << 30, (1 << 31) - 1, (1 << 31) - 32, -1, -31, -32, -33, -65536, -(1 << 31)),
)
INT64_EXTREMES = (0, 1, -1, (1 << 63) - 1, -(1 << 63), 1 << 40, 1_000_000_000)

# flags: data begin/end/end of stream/revoked, SM send-setup/end of stream, SETUP group, RTTM reply
FLAGS = (0, 0xC0, 0x80, 0x40, 0x20, 0x10, 0xE0, 0xF0, 0xFF)


def data(
    session_id: int,
    stream_id: int,
    term_id: int,
    term_offset: int,
    payload: bytes = b"",
    *,
    flags: int = 0xC0,
    frame_type: int = DATA,
    frame_length: int | None = None,
) -> bytes:
    """A data (or padding) frame, aligned; `frame_length` 0 and no payload is a heartbeat."""
    length = 32 + len(payload) if frame_length is None else frame_length
    frame = struct.pack(
        "<ibBhiiiiq", length, 0, flags, frame_type, term_offset, session_id, stream_id, term_id, 0
    )
    return (frame + payload).ljust(-(-(32 + len(payload)) // 32) * 32, b"\0")


def heartbeat(session_id: int, stream_id: int, term_id: int, term_offset: int, flags=0xC0) -> bytes:
    return data(session_id, stream_id, term_id, term_offset, flags=flags, frame_length=0)


def setup(
    session_id: int,
    stream_id: int,
    term_id: int,
    *,
    initial_term_id: int | None = None,
    term_offset: int = 0,
    term_length: int = 65536,
    mtu: int = 1408,
    ttl: int = 0,
    flags: int = 0,
) -> bytes:
    initial = term_id if initial_term_id is None else initial_term_id
    return struct.pack(
        "<ibBhiiiiiiii",
        *(40, 0, flags, SETUP, term_offset, session_id, stream_id, initial, term_id),
        *(term_length, mtu, ttl),
    )


def status_message(
    session_id: int,
    stream_id: int,
    term_id: int,
    term_offset: int,
    window: int = 32768,
    *,
    receiver_id: int = 5,
    flags: int = 0,
) -> bytes:
    return struct.pack(
        "<ibBhiiiiiq",
        *(36, 0, flags, SM, session_id, stream_id, term_id, term_offset, window, receiver_id),
    )


def nak(session_id: int, stream_id: int, term_id: int, term_offset: int, length: int) -> bytes:
    return struct.pack(
        "<ibBhiiiii", 28, 0, 0, NAK, session_id, stream_id, term_id, term_offset, length
    )


def error_frame(
    session_id: int, stream_id: int, text: bytes = b"no", *, text_length: int | None = None
) -> bytes:
    length = len(text) if text_length is None else text_length
    header = struct.pack(
        "<ibBhiiqqii", 40 + len(text), 0, 0, ERR, session_id, stream_id, 5, 0, 1, length
    )
    return header + text


def round_trip(session_id: int, stream_id: int, *, flags: int = 0, receiver_id: int = 5) -> bytes:
    return struct.pack("<ibBhiiqqq", 40, 0, flags, RTTM, session_id, stream_id, 1, 2, receiver_id)


class HostileSender:
    """Endless datagrams around given streams and sessions."""

    def __init__(
        self,
        seed: int,
        *,
        sessions: tuple[int, ...],
        streams: tuple[int, ...],
        term_ids: tuple[int, ...],
        flood_sessions: int = 0,
    ) -> None:
        self.random = random.Random(seed)
        self.sessions = sessions
        self.streams = streams
        self.term_ids = term_ids
        self.flood_sessions = flood_sessions

    def word(self) -> int:
        return self.random.choice(EXTREMES)

    def session(self) -> int:
        if self.flood_sessions and self.random.random() < 0.3:
            return 1_000_000 + self.random.randrange(self.flood_sessions)
        return self.random.choice(self.sessions)

    def stream(self) -> int:
        return self.random.choice(self.streams)

    def term_id(self) -> int:
        if self.random.random() < 0.7:
            return self.random.choice(self.term_ids)
        return self.word()

    def offset(self) -> int:
        return self.random.choice((self.random.randrange(0, 2048) * 32, self.word()))

    def frame(self) -> bytes:
        """A frame whose fields are right or extreme, and whose lengths fit."""
        rng = self.random
        kind = rng.choice((DATA, DATA, DATA, PAD, SETUP, SM, NAK, ERR, RTTM))
        ids = (self.session(), self.stream())
        flags = rng.choice(FLAGS)
        if kind in (DATA, PAD):
            length = rng.choice((None, None, 0, self.word()))
            payload = rng.randbytes(rng.choice((0, 0, 32, 96, 1376, rng.randrange(0, 1400))))
            frame = data(
                *ids,
                self.term_id(),
                self.offset(),
                payload,
                flags=flags,
                frame_type=kind,
                frame_length=length,
            )
            # A datagram may hold several frames.
            return frame + self.frame() if rng.random() < 0.1 else frame
        if kind == SETUP:
            return setup(
                *ids,
                self.term_id(),
                initial_term_id=rng.choice((None, self.term_id())),
                term_offset=self.offset(),
                term_length=rng.choice((65536, 65536, 131072, self.word())),
                mtu=rng.choice((1408, 1408, 32, 64, self.word())),
                ttl=rng.choice((0, self.word())),
                flags=flags,
            )
        if kind == SM:
            return status_message(
                *ids,
                self.term_id(),
                self.offset(),
                rng.choice((32768, self.word())),
                receiver_id=rng.choice((5, rng.getrandbits(40), rng.choice(INT64_EXTREMES))),
                flags=flags,
            )
        if kind == NAK:
            return nak(*ids, self.term_id(), self.offset(), rng.choice((64, self.word())))
        if kind == ERR:
            text = rng.randbytes(rng.choice((0, 5, 1023, 1100)))
            return error_frame(*ids, text, text_length=rng.choice((None, self.word())))
        return round_trip(*ids, flags=flags, receiver_id=rng.choice((0, 5, 77)))

    def datagram(self) -> bytes:
        """A frame as it should be, mutated, cut, stretched, or plain noise."""
        rng = self.random
        how = rng.random()
        if how < 0.1:
            return rng.randbytes(rng.choice((0, 1, 7, 8, 23, 24, 31, 32, 40, 64, 1408)))
        frame = bytearray(self.frame())
        if how < 0.25:
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(0, max(1, min(len(frame), 48) // 4)) * 4
                if at + 4 <= len(frame):
                    struct.pack_into("<i", frame, at, self.word())
        elif how < 0.35:
            for _ in range(rng.randrange(1, 6)):
                frame[rng.randrange(len(frame))] = rng.randrange(256)
        elif how < 0.45:
            del frame[rng.randrange(len(frame)) :]
        elif how < 0.5:
            frame += rng.randbytes(rng.choice((1, 4, 31, 32, 100)))
        elif how < 0.55 and len(frame) >= 8:
            struct.pack_into("<h", frame, 6, rng.choice(FRAME_TYPES))
        return bytes(frame)
