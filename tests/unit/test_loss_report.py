"""The loss report: layout, the aligned advance, full reports and hostile contents."""

import struct

import pytest

from volans.memory.loss_report import LossReport, LossReportReader


def test_the_bytes_are_those_of_the_official_layout():
    buffer = bytearray(1024)
    report = LossReport(buffer)
    entry = report.create_entry(100, 7, -3, 1001, "aeron", "host:1")
    report.observe(entry, 50, 9)
    assert struct.unpack_from("<qqqqiii5s", buffer, 0) == (2, 150, 7, 9, -3, 1001, 5, b"aeron")
    # The channel is padded to 8, so the source's length stands at 40 + 4 + 8.
    assert struct.unpack_from("<i6s", buffer, 52) == (6, b"host:1")


def test_a_pad_that_crosses_into_the_next_block_does_not_hide_the_next_entry():
    # 40 + 4 + 13 + 4 + 3 = 64 bytes without the channel's pad, 67 with it: two blocks.
    buffer = bytearray(1024)
    report = LossReport(buffer)
    assert report.create_entry(1, 1, 1, 1, "c" * 13, "sss") == 0
    assert report.create_entry(2, 2, 2, 2, "d", "t") == 128
    assert [entry.channel for entry in LossReportReader(buffer)] == ["c" * 13, "d"]


def test_a_full_report_says_none_and_keeps_what_it_has():
    buffer = bytearray(128)
    report = LossReport(buffer)
    assert report.create_entry(1, 1, 1, 1, "a", "b") == 0
    assert report.create_entry(1, 1, 1, 1, "a" * 100, "b") is None
    assert report.create_entry(1, 1, 1, 1, "a" * 10_000, "b") is None
    assert report.create_entry(1, 1, 1, 2, "a", "b") == 64
    assert report.create_entry(1, 1, 1, 3, "", "") is None
    assert [entry.stream_id for entry in LossReportReader(buffer)] == [1, 2]


def test_an_existing_report_is_continued():
    buffer = bytearray(1024)
    LossReport(buffer).create_entry(1, 1, 1, 1, "a", "b")
    assert LossReport(buffer).create_entry(1, 1, 1, 2, "a", "b") == 64


@pytest.mark.parametrize(
    ("offset", "value"),
    [(64 + 40, -1), (64 + 40, 2**31 - 1), (64 + 40, 950), (64 + 48, -5), (64 + 48, 2**31 - 1)],
)
def test_reading_ends_at_lengths_that_cannot_be(offset, value):
    buffer = bytearray(1024)
    report = LossReport(buffer)
    report.create_entry(1, 1, 1, 1, "a", "b")
    report.create_entry(1, 1, 1, 2, "c", "d")
    struct.pack_into("<i", buffer, offset, value)
    reader = LossReportReader(buffer)
    assert [entry.stream_id for entry in reader] == [1]
    assert reader.corrupt_offset == 64


@pytest.mark.parametrize("entry", [-1, 64, 7, 1 << 40])
def test_observing_an_entry_that_is_none_is_refused(entry):
    report = LossReport(bytearray(1024))
    report.create_entry(1, 1, 1, 1, "a", "b")
    with pytest.raises(ValueError, match=f"entry={entry} is not an entry"):
        report.observe(entry, 1, 1)
