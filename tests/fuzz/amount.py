"""How many hostile inputs each decoder gets: 20,000, or VOLANS_FUZZ_INPUTS in a long run."""

from __future__ import annotations

import os

DEFAULT_INPUTS = 20_000


def inputs(parts: int = 1) -> int:
    """Inputs for one of so many tests (seeds) that share a decoder."""
    return -(-int(os.environ.get("VOLANS_FUZZ_INPUTS", DEFAULT_INPUTS)) // parts)


def scaled(count: int) -> int:
    """`count`, or as many times more as a long run has more inputs (dear ones: whole sequences)."""
    return max(count, count * inputs() // DEFAULT_INPUTS)
