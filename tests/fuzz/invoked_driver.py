"""A whole driver in this process under the test's clock, with its command ring laid open."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from volans.driver.media_driver import DriverConfig, MediaDriver
from volans.memory import (
    CopyBroadcastReceiver,
    CountersReader,
    ErrorLogReader,
    ManyToOneRingBuffer,
)
from volans.protocol import events
from volans.protocol.cnc import CncFile
from volans.protocol.commands import Command
from volans.transport.simulated import SimulatedNetwork

HOST, PEER_HOST = "10.0.0.1", "10.0.0.2"
MS = 1_000_000
SMALL = {
    "threading_mode": "INVOKER",
    "term_buffer_length": "64k",
    "ipc_term_buffer_length": "64k",
    "counters_values_buffer_length": "1m",
    "loss_report_length": "1m",
    "timer_interval_ns": "10ms",
    "client_liveness_timeout_ns": "100ms",
    "publication_linger_timeout_ns": "10ms",
    "image_liveness_timeout_ns": "100ms",
    "status_message_timeout_ns": "5ms",
    "counter_free_to_reuse_ns": "20ms",
}


class InvokedDriver:
    """Drives a `MediaDriver` step by step; `tell` puts anything into its ring."""

    def __init__(self, directory: Path, network: SimulatedNetwork, seed: int, **settings: str):
        self.now_ms = 1_000_000
        self.network = network
        engines = (
            network.engine(HOST, role="sender"),
            network.engine(HOST, role="receiver"),
        )
        config = DriverConfig.from_environment(directory=str(directory), **{**SMALL, **settings})
        self.driver = MediaDriver(
            config,
            engines=engines,
            clock_ns=lambda: self.now_ms * MS,
            clock_ms=lambda: self.now_ms,
            random_seed=seed,
        )
        self.directory = directory
        self.cnc = CncFile.attach(directory, timeout_s=0, require_alive=False)
        self.ring = ManyToOneRingBuffer(self.cnc.to_driver_buffer)
        self.receiver = CopyBroadcastReceiver(self.cnc.to_clients_buffer)
        self.counters = CountersReader(
            self.cnc.counters_metadata_buffer, self.cnc.counters_values_buffer
        )

    def step(self, duration_ms: int = 1, cycles: int = 2) -> None:
        """Let time pass, then run duty cycles."""
        self.now_ms += duration_ms
        for _ in range(cycles):
            self.driver.do_work(self.now_ms * MS, self.now_ms)

    def pass_time(self, duration_ms: int, step_ms: int = 5) -> None:
        for _ in range(0, duration_ms, step_ms):
            self.step(step_ms)

    def tell(self, msg_type_id: int, payload: bytes) -> bool:
        """Write a message as a client would."""
        return self.ring.write(msg_type_id, payload)

    def ask(self, command: Command) -> list[events.Event]:
        """A command and what the driver broadcast after it."""
        self.heard()
        assert self.tell(command.msg_type_id, command.encode())
        self.step()
        return self.heard()

    def heard(self) -> list[events.Event]:
        """Events since the last call."""
        messages: list[events.Event] = []

        def take(msg_type_id: int, payload: memoryview) -> None:
            messages.append(events.decode_event(msg_type_id, bytes(payload)))

        while self.receiver.receive(take):
            pass
        return messages

    def error_texts(self) -> list[str]:
        """The distinct errors logged."""
        return [entry.text for entry in ErrorLogReader(self.cnc.error_log_buffer).read()]

    def files(self) -> list[str]:
        """Log buffer files."""
        return sorted(path.name for path in self.directory.rglob("*.logbuffer"))

    def close(self) -> None:
        self.driver.close()
        self.cnc.close()


@contextlib.contextmanager
def invoked_driver(seed: int = 1, **settings: str) -> Iterator[InvokedDriver]:
    """A driver in memory, removed at the end."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix="volans-fuzz-", dir=base))
    try:
        running = InvokedDriver(directory / "d", SimulatedNetwork(seed), seed, **settings)
        try:
            yield running
        finally:
            running.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
