"""Sizes and durations, as the official driver reads and writes them."""

from __future__ import annotations

import pytest

from volans.protocol.units import (
    INT64_MAX,
    UnitError,
    format_duration_ns,
    format_size,
    parse_bool,
    parse_duration_ns,
    parse_integer,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1408", 1408),
        ("64k", 65536),
        ("64K", 65536),
        ("16m", 16 << 20),
        ("1G", 1 << 30),
        ("8589934591g", 8589934591 << 30),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", " ", "k", "-1", "1kb", "1t", "1.5k", "8589934592g", "9223372036854775808", "1 k"]
)
def test_bad_sizes_are_refused(text: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_size(text)
    assert caught.value.text == text
    assert "size" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("250", 250),
        ("250ns", 250),
        ("1us", 1_000),
        ("100ms", 100_000_000),
        ("100MS", 100_000_000),
        ("5s", 5_000_000_000),
        ("9223372037s", INT64_MAX),
        ("9223372036854775807", INT64_MAX),
    ],
)
def test_durations_are_read(text: str, duration_ns: int) -> None:
    assert parse_duration_ns(text) == duration_ns


@pytest.mark.parametrize("text", ["", "s", "-5s", "5m", "5u", "5sec", "5 s", "1h", "1e3"])
def test_bad_durations_are_refused(text: str) -> None:
    with pytest.raises(UnitError, match="duration"):
        parse_duration_ns(text)


def test_values_are_written_in_the_largest_exact_unit() -> None:
    assert format_size(65536) == "64k"
    assert format_size(65537) == "65537"
    assert format_size(1 << 30) == "1g"
    assert format_duration_ns(5_000_000_000) == "5s"
    assert format_duration_ns(1_500_000) == "1500us"
    assert format_duration_ns(0) == "0ns"
    with pytest.raises(UnitError):
        format_size(-1)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("on", True), ("1", True), ("false", False), ("off", False), ("0", False)],
)
def test_truth_values(text: str, value: bool) -> None:
    assert parse_bool(text) is value


def test_bad_truth_values_are_refused() -> None:
    with pytest.raises(UnitError, match="maybe"):
        parse_bool("maybe")


def test_integers_have_limits() -> None:
    assert parse_integer("-5", -5, 5) == -5
    assert parse_integer("0x10", 0, 99) == 16
    for text in ("6", "0x", "", "5x", "1_0", "٣"):
        with pytest.raises(UnitError, match="from -5 to 5"):
            parse_integer(text, -5, 5)
