"""A client of a simulated driver, in invoker mode: it can be paused, and it can die."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from volans.client.connect import Client, connect
from volans.testing.simulator_ledger import SimulationError
from volans.testing.simulator_plan import DRIVER_TIMEOUT_MS

if TYPE_CHECKING:
    from volans.testing.simulator_world import World

KEEPALIVE_S = 0.1
RESOURCE_LINGER_S = 0.2


def _never_wait(seconds: float) -> None:
    raise SimulationError(f"something waited for {seconds} s of real time")


class ClientActor:
    """One client of one driver, in invoker mode."""

    def __init__(self, world: World, number: int, driver: int) -> None:
        self.world = world
        self.number = number
        self.driver = driver
        self.name = f"client {number}"
        self.is_dead = False  # vanished without a word
        self.generation = 0  # of its driver
        self.paused_until_ns = 0
        self.errors: list[BaseException] = []
        self.held: list[Any] = []
        self.former: list[Client] = []
        self.client = self._connect()

    def _connect(self) -> Client:
        world = self.world
        self.generation = world.generations[self.driver]
        return connect(
            world.drivers[self.driver].directory,
            use_conductor_invoker=True,
            driver_timeout=DRIVER_TIMEOUT_MS / 1e3,
            keepalive_interval=KEEPALIVE_S,
            resource_linger=RESOURCE_LINGER_S,
            nano_clock=world.clock,
            epoch_clock_ms=world.clock.epoch_ms,
            sleep=_never_wait,
            error_handler=self._on_error,
            client_name=self.name,
        )

    def _on_error(self, error: BaseException) -> None:
        if isinstance(error, SimulationError):
            self.world.fail(error)
            return
        text = str(error).replace(str(self.world.directory), "")  # another one in every run
        self.world.trace(f"{self.name} error {type(error).__name__}: {text}")
        self.errors.append(error)
        if not self.world.is_excused(self.driver, self.number):
            self.world.fail(SimulationError(f"{self.name}: {type(error).__name__}: {error}"))

    @property
    def is_usable(self) -> bool:
        """Whether the application can go on using it."""
        return not self.is_dead and not self.client.is_closed

    @property
    def is_driver_gone(self) -> bool:
        """Whether the driver it was connected to has ended, known to it or not."""
        return self.world.is_down(self.driver) or (
            self.generation != self.world.generations[self.driver]
        )

    @property
    def is_returning(self) -> bool:
        """Whether it will connect to the driver that follows its own."""
        return not self.is_dead and self.client.is_closed and self.is_driver_gone

    def is_scheduled(self, now_ns: int) -> bool:
        """Whether its process gets the processor."""
        return not self.is_dead and now_ns >= self.paused_until_ns

    def step(self, now_ns: int, now_ms: int) -> int:
        """One duty cycle."""
        if not self.is_scheduled(now_ns):
            return 0
        if self.client.is_closed:
            if not self.is_returning or self.world.is_down(self.driver):
                return 0
            self.former.append(self.client)
            self.client.close()
            self.client = self._connect()
            self.world.trace(f"{self.name} connects again")
            return 1
        return self.client.do_work(now_ns, now_ms)

    def die(self) -> None:
        """The process is gone: nothing of it runs any more, nothing is told to the driver."""
        self.is_dead = True
        self.world.trace(f"{self.name} dies")

    def close(self) -> None:
        """The application closes it."""
        if self.is_usable:
            self.client.close()
