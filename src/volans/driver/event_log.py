"""The event log: what the driver does, line by line, written by a thread of low priority.

Whoever has something to tell writes it into a ring of many producers and goes on; what finds no
room is counted and left out. Nothing of this exists while AERON_EVENT_LOG selects no event.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from volans.driver.event_log_names import COMMANDS_IN, COMMANDS_OUT, select_events
from volans.driver.event_log_text import (
    FRAME_EVENTS,
    STREAM_EVENTS,
    encode_command,
    encode_text,
    format_record,
)
from volans.memory import ManyToOneRingBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.config import DriverConfig
    from volans.driver.event_sink import EventSink
    from volans.driver.shared import SharedState
    from volans.transport.event_tap import EventTap
    from volans.transport.registry import EngineHandle

RING_LENGTH: Final = 4 * 1024 * 1024
RING_TRAILER_LENGTH: Final = 768
POLL_INTERVAL_S: Final = 0.02
WRITER_NICENESS: Final = 10
READ_LIMIT: Final = 1024


class EventLog:
    """One driver's events.

    Args:
        event_ids: of the events to log.
        filename: where to; None is stderr.
        file_max_length: a file that would become longer (bytes) is moved to `<filename>.1`; 0: any.

    Threading: `on_command` and so on by any thread; `write_pending` by one at a time.
    """

    def __init__(
        self, event_ids: frozenset[int], filename: str | None = None, file_max_length: int = 0
    ) -> None:
        self.event_ids = event_ids
        self._filename = filename
        self._file_max_length = file_max_length
        self._file: TextIO = sys.stderr
        self._length = 0
        self._memory = mmap.mmap(-1, RING_LENGTH + RING_TRAILER_LENGTH)
        self._ring = ManyToOneRingBuffer(self._memory)
        self._taps: list[EventTap] = []
        self._sink: EventSink | None = None
        self._channel_of: Callable[[int], str | None] = lambda _registration_id: None
        self.lost_count = 0  # of those told in Python
        self._told_lost_count = 0
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        if filename is not None:
            self._open(filename)

    @classmethod
    def of(cls, config: DriverConfig) -> EventLog | None:
        """What the settings ask for; None when they select no event. Raises ConfigError."""
        event_ids = select_events(config.event_log, config.event_log_disable)
        if not event_ids:
            return None
        return cls(event_ids, config.event_log_filename, config.event_log_file_max_length)

    def tap(self, engine: EngineHandle) -> EngineHandle:
        """The engine, telling its datagrams when frames are to be logged."""
        if not self.event_ids & FRAME_EVENTS:
            return engine
        from volans.transport.event_tap import EventTap

        tapped = EventTap(engine, memoryview(self._memory), self.event_ids)
        self._taps.append(tapped)
        return tapped

    def listen(self, shared: SharedState) -> None:
        """Let the agents tell of their streams, when that is to be logged; before they start."""
        if self.event_ids & STREAM_EVENTS:
            from volans.driver.event_sink import EventSink

            self._sink = EventSink(shared, memoryview(self._memory), self.event_ids)

    def name_streams(self, channel_of: Callable[[int], str | None]) -> None:
        """Who knows the channel of a registration id; the writer asks, on its own thread."""
        self._channel_of = channel_of

    def on_command(self, now_ns: int, msg_type_id: int, payload: bytes | memoryview) -> None:
        """A client's command came."""
        self._put(COMMANDS_IN.get(msg_type_id), now_ns, msg_type_id, payload)

    def on_answer(self, now_ns: int, msg_type_id: int, payload: bytes | memoryview) -> None:
        """Clients are told something."""
        self._put(COMMANDS_OUT.get(msg_type_id), now_ns, msg_type_id, payload)

    def on_event(self, event_id: int, now_ns: int, text: str) -> None:
        """Anything else."""
        if event_id in self.event_ids and not self._ring.write(event_id, encode_text(now_ns, text)):
            self.lost_count += 1

    def start(self, thread_name: str = "event-log") -> None:
        """Write by a thread of low priority until `close`."""
        self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)
        self._thread.start()

    def write_pending(self, limit: int = READ_LIMIT) -> int:
        """Write what waits in the ring; how many lines."""
        with self._writing:
            count = self._ring.read(self._write, limit)
            self._tell_losses()
            if count:
                self._file.flush()
        return count

    def close(self) -> None:
        """Stop the thread, write the rest, close the file; before the tapped engines close."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        while self.write_pending():
            pass
        self._taps.clear()
        if self._file is not sys.stderr:
            self._file.close()

    def _put(
        self, event_id: int | None, now_ns: int, msg_type_id: int, payload: bytes | memoryview
    ) -> None:
        if event_id in self.event_ids and not self._ring.write(
            event_id, encode_command(now_ns, msg_type_id, payload)
        ):
            self.lost_count += 1

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            # On Linux a thread has a niceness of its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WRITER_NICENESS)
        while not self._stop.is_set():
            if not self.write_pending():
                self._stop.wait(POLL_INTERVAL_S)

    def _write(self, event_id: int, record: memoryview) -> None:
        try:
            line = format_record(event_id, bytes(record), self._channel_of)
        except Exception as error:  # one odd record must not end the log
            line = f"event {event_id} cannot be told: {type(error).__name__}: {error}"
        self._write_line(line)

    def _write_line(self, line: str) -> None:
        length = len(line.encode("utf-8", "replace")) + 1
        limit = self._file_max_length
        if self._filename is not None and 0 < limit < self._length + length and self._length:
            self._roll(self._filename)
        with contextlib.suppress(OSError, ValueError):  # a full disk must not end the driver
            self._file.write(f"{line}\n")
            self._length += length

    def _tell_losses(self) -> None:
        lost = self.lost_count + sum(tap.lost_count for tap in self._taps if not tap.closed)
        if self._sink is not None:
            lost += self._sink.lost_count
        if lost != self._told_lost_count:
            self._write_line(f"{lost - self._told_lost_count} events were lost: the ring was full")
            self._told_lost_count = lost

    def _open(self, filename: str) -> None:
        self._file = Path(filename).open("a", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._length = self._file.tell()

    def _roll(self, filename: str) -> None:
        self._file.close()
        with contextlib.suppress(OSError):
            Path(filename).replace(f"{filename}.1")
        self._open(filename)
