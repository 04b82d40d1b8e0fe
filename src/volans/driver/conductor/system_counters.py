"""Allocation of the system counters, whose ids are their counter ids (PROTOCOL.md section 6.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.protocol.counter_types import (
    CONTROL_PROTOCOL_VERSION,
    CounterType,
    SystemCounter,
    system_counter_key,
)
from volans.protocol.system_counters import configuration_suffixes

if TYPE_CHECKING:
    from volans.driver.config import DriverConfig
    from volans.memory import CountersManager

NULL_CLIENT_ID = -1


def allocate_system_counters(counters: CountersManager, version: str, config: DriverConfig) -> None:
    """Allocate all of them in an empty counters area, in the order of their ids."""
    for system_counter in SystemCounter:
        counter_id = counters.allocate(
            CounterType.SYSTEM,
            system_counter_key(system_counter),
            system_counter.label(version),
            registration_id=system_counter,
            owner_id=NULL_CLIENT_ID,
        )
        if counter_id != system_counter:
            raise AssertionError(f"system counter {system_counter} was given id {counter_id}")
    suffixes = configuration_suffixes(
        threading_mode=config.threading_mode,
        driver_name=config.resolver_name or "",
        conductor_cycle_threshold_ns=config.conductor_cycle_threshold_ns,
        sender_cycle_threshold_ns=config.sender_cycle_threshold_ns,
        receiver_cycle_threshold_ns=config.receiver_cycle_threshold_ns,
        name_resolver_threshold_ns=config.name_resolver_threshold_ns,
    )
    for system_counter, suffix in suffixes.items():
        counters.append_to_label(system_counter, suffix)
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    counters.set_value(SystemCounter.AERON_VERSION, major << 16 | minor << 8 | patch)
    counters.set_value(SystemCounter.CONTROL_PROTOCOL_VERSION, CONTROL_PROTOCOL_VERSION)
