"""Shared memory: mapped files, ring buffers, broadcast, counters, logs, queues and clocks.

Names are loaded on first use, so that a program pays only for what it touches.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volans.memory.broadcast import BroadcastTransmitter, CopyBroadcastReceiver
    from volans.memory.clocks import (
        CachedEpochClock,
        CachedNanoClock,
        ManualClock,
        OffsetEpochNanoClock,
        SystemEpochClock,
        SystemEpochMicroClock,
        SystemEpochNanoClock,
        SystemNanoClock,
    )
    from volans.memory.counter_descriptor import CounterDescriptor
    from volans.memory.counters import AtomicCounter, CountersManager, CountersReader
    from volans.memory.error_log import DistinctErrorLog, ErrorLogReader
    from volans.memory.errors import (
        BroadcastLappedError,
        CounterLimitError,
        CountersExhaustedError,
        MessageTooLongError,
        StorageSpaceError,
        TruncatedFileError,
    )
    from volans.memory.loss_report import LossReport, LossReportReader
    from volans.memory.mapped import MappedFile
    from volans.memory.queues import ManyToManyQueue, ManyToOneQueue, OneToOneQueue
    from volans.memory.rings import ClaimedRegion, ManyToOneRingBuffer, OneToOneRingBuffer

__all__ = [
    "AtomicCounter",
    "BroadcastLappedError",
    "BroadcastTransmitter",
    "CachedEpochClock",
    "CachedNanoClock",
    "ClaimedRegion",
    "CopyBroadcastReceiver",
    "CounterDescriptor",
    "CounterLimitError",
    "CountersExhaustedError",
    "CountersManager",
    "CountersReader",
    "DistinctErrorLog",
    "ErrorLogReader",
    "LossReport",
    "LossReportReader",
    "ManualClock",
    "ManyToManyQueue",
    "ManyToOneQueue",
    "ManyToOneRingBuffer",
    "MappedFile",
    "MessageTooLongError",
    "OffsetEpochNanoClock",
    "OneToOneQueue",
    "OneToOneRingBuffer",
    "StorageSpaceError",
    "SystemEpochClock",
    "SystemEpochMicroClock",
    "SystemEpochNanoClock",
    "SystemNanoClock",
    "TruncatedFileError",
]

_NAMES_OF_MODULE = {
    "broadcast": ("BroadcastTransmitter", "CopyBroadcastReceiver"),
    "clocks": (
        "CachedEpochClock",
        "CachedNanoClock",
        "ManualClock",
        "OffsetEpochNanoClock",
        "SystemEpochClock",
        "SystemEpochMicroClock",
        "SystemEpochNanoClock",
        "SystemNanoClock",
    ),
    "counter_descriptor": ("CounterDescriptor",),
    "counters": ("AtomicCounter", "CountersManager", "CountersReader"),
    "error_log": ("DistinctErrorLog", "ErrorLogReader"),
    "errors": (
        "BroadcastLappedError",
        "CounterLimitError",
        "CountersExhaustedError",
        "MessageTooLongError",
        "StorageSpaceError",
        "TruncatedFileError",
    ),
    "loss_report": ("LossReport", "LossReportReader"),
    "mapped": ("MappedFile",),
    "queues": ("ManyToManyQueue", "ManyToOneQueue", "OneToOneQueue"),
    "rings": ("ClaimedRegion", "ManyToOneRingBuffer", "OneToOneRingBuffer"),
}
_MODULE_OF_NAME = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF_NAME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
