# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A driver's loss detector over a log in plain memory, for tests."""

from __future__ import annotations

import cython
from cython import address, cclass
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.string import memset
from cython.cimports.volans.driver.layout import LossDetector
from cython.cimports.volans.driver.loss_detector import (
    feedback_delay_ns,
    loss_detector_init,
    loss_detector_scan,
)
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.testing.log_kit import LogKit


@cclass
class LossDetectorKit:
    """A loss detector over the log of a `LogKit`. Times in nanoseconds, lengths in bytes."""

    kit: LogKit
    shared: SharedState
    detector: LossDetector

    def __init__(
        self,
        kit: LogKit,
        shared: SharedState,
        delay_ns: int64_t,
        retry_delay_ns: int64_t,
        is_multicast: bool = False,
    ):
        self.kit = kit
        self.shared = shared
        memset(address(self.detector), 0, cython.sizeof(LossDetector))
        loss_detector_init(address(self.detector))
        self.detector.delay_ns = delay_ns
        self.detector.retry_delay_ns = retry_delay_ns
        self.detector.is_multicast_backoff = is_multicast

    def scan(self, rebuild_position: int64_t, hwm_position: int64_t, now_ns: int64_t) -> tuple:
        """(offset up to which the term is whole, is there a new gap, the gap that is due or None).

        A gap is (term id, term offset, length).
        """
        loss_found: int32_t = 0
        is_due: int32_t = 0
        offset: int32_t = loss_detector_scan(
            address(self.detector),
            address(self.kit.log),
            rebuild_position,
            hwm_position,
            now_ns,
            address(self.shared.state),
            address(loss_found),
            address(is_due),
        )
        gap = None
        if is_due:
            gap = (
                self.detector.active_term_id,
                self.detector.active_term_offset,
                self.detector.active_length,
            )
        return offset, loss_found != 0, gap

    def delay_ns(self, is_retry: bool = False) -> int:
        """How long a NAK waits; drawn anew for a group."""
        return feedback_delay_ns(address(self.detector), address(self.shared.state), is_retry)
