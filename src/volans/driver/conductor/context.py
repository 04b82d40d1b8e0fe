"""What the concerns of the control plane share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volans.driver.conductor.storage import PromisedSpace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from volans.driver.conductor.client_processes import ProcessWatch
    from volans.driver.conductor.events import ClientEvents
    from volans.driver.conductor.resources import ResourceJobs
    from volans.driver.config import DriverConfig
    from volans.driver.event_log import EventLog
    from volans.driver.naming.driver_names import DriverNames
    from volans.driver.naming.resolve import Resolver
    from volans.driver.pacer import Pacer
    from volans.driver.receiver import Receiver
    from volans.driver.sender import Sender
    from volans.driver.shared import SharedState
    from volans.memory import CountersManager, ManyToOneRingBuffer
    from volans.protocol.events import PublicationErrorEvent


# Called once when a command is finished: None, or the error to answer with.
WhenDone = Callable[[BaseException | None], None]


@dataclass(slots=True)
class ConductorContext:
    """One driver's parts as the control plane sees them, and the time of the running duty cycle."""

    config: DriverConfig
    directory: Path
    commands: ManyToOneRingBuffer
    events: ClientEvents
    counters: CountersManager
    shared: SharedState
    pacer: Pacer
    sender: Sender
    receiver: Receiver
    sender_engine: Any
    receiver_engine: Any
    resolver: Resolver
    resources: ResourceJobs
    receiver_id_base: int
    # (send, receive) bytes of a socket that asks for none; logs tell them.
    default_socket_buffer_lengths: tuple[int, int] = (0, 0)
    process_watch: ProcessWatch | None = None
    event_log: EventLog | None = None
    names: DriverNames | None = None  # the driver's own resolver
    is_low_space_told: bool = False
    promised_space: PromisedSpace = field(default_factory=PromisedSpace)
    now_ns: int = 0
    now_ms: int = 0
    tasks: list[Iterator[None]] = field(default_factory=list)

    @property
    def publications_directory(self) -> Path:
        return self.directory / "publications"

    @property
    def images_directory(self) -> Path:
        return self.directory / "images"

    def run(self, task: Iterator[None]) -> None:
        """Start a task that yields while it waits for an agent; it goes on every cycle."""
        if next(task, True) is None:
            self.tasks.append(task)

    def run_tasks(self) -> int:
        """Go on with the waiting tasks; how many ended."""
        waiting = [task for task in self.tasks if next(task, True) is None]
        ended = len(self.tasks) - len(waiting)
        self.tasks = waiting
        return ended

    def tell(self, event_id: int, text: str) -> None:
        """Into the event log, if there is one."""
        if self.event_log is not None:
            self.event_log.on_event(event_id, self.now_ns, text)

    def announce_publication_error(self, event: PublicationErrorEvent) -> None:
        """Tell the publishers, and whoever reads the error log, that a receiver complained."""
        self.shared.log_error(
            f"publication error: registrationId={event.registration_id} "
            f"sessionId={event.session_id} streamId={event.stream_id} "
            f"receiverId={event.receiver_id} groupTag={event.group_tag} "
            f"errorCode={int(event.error_code)} message={event.message}",
            self.now_ms,
        )
        self.events.send(event)

    def next_correlation_id(self) -> int:
        """From the same counter as the clients' (PROTOCOL.md section 2.3)."""
        return self.commands.next_correlation_id()
