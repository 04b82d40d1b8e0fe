"""The driver's state machines as tables: what documentation is drawn from and tests cover.

The code that takes the edges is in `publication_pacing`, `ipc_publication`, `image_pacing` and
`tether`; a test drives whole drivers over every edge of every table, and fails for an edge that is
taken and not listed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from volans.driver.tether import tether_edges


@dataclass(frozen=True, slots=True)
class Edge:
    """From one state to another, and why."""

    state: str
    next_state: str
    cause: str


@dataclass(frozen=True, slots=True)
class StateMachine:
    """One machine; `first_state` is where it begins."""

    name: str
    summary: str
    first_state: str
    edges: tuple[Edge, ...]

    def diagram(self) -> str:
        """The machine as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.first_state}"]
        lines += [f"    {each.state} --> {each.next_state}: {each.cause}" for each in self.edges]
        sources = {each.state for each in self.edges}
        ends = sorted({each.next_state for each in self.edges} - sources)
        lines += [f"    {end} --> [*]" for end in ends]
        return "\n".join(lines)


STATE_MACHINES: Final = (
    StateMachine(
        "Network publication",
        "One session of a stream that is sent. Its log file goes with DONE.",
        "ACTIVE",
        (
            Edge("ACTIVE", "DRAINING", "the last publisher has left"),
            Edge("ACTIVE", "LINGER", "revoked"),
            Edge("DRAINING", "LINGER", "all is sent or nobody receives, spies have read all"),
            Edge("LINGER", "DONE", "unused, and the linger time-out or the receiver ended it"),
        ),
    ),
    StateMachine(
        "IPC publication",
        "One session of a stream within the machine.",
        "ACTIVE",
        (
            Edge("ACTIVE", "DRAINING", "the last publisher has left"),
            Edge("ACTIVE", "LINGER", "revoked"),
            Edge("DRAINING", "LINGER", "subscribers have read all"),
            Edge("LINGER", "DONE", "unused"),
        ),
    ),
    StateMachine(
        "Image",
        "What a driver has received of one session, for its subscribers.",
        "ACTIVE",
        (
            Edge("ACTIVE", "DRAINING", "end of stream, silence, revoked, or no subscriber"),
            Edge("DRAINING", "LINGER", "read to the end and the source was told, or revoked"),
            Edge("LINGER", "DONE", "no subscriber is left, or liveness time-out"),
        ),
    ),
    StateMachine(
        "Untethered subscriber",
        "A subscriber with `tether=false`, of an image, an IPC publication, or a spy.",
        "ACTIVE",
        tuple(Edge(state, next_state, cause) for state, cause, next_state in tether_edges()),
    ),
)


def page() -> str:
    """The documentation page."""
    parts = [
        "# State machines",
        "Written by `make fix` from `src/volans/driver/state_machines.py`.",
    ]
    for machine in STATE_MACHINES:
        parts += [
            f"## {machine.name}",
            machine.summary,
            f"```mermaid\n{machine.diagram()}\n```",
        ]
    return "\n\n".join(parts) + "\n"
