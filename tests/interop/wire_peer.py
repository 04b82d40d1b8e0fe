"""A hand-made receiver or sender on a socket: plays a script with a driver and keeps its frames.

What a driver sends again and again (set-ups, heartbeats, status messages) is kept once a step, so
a script gives the same frames however fast the machine is.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Self

PAD, DATA, NAK, SM, ERR, SETUP, RTTM = 0, 1, 2, 3, 4, 5, 6
NAMES = {PAD: "PAD", DATA: "DATA", NAK: "NAK", SM: "SM", ERR: "ERR", SETUP: "SETUP", RTTM: "RTTM"}
SEND_SETUP = 0x80
DATA_HEADER_BYTES = 32
HEARTBEAT = "HEARTBEAT"
# Where a frame holds the receiver's id (8 bytes): random by design.
RECEIVER_ID_AT = {SM: 28, ERR: 16, RTTM: 32}


def kind_of(datagram: bytes) -> str:
    """Name of a datagram's first frame; a data frame that is header only is a heartbeat."""
    (frame_type,) = struct.unpack_from("<H", datagram, 6)
    if frame_type == DATA and struct.unpack_from("<i", datagram)[0] in (0, DATA_HEADER_BYTES):
        return HEARTBEAT
    return NAMES.get(frame_type, str(frame_type))


def masked(datagram: bytes) -> bytes:
    """The datagram without the receiver's id."""
    at = RECEIVER_ID_AT.get(struct.unpack_from("<H", datagram, 6)[0])
    return datagram if at is None else datagram[:at] + bytes(8) + datagram[at + 8 :]


class WirePeer:
    """One end of a stream, played by the test.

    `transcript` has a list of distinct datagrams for each step of the script, in order.
    """

    def __init__(self, remote_port: int | None = None) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._remote = ("127.0.0.1", remote_port) if remote_port else None
        self.port: int = self._socket.getsockname()[1]
        self.transcript: dict[str, list[bytes]] = {}

    def send(self, datagram: bytes) -> None:
        """To the driver: to where it was last heard from unless a port was given."""
        assert self._remote is not None, "nothing heard from the driver yet"
        self._socket.sendto(datagram, self._remote)

    def expect(
        self,
        step: str,
        wanted: Callable[[list[bytes]], bool],
        keep: tuple[str, ...],
        *,
        only: Callable[[bytes], bool] = lambda _: True,
        repeat: Callable[[], None] | None = None,
        timeout_s: float = 15.0,
    ) -> list[bytes]:
        """Receive until `wanted` says so; keep the step's distinct datagrams of these kinds.

        `only` leaves out more; `repeat` is called whenever there is nothing to receive.
        """
        kept: list[bytes] = []
        deadline = time.monotonic() + timeout_s
        self._socket.settimeout(0.005)
        while not wanted(kept):
            assert time.monotonic() < deadline, f"{step}: only {shown(kept)} in {timeout_s} s"
            try:
                datagram, source = self._socket.recvfrom(65536)
            except TimeoutError:
                if repeat is not None:
                    repeat()
                continue
            if self._remote is None:
                self._remote = source
            datagram = masked(datagram)
            if kind_of(datagram) in keep and only(datagram) and datagram not in kept:
                kept.append(datagram)
        self.transcript[step] = kept
        return kept

    def forget(self) -> None:
        """Drop what has come and was not looked at."""
        self._socket.setblocking(False)
        while True:
            try:
                self._socket.recvfrom(65536)
            except BlockingIOError:
                return

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shown(datagrams: list[bytes]) -> str:
    """Datagrams as text, for failures."""
    return ", ".join(f"{kind_of(each)}[{len(each)}] {each[:48].hex()}" for each in datagrams)


def has(kind: str, at: bytes = b"") -> Callable[[list[bytes]], bool]:
    """Whether a datagram of a kind has come (and contains these bytes)."""
    return lambda kept: any(kind_of(each) == kind and at in each for each in kept)
