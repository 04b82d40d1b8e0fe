class CongestionKit:
    def __init__(
        self,
        name: str,
        *,
        term_length: int = 65536,
        mtu_length: int = 1408,
        receiver_window_length: int = 131072,
        initial_rtt_ns: int = 100_000,
        measure_rtt: bool = False,
        tcp_mode: bool = False,
        now_ns: int = 0,
    ) -> None: ...
    def track(
        self,
        now_ns: int,
        *,
        loss: bool = False,
        consumption_position: int = 0,
        last_sm_position: int = 0,
    ) -> tuple[int, bool]: ...
    def should_measure_rtt(self, now_ns: int) -> bool: ...
    def rttm_sent(self, now_ns: int) -> None: ...
    def rttm(self, now_ns: int, rtt_ns: int) -> None: ...
    @property
    def initial_window_length(self) -> int: ...
    @property
    def max_window_length(self) -> int: ...
    @property
    def rtt_ns(self) -> int: ...
    @property
    def window_length(self) -> int: ...
