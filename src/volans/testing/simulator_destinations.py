"""Destinations of one publication or subscription in a simulation, added and removed in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volans.testing.simulator_plan import DestinationPlan
    from volans.testing.simulator_world import World

ADD, REMOVE = "add", "remove"


class Destinations:
    """Adds the planned destinations at once, removes and adds them again when it is time.

    Args:
        world: whose clock it goes by.
        name: of the owner, for the trace.
        plans: the destinations.
        kind: ``"receive"`` for a subscription's, ``""`` for a publication's.
    """

    def __init__(
        self, world: World, name: str, plans: tuple[DestinationPlan, ...], kind: str = ""
    ) -> None:
        self.world = world
        self.name = name
        self.middle = f"{kind}_destination" if kind else "destination"
        self.pending: int | None = None
        self.changes: list[tuple[int, str, str]] = []
        for plan in plans:
            self.changes.append((0, ADD, plan.channel))
            for begin, end in plan.absences:
                self.changes.append((world.start_ns + begin, REMOVE, plan.channel))
                self.changes.append((world.start_ns + end, ADD, plan.channel))
        self.changes.sort(key=lambda change: change[0])

    @property
    def are_settled(self) -> bool:
        """Whether nothing is left to be changed."""
        return not self.changes and self.pending is None

    def step(self, client: Any, owner: Any, now_ns: int) -> int:
        """Ask for the next change when it is time and the last one was done."""
        if self.pending is not None:
            if not client.is_done(self.pending):
                return 0
            self.pending = None
            return 1
        if not self.changes or now_ns < self.changes[0][0]:
            return 0
        _, change, channel = self.changes.pop(0)
        self.world.trace(f"{self.name}: {change} {channel}")
        self.pending = getattr(client, f"async_{change}_{self.middle}")(owner, channel)
        return 1
