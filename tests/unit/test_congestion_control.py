"""Static and CUBIC congestion control: windows, round trips, forced status messages."""

import pytest

from volans.testing.congestion_kit import CongestionKit

MS = 1_000_000
SECOND = 1_000 * MS


def test_static_window_is_cut_to_half_a_term_and_never_changes():
    kit = CongestionKit("static")
    assert kit.initial_window_length == kit.max_window_length == 32768
    assert kit.track(SECOND, loss=True) == (32768, False)
    assert not kit.should_measure_rtt(100 * SECOND)


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'bbr' is not known"):
        CongestionKit("bbr")


def test_cubic_begins_with_ten_datagrams():
    kit = CongestionKit("cubic", term_length=1 << 24)
    assert kit.initial_window_length == 10 * 1408
    assert kit.max_window_length == 131072
    assert kit.window_length == 10 * 1408
    assert CongestionKit("cubic").initial_window_length == 10 * 1408
    assert CongestionKit("cubic", mtu_length=8192).initial_window_length == 4 * 8192


def test_loss_shrinks_the_window_by_a_fifth_and_tells_at_once():
    kit = CongestionKit("cubic", term_length=1 << 24)
    assert kit.track(50_000, loss=True) == (8 * 1408, True)
    assert kit.track(60_000, loss=True) == (6 * 1408, True)


def test_window_is_back_where_the_loss_was_after_its_recovery_time():
    kit = CongestionKit("cubic", term_length=1 << 24)
    for _ in range(3):
        kit.track(0, loss=True)
    kit.track(SECOND, loss=True)  # at a window of 4: the cube root of 4 * 0.2 / 0.4 seconds
    window, is_forced = kit.track(SECOND + 1_260 * MS)
    assert window == 4 * 1408
    assert not is_forced
    assert kit.track(20 * SECOND)[0] == 131072 // 1408 * 1408


def test_window_moves_at_most_once_a_round_trip():
    kit = CongestionKit("cubic", term_length=1 << 24)
    assert kit.track(100_000)[0] == 10 * 1408
    grown, _ = kit.track(100_001)
    assert grown > 10 * 1408
    kit.track(100_002, loss=True)
    shrunk, _ = kit.track(200_001)
    assert kit.track(200_001)[0] == shrunk


def test_window_of_one_datagram_is_told_of_whenever_it_moves():
    kit = CongestionKit("cubic", mtu_length=32768)
    assert kit.track(1, consumption_position=32, last_sm_position=32) == (32768, False)
    assert kit.track(1, consumption_position=64, last_sm_position=32) == (32768, True)


def test_datagram_longer_than_the_window_still_has_a_window():
    kit = CongestionKit("cubic", mtu_length=65504)
    assert kit.initial_window_length == 65504


def test_round_trips_are_measured_only_when_asked_for():
    assert not CongestionKit("cubic").should_measure_rtt(100 * SECOND)
    kit = CongestionKit("cubic", measure_rtt=True, initial_rtt_ns=MS, now_ns=SECOND)
    assert kit.should_measure_rtt(SECOND)
    kit.rttm_sent(SECOND)
    assert not kit.should_measure_rtt(SECOND + 4 * MS)
    assert kit.should_measure_rtt(SECOND + 4 * MS + 1)


def test_a_long_round_trip_is_measured_less_often():
    kit = CongestionKit("cubic", measure_rtt=True, initial_rtt_ns=MS)
    kit.rttm(SECOND, 30 * MS)
    assert kit.rtt_ns == 30 * MS
    assert not kit.should_measure_rtt(SECOND + 120 * MS)
    assert kit.should_measure_rtt(SECOND + 120 * MS + 1)
    kit.rttm(SECOND, 10)
    assert kit.rtt_ns == 10
    assert kit.should_measure_rtt(SECOND + 4 * MS + 1)


@pytest.mark.parametrize("rtt_ns", [-5, 0, 60 * SECOND + 1, (1 << 63) - 1, -(1 << 63)])
def test_answer_that_cannot_be_true_is_not_believed(rtt_ns):
    kit = CongestionKit("cubic", measure_rtt=True)
    kit.rttm(SECOND, rtt_ns)
    assert kit.rtt_ns == 0
    assert kit.should_measure_rtt(SECOND)


def test_tcp_mode_takes_the_larger_window_near_a_loss():
    plain = CongestionKit("cubic", term_length=1 << 24, initial_rtt_ns=MS)
    friendly = CongestionKit("cubic", term_length=1 << 24, initial_rtt_ns=MS, tcp_mode=True)
    for kit in (plain, friendly):
        kit.track(0, loss=True)
    assert friendly.track(20 * MS)[0] > plain.track(20 * MS)[0]
