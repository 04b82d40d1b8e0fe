"""The names of the driver's threads and the cores they run on, as the settings say."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.driver.config import DriverConfig

THREAD_NAME_MAX_BYTES = 15
# Those of the official driver, by thread naming; "control" it does not have: its conductor is one
# thread, of which ours keeps the part that needs the interpreter apart.
THREAD_NAMES: dict[str, dict[str, str]] = {
    "classic": {
        "conductor": "conductor",
        "sender": "sender",
        "receiver": "receiver",
        "shared_network": "[sender, receiver]",
        "shared": "[conductor, sender, receiver]",
        "native_resource_agent": "aeron-md-nra",
        "control": "control",
        "event_log": "event-log",
    },
    "new": {
        "conductor": "aeron-md-cnd",
        "sender": "aeron-md-snd",
        "receiver": "aeron-md-rcv",
        "shared_network": "aeron-md-net",
        "shared": "aeron-md-shd",
        "native_resource_agent": "aeron-md-nra",
        "control": "aeron-md-ctl",
        "event_log": "aeron-md-log",
    },
}
# Which setting gives a thread its core. "control" has none: on the core of a spinning conductor it
# would starve.
CORE_SETTINGS = {
    "conductor": "conductor_cpu_affinity_no",
    "shared": "conductor_cpu_affinity_no",
    "sender": "sender_cpu_affinity_no",
    "shared_network": "sender_cpu_affinity_no",
    "receiver": "receiver_cpu_affinity_no",
    "native_resource_agent": "native_resource_agent_cpu_affinity_no",
}


def thread_name(config: DriverConfig, role: str) -> str:
    """The name of the thread that plays `role`."""
    return THREAD_NAMES[config.thread_naming][role]


def pin_to_core(
    config: DriverConfig, role: str, on_error: Callable[[str], None]
) -> Callable[[], None] | None:
    """What the thread of `role` has to call first, or None when it may run anywhere.

    A core that cannot be had is told by `on_error`; the thread runs all the same.
    """
    setting = CORE_SETTINGS.get(role)
    core = -1 if setting is None else getattr(config, setting)
    if core < 0:
        return None

    def pin() -> None:
        try:
            os.sched_setaffinity(0, {core})
        except (OSError, AttributeError) as error:
            on_error(
                f"WARNING: unable to apply affinity: {thread_name(config, role)} to core {core}: "
                f"{error}; cores from 0 to {(os.cpu_count() or 1) - 1} exist"
            )

    return pin


def name_this_thread(name: str) -> None:
    """For top, perf and gdb; the interpreter does it by itself only from 3.14 on."""
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(
            name[:THREAD_NAME_MAX_BYTES], encoding="ascii"
        )
