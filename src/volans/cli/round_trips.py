"""Round-trip times: percentiles for people and programs, and HDR histogram logs."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from volans.cli.failures import CommandFailedError

PERCENTILES: Final = (0.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0)
_HIGHEST_TRACKABLE_NS: Final = 3_600_000_000_000
_SIGNIFICANT_DIGITS: Final = 3


class RoundTrips:
    """Exact times of round trips in nanoseconds, taken from ``started_ms`` on (epoch)."""

    def __init__(self, times_ns: Sequence[int], started_ms: int, ended_ms: int) -> None:
        self._sorted_ns = array("q", sorted(times_ns))
        self.started_ms = started_ms
        self.ended_ms = ended_ms

    def __len__(self) -> int:
        return len(self._sorted_ns)

    def percentile_ns(self, percentile: float) -> int:
        """The least time that so many percent of the round trips did not exceed."""
        count = len(self._sorted_ns)
        if count == 0:
            return 0
        rank = -(-count * percentile // 100)
        return self._sorted_ns[min(count, max(1, int(rank))) - 1]

    @property
    def mean_ns(self) -> float:
        """The arithmetic mean."""
        return sum(self._sorted_ns) / len(self._sorted_ns) if self._sorted_ns else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """Percentiles for a table, in microseconds."""
        return [
            {
                "percentile": _percentile_name(percentile),
                "microseconds": self.percentile_ns(percentile) / 1e3,
                "above": self._count_above(percentile),
            }
            for percentile in PERCENTILES
        ]

    def as_json(self) -> dict[str, Any]:
        """Percentiles for programs."""
        return {
            "count": len(self),
            "mean_ns": round(self.mean_ns, 1),
            "min_ns": self.percentile_ns(0),
            "p50_ns": self.percentile_ns(50),
            "p90_ns": self.percentile_ns(90),
            "p99_ns": self.percentile_ns(99),
            "p99_9_ns": self.percentile_ns(99.9),
            "p99_99_ns": self.percentile_ns(99.99),
            "max_ns": self.percentile_ns(100),
        }

    def write_hlog(self, path: Path, tag: str) -> None:
        """Write a histogram log of one interval, in nanoseconds.

        Raises CommandFailedError when the package ``hdrhistogram`` is not installed.
        """
        check_hlog()
        from hdrh.histogram import HdrHistogram
        from hdrh.log import HistogramLogWriter

        histogram = HdrHistogram(1, _HIGHEST_TRACKABLE_NS, _SIGNIFICANT_DIGITS)
        for time_ns in self._sorted_ns:
            histogram.record_value(min(max(time_ns, 1), _HIGHEST_TRACKABLE_NS))
        histogram.set_start_time_stamp(self.started_ms)
        histogram.set_end_time_stamp(self.ended_ms)
        histogram.set_tag(tag)
        with path.open("w", encoding="ascii") as file:
            writer = HistogramLogWriter(file)
            writer.output_log_format_version()
            writer.output_comment("round-trip times of volans ping, in nanoseconds")
            writer.output_base_time(0)
            # The package's own output_start_time fails on any time.
            file.write(f"#[StartTime: {self.started_ms / 1e3:f} (seconds since epoch)]\n")
            writer.output_legend()
            writer.output_interval_histogram(histogram, max_value_unit_ratio=1.0)

    def _count_above(self, percentile: float) -> int:
        return len(self) - bisect_right(self._sorted_ns, self.percentile_ns(percentile))


def check_hlog() -> None:
    """Raise CommandFailedError when histogram logs cannot be written."""
    from importlib.util import find_spec

    if find_spec("hdrh") is None:
        raise CommandFailedError("--hlog needs the package hdrhistogram: pip install 'volans[hdr]'")


def _percentile_name(percentile: float) -> str:
    return {0.0: "min", 100.0: "max"}.get(percentile, f"p{percentile:g}")
