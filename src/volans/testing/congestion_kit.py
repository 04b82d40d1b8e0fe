# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A congestion control by itself: an image that has nothing but what it looks at."""

from __future__ import annotations

import cython
from cython import address, bint, cclass
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.congestion.registry import congestion_control_open
from cython.cimports.volans.driver.layout import DriverShared, PublicationImage


@cclass
class CongestionKit:
    """The congestion control of that name. Times are ns, lengths bytes; one thread."""

    def __init__(
        self,
        name: str,
        *,
        term_length: int32_t = 65536,
        mtu_length: int32_t = 1408,
        receiver_window_length: int32_t = 131072,
        initial_rtt_ns: int64_t = 100_000,
        measure_rtt: bint = False,
        tcp_mode: bint = False,
        now_ns: int64_t = 0,
    ):
        encoded: bytes = name.encode()
        memset(address(self.shared), 0, cython.sizeof(DriverShared))
        memset(address(self.image), 0, cython.sizeof(PublicationImage))
        self.shared.cubic_initial_rtt_ns = initial_rtt_ns
        self.shared.cubic_measure_rtt = measure_rtt
        self.shared.cubic_tcp_mode = tcp_mode
        self.image.shared = address(self.shared)
        self.image.log.term_length = term_length
        self.image.mtu_length = mtu_length
        self.image.congestion_control.rtt_counter = address(self.rtt_counter)
        self.image.congestion_control.window_counter = address(self.window_counter)
        if congestion_control_open(address(self.image), encoded, receiver_window_length, now_ns):
            raise ValueError(f"congestion control {name!r} is not known")

    def __dealloc__(self):
        if self.image.congestion_control.ops != cython.NULL:
            self.image.congestion_control.ops.close(address(self.image))

    def track(
        self,
        now_ns: int64_t,
        *,
        loss: bint = False,
        consumption_position: int64_t = 0,
        last_sm_position: int64_t = 0,
    ) -> tuple:
        """(window length, whether a status message goes out at once) after a duty cycle."""
        is_forced: int32_t = 0
        window_length: int32_t = self.image.congestion_control.ops.on_track_rebuild(
            address(self.image),
            address(is_forced),
            now_ns,
            consumption_position,
            last_sm_position,
            0,
            0,
            0,
            loss,
        )
        return window_length, is_forced != 0

    def should_measure_rtt(self, now_ns: int64_t) -> bool:
        """Whether the receiver shall send an RTTM now."""
        return (
            self.image.congestion_control.ops.should_measure_rtt(address(self.image), now_ns) != 0
        )

    def rttm_sent(self, now_ns: int64_t) -> None:
        """An RTTM was sent."""
        self.image.congestion_control.ops.on_rttm_sent(address(self.image), now_ns)

    def rttm(self, now_ns: int64_t, rtt_ns: int64_t) -> None:
        """An answer came."""
        self.image.congestion_control.ops.on_rttm(
            address(self.image), now_ns, rtt_ns, address(self.image.source)
        )

    @property
    def initial_window_length(self) -> int:
        """The window a new stream begins with."""
        return self.image.congestion_control.ops.initial_window_length(address(self.image))

    @property
    def max_window_length(self) -> int:
        """The window the stream may grow to."""
        return self.image.congestion_control.ops.max_window_length(address(self.image))

    @property
    def rtt_ns(self) -> int:
        """The round trip's counter."""
        return self.rtt_counter

    @property
    def window_length(self) -> int:
        """The window's counter."""
        return self.window_counter
