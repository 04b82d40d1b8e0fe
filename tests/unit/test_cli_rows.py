"""What the command-line tools compute before they print: rows, filters, percentiles, marks."""

from __future__ import annotations

import hashlib
import io
import random

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from volans.cli.counter_rows import CounterFilter, CounterRow, read_type, type_name
from volans.cli.demo import display_row
from volans.cli.failures import CommandFailedError, exit_code_of, one_line
from volans.cli.file_transfer import FileReceiver, ReplacingFile, file_messages
from volans.cli.marks import Mark, mark_of, pack, reserved_value_of
from volans.cli.options import read_channel, read_seconds, read_size
from volans.cli.output import clean, format_bytes, format_value
from volans.cli.rate_loops import RateReport
from volans.cli.round_trips import RoundTrips
from volans.cli.session import Patience
from volans.cli.stat import display_rows
from volans.cli.stream_rows import backlog_rows, group_by_stream, stream_rows
from volans.errors import ConfigError, DriverNotRunningError
from volans.protocol.counter_types import CounterType

UDP = "aeron:udp?endpoint=localhost:1"


def stream_counter(counter_id, type_id, value, *, session=5, stream=7, channel=UDP, registration=1):
    return CounterRow(
        counter_id,
        type_id,
        value,
        f"{type_name(type_id)}: …",
        0,
        0,
        0,
        {
            "registration_id": registration,
            "session_id": session,
            "stream_id": stream,
            "channel": channel,
        },
    )


def system_counter(counter_id, value):
    return CounterRow(counter_id, 0, value, "a system counter", 0, -1, 0, {})


@pytest.mark.parametrize("text", ["4", "sub-pos", "SUBSCRIBER_POSITION", "subscriber-position"])
def test_a_counter_type_has_a_number_and_two_names(text):
    assert read_type(text) == CounterType.SUBSCRIBER_POSITION


def test_every_counter_type_is_found_by_the_name_it_is_shown_with():
    for member in CounterType:
        assert read_type(type_name(member)) == member
    assert type_name(4711) == "4711"
    assert read_type("4711") == 4711


def test_an_unknown_counter_type_is_refused_with_the_known_ones():
    with pytest.raises(typer.BadParameter, match=r"'sub-ps' is no counter type.*sub-pos"):
        read_type("sub-ps")


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        (CounterFilter(), [1, 2, 3, 4]),
        (CounterFilter(types=frozenset({0})), [1, 4]),
        (CounterFilter(types=frozenset({0, 4})), [1, 2, 4]),
        (CounterFilter(identities=frozenset({11})), [2]),
        (CounterFilter(identities=frozenset({99})), [3]),
        (CounterFilter(sessions=frozenset({-5})), [2]),
        (CounterFilter(streams=frozenset({8, 9})), [3]),
        (CounterFilter(channels=("ipc",)), [2]),
        (CounterFilter(channels=("ipc", "endpoint=")), [2, 3]),
        (CounterFilter(channels=("ipc",), streams=frozenset({8})), []),
        (CounterFilter(non_zero=True), [1, 2, 3]),
    ],
)
def test_filters_choose_counters(wanted, passing):
    rows = [
        system_counter(1, 1),
        stream_counter(2, 4, 1, session=-5, channel="aeron:ipc", registration=11),
        CounterRow(3, 1, 1, "", 99, 0, 0, {"session_id": 1, "stream_id": 8, "channel": UDP}),
        system_counter(4, 0),
    ]
    assert [row.id for row in rows if wanted.matches(row)] == passing


def test_rates_compare_only_a_counter_with_itself():
    rows = [system_counter(1, 50), CounterRow(2, 0, 7, "new owner", 0, 0, 0)]
    before = {1: ("a system counter", 20), 2: ("old owner", 1)}
    assert [row["rate"] for row in display_rows(rows, before, 2.0)] == [15, None]
    assert [row["rate"] for row in display_rows(rows)] == [None, None]


def test_counters_are_grouped_by_stream_in_the_order_a_message_passes_them():
    grouped = group_by_stream(
        [
            system_counter(0, 1),
            stream_counter(9, CounterType.SUBSCRIBER_POSITION, 1, stream=2),
            stream_counter(8, CounterType.RECEIVER_HWM, 2, stream=2),
            stream_counter(7, CounterType.PUBLISHER_POSITION, 3, stream=2),
            stream_counter(6, CounterType.PUBLISHER_LIMIT, 4, stream=1),
        ]
    )
    assert [(row["stream_id"], row["name"]) for row in stream_rows(grouped)] == [
        (1, "pub-lmt"),
        (2, "pub-pos"),
        (2, "rcv-hwm"),
        (2, "sub-pos"),
    ]


def test_backlogs_over_udp():
    rows = backlog_rows(
        group_by_stream(
            [
                stream_counter(1, CounterType.PUBLISHER_POSITION, 1000),
                stream_counter(2, CounterType.PUBLISHER_LIMIT, 1500),
                stream_counter(3, CounterType.SENDER_POSITION, 900),
                stream_counter(4, CounterType.SENDER_LIMIT, 1200),
                stream_counter(5, CounterType.RECEIVER_HWM, 800),
                stream_counter(6, CounterType.RECEIVER_POSITION, 700),
                stream_counter(7, CounterType.SUBSCRIBER_POSITION, 100, registration=21),
                stream_counter(8, CounterType.SUBSCRIBER_POSITION, 810, registration=22),
            ]
        )
    )
    assert [(row["part"], row["backlog_bytes"], row["window_bytes"]) for row in rows] == [
        ("publisher", None, 500),
        ("sender", 100, 300),
        ("receiver", 100, None),
        ("subscriber", 700, None),
        ("subscriber", 0, None),  # it read on between the two looks
    ]


def test_backlogs_over_ipc_and_of_spies_count_from_the_publisher():
    rows = backlog_rows(
        group_by_stream(
            [
                stream_counter(1, CounterType.PUBLISHER_POSITION, 640, channel="aeron:ipc"),
                stream_counter(2, CounterType.SUBSCRIBER_POSITION, 600, channel="aeron:ipc"),
                stream_counter(3, CounterType.SUBSCRIBER_POSITION, 0, channel=f"aeron-spy:{UDP}"),
            ]
        )
    )
    backlogs = {row["channel"]: row["backlog_bytes"] for row in rows if row["part"] != "publisher"}
    assert backlogs == {"aeron:ipc": 40, f"aeron-spy:{UDP}": 640}


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.floats(0.01, 100))
def test_percentiles_are_the_least_values_that_enough_do_not_exceed(times_ns, percentile):
    value = RoundTrips(times_ns, 0, 1).percentile_ns(percentile)
    assert value in times_ns
    assert 100 * sum(time <= value for time in times_ns) >= percentile * len(times_ns) * (1 - 1e-9)
    below = sum(time < value for time in times_ns)
    assert 100 * below < percentile * len(times_ns) * (1 + 1e-9)


def test_round_trips_for_people_and_programs():
    trips = RoundTrips(range(1, 1001), 0, 1)
    assert trips.as_json() == {
        "count": 1000,
        "mean_ns": 500.5,
        "min_ns": 1,
        "p50_ns": 500,
        "p90_ns": 900,
        "p99_ns": 990,
        "p99_9_ns": 999,
        "p99_99_ns": 1000,
        "max_ns": 1000,
    }
    assert {row["percentile"]: row["above"] for row in trips.rows()}["p99"] == 10
    assert RoundTrips([], 0, 1).as_json()["p50_ns"] == 0


def test_the_histogram_log_is_read_by_the_package(tmp_path):
    pytest.importorskip("hdrh")
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader

    path = tmp_path / "ping.hlog"
    RoundTrips([1000, 2000, 3000, 10**15], 1_700_000_000_000, 1_700_000_002_500).write_hlog(
        path, "ping"
    )
    reader = HistogramLogReader(str(path), HdrHistogram(1, 3_600_000_000_000, 3))
    histogram = reader.get_next_interval_histogram()
    assert histogram.get_total_count() == 4
    assert histogram.get_value_at_percentile(50) == pytest.approx(2000, rel=1e-3)
    assert "2.500" in path.read_text().splitlines()[-1].split(",")[1]


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_marks_do_not_take_other_peoples_reserved_values(value):
    mark = mark_of(value)
    assert mark is Mark.NONE or reserved_value_of(mark) == value


def test_every_mark_travels():
    for mark in Mark:
        value = reserved_value_of(mark)
        assert -(1 << 63) <= value < 1 << 63
        assert mark_of(value) is mark


@given(st.binary(max_size=4000), st.integers(1, 1000))
def test_a_file_comes_out_as_it_went_in(content, chunk_bytes):
    output = io.BytesIO()
    receiver = FileReceiver(output)
    for mark, payload in file_messages(io.BytesIO(content), "name", len(content), chunk_bytes):
        assert not receiver.is_complete
        receiver.accept(mark, memoryview(payload), 1)
    assert receiver.is_complete
    assert output.getvalue() == content
    assert receiver.sha256 == hashlib.sha256(content).hexdigest()
    assert (receiver.name, receiver.length_bytes) == ("name", len(content))


@pytest.mark.parametrize("fault", ["lost", "doubled", "swapped", "changed"])
def test_a_file_that_is_not_the_same_is_refused(fault):
    content = random.Random(1).randbytes(1000)
    messages = list(file_messages(io.BytesIO(content), "name", 1000, 100))
    if fault == "lost":
        del messages[3]
    elif fault == "doubled":
        messages.insert(3, messages[3])
    elif fault == "swapped":
        messages[3], messages[4] = messages[4], messages[3]
    else:
        messages[3] = (messages[3][0], messages[3][1][:-1] + b"?")
    receiver = FileReceiver(io.BytesIO())
    for mark, payload in messages[:-1]:
        receiver.accept(mark, payload, 1)
    with pytest.raises(CommandFailedError, match=r"not whole|differs"):
        receiver.accept(*messages[-1], 1)
    assert not receiver.is_complete


def test_a_file_from_its_middle_on_is_refused_and_other_sessions_are_left_out():
    receiver = FileReceiver(io.BytesIO())
    with pytest.raises(CommandFailedError, match="start the subscriber before"):
        receiver.accept(Mark.FILE_DATA, b"x", 1)
    output = io.BytesIO()
    receiver = FileReceiver(output)
    for mark, payload in file_messages(io.BytesIO(b"mine"), "a", 4, 2):
        receiver.accept(mark, payload, 1)
        receiver.accept(Mark.FILE_DATA, b"not mine", 2)
        receiver.accept(Mark.FILE_END, b"{}", 2)
    assert output.getvalue() == b"mine"
    assert receiver.is_complete


def test_a_hostile_end_of_a_file_is_refused_not_a_crash():
    receiver = FileReceiver(io.BytesIO())
    receiver.accept(Mark.FILE_BEGIN, b"\xff\x00 no JSON", 1)
    with pytest.raises(CommandFailedError):
        receiver.accept(Mark.FILE_END, b"[1, 2]", 1)


def test_a_saved_file_takes_its_name_only_when_it_is_kept(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with ReplacingFile(path) as replacing:
        replacing.file.write(b"half")
    assert path.read_bytes() == b"before"
    with ReplacingFile(path) as replacing:
        replacing.file.write(b"whole")
        replacing.keep()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_patience_ends_only_after_a_time_without_progress():
    now_ns = 0
    patience = Patience(1.0, lambda: "why", lambda: now_ns)
    for _ in range(10):
        now_ns += 500_000_000
        patience.saw(1)
    now_ns += 999_999_999
    patience.saw(0)
    now_ns += 1
    with pytest.raises(CommandFailedError, match="nothing for 1 s: why"):
        patience.saw(0)
    Patience(None, lambda: "never", lambda: now_ns).saw(0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5.0), ("2.5", 2.5), ("100ms", 0.1), ("5s", 5.0), ("0", 0.0)]
)
def test_times_are_read(text, seconds):
    assert read_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_seconds, "soon"),
        (read_seconds, "-1"),
        (read_seconds, "nan"),
        (read_seconds, "inf"),
        (read_size, "many"),
        (read_channel, "aeron:carrier-pigeon"),
    ],
)
def test_bad_values_of_options_are_refused(read, text):
    with pytest.raises(typer.BadParameter):
        read(text)


def test_exit_codes():
    assert exit_code_of(ConfigError("a", 1, "less")) == 2
    assert exit_code_of(DriverNotRunningError("x")) == 1
    assert exit_code_of(FileNotFoundError("x")) == 1
    assert exit_code_of(ZeroDivisionError()) is None
    assert one_line(DriverNotRunningError("a\n b")) == "a b"
    assert one_line(CommandFailedError()) == "CommandFailedError"


def test_texts_from_files_do_not_steer_the_terminal():
    assert clean("\x1b[31mred\n") == "\\x1b[31mred\\n"
    assert clean("é µ") == "é µ"
    assert format_value(1234567) == "1,234,567"
    assert format_value(None) == "-"
    assert format_bytes(1500) == "1.5 kB"
    assert format_bytes(999) == "999 B"


def test_rates():
    assert RateReport(10, 320, 500_000_000).as_json() == {
        "messages": 10,
        "bytes": 320,
        "seconds": 0.5,
        "messages_per_second": 20.0,
        "bytes_per_second": 640.0,
    }
    assert pack({"messages": 1}) == b'{"messages": 1}'


def test_the_demonstrations_table_has_only_what_was_measured():
    assert display_row({"transport": "IPC"}) == {"transport": "IPC"}
    row = display_row(
        {
            "transport": "UDP",
            "messages_per_second": 1234.6,
            "bytes_per_second": 5e6,
            "p50_ns": 1500,
            "p99_ns": 2500,
            "p99_9_ns": 3_500_000,
        }
    )
    assert row == {
        "transport": "UDP",
        "messages_per_second": 1235,
        "bytes_per_second": "5.0 MB/s",
        "p50": "1.5 µs",
        "p99": "2.5 µs",
        "p99_9": "3,500.0 µs",
    }
