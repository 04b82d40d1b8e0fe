from volans.driver.shared import SharedState
from volans.testing.log_kit import LogKit

class LossDetectorKit:
    def __init__(
        self,
        kit: LogKit,
        shared: SharedState,
        delay_ns: int,
        retry_delay_ns: int,
        is_multicast: bool = False,
    ) -> None: ...
    def scan(
        self, rebuild_position: int, hwm_position: int, now_ns: int
    ) -> tuple[int, bool, tuple[int, int, int] | None]: ...
    def delay_ns(self, is_retry: bool = False) -> int: ...
