"""CUBIC against the formula in plain floating point, over random losses and times."""

import math

from hypothesis import given
from hypothesis import strategies as st

from volans.testing.congestion_kit import CongestionKit

SECOND = 1_000_000_000


class Model:
    """W(t) = C (t - K)^3 + W_max, in datagrams; never more than the maximum."""

    def __init__(self, most, initial_rtt_ns, tcp_mode):
        self.most, self.update_ns, self.tcp_mode = most, initial_rtt_ns, tcp_mode
        self.window = min(10, most)
        self.peak = most
        self.loss_ns = self.updated_ns = 0

    def step(self, now_ns, loss):
        if loss:
            self.peak = self.window
            self.window = max(1, int(self.window * 0.8))
            self.loss_ns = now_ns
        elif self.window < self.most and now_ns > self.updated_ns + self.update_ns:
            seconds = (now_ns - self.loss_ns) / SECOND
            distance = seconds - (self.peak * 0.2 / 0.4) ** (1 / 3)
            window = self.peak + math.trunc(0.4 * distance**3)
            if self.tcp_mode and window < self.peak:
                tcp = self.peak * 0.8 + 0.6 / 1.8 * seconds / (self.update_ns / SECOND)
                window = max(window, int(min(tcp, self.most)))
            self.window = max(1, min(self.most, window))
            self.updated_ns = now_ns
        return self.window


@given(
    st.lists(st.tuples(st.integers(0, 3 * SECOND), st.booleans()), max_size=60),
    st.sampled_from([1408, 8192, 65504]),
    st.sampled_from([100_000, 20_000_000]),
    st.booleans(),
)
def test_window_follows_the_formula(steps, mtu_length, initial_rtt_ns, tcp_mode):
    kit = CongestionKit(
        "cubic",
        term_length=1 << 24,
        mtu_length=mtu_length,
        receiver_window_length=2 << 20,
        initial_rtt_ns=initial_rtt_ns,
        tcp_mode=tcp_mode,
    )
    model = Model((2 << 20) // mtu_length, initial_rtt_ns, tcp_mode)
    now_ns = 0
    for pause_ns, loss in steps:
        now_ns += pause_ns
        window, is_forced = kit.track(now_ns, loss=loss)
        assert is_forced == loss
        expected = model.step(now_ns, loss)
        # The cube root of two libraries may differ in its last bit.
        assert abs(window // mtu_length - expected) <= 1
        model.window = window // mtu_length
        assert kit.window_length == window
