"""Error log and loss report against dictionaries and lists, and against garbage."""

from hypothesis import given, settings
from hypothesis import strategies as st

from volans.memory.error_log import DistinctErrorLog, ErrorLogReader
from volans.memory.loss_report import LossReport, LossReportReader

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(errors=st.lists(st.sampled_from("abcdefgh") | text, max_size=40), reopen=st.booleans())
def test_the_error_log_is_a_dictionary_of_counts(errors, reopen):
    buffer = bytearray(1 << 13)
    now = iter(range(1, 1_000))
    log = DistinctErrorLog(buffer, lambda: next(now))
    model = {}
    for number, error in enumerate(errors, start=1):
        if reopen and number == len(errors) // 2:
            log = DistinctErrorLog(buffer, lambda: next(now))
        assert log.record(error)
        key = error.encode("utf-8", "backslashreplace").decode()
        count, first, _ = model.get(key, (0, number, number))
        model[key] = (count + 1, first, number)
    assert {o.text: o[:3] for o in ErrorLogReader(buffer)} == model


entries = st.tuples(
    st.integers(0, 2**40), st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1)
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(entries, text, text, st.lists(st.integers(0, 2**20), max_size=3)), max_size=12
    )
)
def test_the_loss_report_is_a_list(rows):
    buffer = bytearray(1 << 13)
    report = LossReport(buffer)
    model = []
    for now_ms, ((lost, session_id, stream_id), channel, source, more) in enumerate(rows, 1):
        entry = report.create_entry(lost, now_ms, session_id, stream_id, channel, source)
        for bytes_lost in more:
            report.observe(entry, bytes_lost, now_ms + 50)
        last_ms = now_ms + 50 if more else now_ms
        seen = (1 + len(more), lost + sum(more), now_ms, last_ms)
        model.append((*seen, session_id, stream_id, channel, source))
    assert LossReportReader(buffer).read() == model


garbage = st.binary(min_size=1, max_size=400) | st.lists(
    st.sampled_from([b"\0\0\0\0", b"\x1c\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0", b"\x7f" * 4]),
    min_size=1,
    max_size=100,
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(garbage)
def test_garbage_is_read_to_an_end_and_written_over(contents):
    ErrorLogReader(bytearray(contents)).read()
    LossReportReader(bytearray(contents)).read()
    buffer = bytearray(contents)
    before = [o.text for o in ErrorLogReader(buffer)]
    if DistinctErrorLog(buffer, lambda: 1).record("\x01new"):
        assert [o.text for o in ErrorLogReader(buffer)] == [*before, "\x01new"]
    buffer = bytearray(contents)
    before = LossReportReader(buffer).read()
    if LossReport(buffer).create_entry(1, 1, 1, 1, "a", "b") is not None:
        assert LossReportReader(buffer).read()[:-1] == before
