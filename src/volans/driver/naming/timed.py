"""How long names take to resolve: the driver's two counters of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.naming.address import SocketAddress
    from volans.driver.naming.resolve import Resolver


class TimedResolver:
    """Measures another resolver.

    Args:
        resolver: does the work.
        clock_ns: monotonic.
        threshold_ns: a look-up longer than this counts as a stall.
        on_longest: called with the nanoseconds by which the longest look-up so far grew.
        on_stall: called after a look-up beyond the threshold.
        on_resolved: called after each with name, parameter, whether again, address and duration.

    Threading: look-ups come from one thread, the native-resource agent's.
    """

    def __init__(
        self,
        resolver: Resolver,
        clock_ns: Callable[[], int],
        threshold_ns: int,
        on_longest: Callable[[int], object],
        on_stall: Callable[[], object],
        on_resolved: Callable[[str, str, bool, SocketAddress | None, int], object] | None = None,
    ) -> None:
        self._resolver = resolver
        self._clock_ns = clock_ns
        self._threshold_ns = threshold_ns
        self._on_longest = on_longest
        self._on_stall = on_stall
        self._on_resolved = on_resolved
        self._longest_ns = 0

    def resolve(
        self, name: str, parameter: str = "endpoint", is_re_resolution: bool = False
    ) -> SocketAddress:
        """As the resolver within; failed look-ups are measured, too."""
        started_ns = self._clock_ns()
        found: SocketAddress | None = None
        try:
            found = self._resolver.resolve(name, parameter, is_re_resolution)
            return found
        finally:
            duration_ns = self._clock_ns() - started_ns
            self._measure(duration_ns)
            if self._on_resolved is not None:
                self._on_resolved(name, parameter, is_re_resolution, found, duration_ns)

    def resolve_interface(self, text: str | None, family: int) -> tuple[SocketAddress, int]:
        """Not a name: not measured."""
        return self._resolver.resolve_interface(text, family)

    def find_interface(self, text: str | None, family: int) -> tuple[SocketAddress, int]:
        """Not a name: not measured."""
        return self._resolver.find_interface(text, family)

    def _measure(self, duration_ns: int) -> None:
        if duration_ns > self._longest_ns:
            self._on_longest(duration_ns - self._longest_ns)
            self._longest_ns = duration_ns
        if duration_ns > self._threshold_ns:
            self._on_stall()
