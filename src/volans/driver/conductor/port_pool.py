"""Ports for channels that leave the choice to the driver (FEATURES.md section 3, row 35)."""

from __future__ import annotations

from volans.driver.conductor.errors import CommandRefusedError
from volans.protocol.error_codes import ErrorCode

ANY_PORT = 0


class PortPool:
    """Hands out ports of a range, one after the other; 0 and 0 leave it to the system.

    Args:
        low, high: first and last port of the range.
    """

    def __init__(self, low: int, high: int) -> None:
        self._low = low
        self._high = high
        self._next = low
        self._users: dict[int, int] = {}  # by port

    @property
    def is_the_systems(self) -> bool:
        """Whether the operating system chooses."""
        return self._low == self._high == ANY_PORT

    def take(self, port: int, may_choose: bool = True) -> int:
        """The port to bind to: `port` itself, or one of the range when it is 0.

        Give it back with `give_back`. Raises CommandRefusedError when the range is used up.
        """
        if port == ANY_PORT:
            if self.is_the_systems or not may_choose:
                return ANY_PORT
            port = self._choose()
        self._users[port] = self._users.get(port, 0) + 1
        return port

    def give_back(self, port: int) -> None:
        """The socket that was bound to it is closed."""
        users = self._users.get(port, 0)
        if users > 1:
            self._users[port] = users - 1
        else:
            self._users.pop(port, None)

    def _choose(self) -> int:
        span = self._high - self._low + 1
        for step in range(span):
            port = self._low + (self._next - self._low + step) % span
            if port != ANY_PORT and port not in self._users:
                self._next = port + 1 if port < self._high else self._low
                return port
        raise CommandRefusedError(
            ErrorCode.GENERIC_ERROR,
            f"no available ports in range {self._low} {self._high}: widen the wildcard port range, "
            "or name a port in the channel",
        )
