"""Core numbers counted within the process's cpuset, as containers need it.

With `AERON_DRIVER_CPUSET_AFFINITY` the core of an agent is not the system's number but the place
among the cores this process may use: 0 is the first of them. What is unfortunate about the set is
told: halves of cores, and sets that span dies or level-3 caches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from volans.driver.config_table import BY_NAME
from volans.errors import ConfigError

if TYPE_CHECKING:
    from volans.driver.config import DriverConfig

SYSTEM_CORES: Final = Path("/sys/devices/system/cpu")
_CORE_SETTINGS: Final = (
    "conductor_cpu_affinity_no",
    "sender_cpu_affinity_no",
    "receiver_cpu_affinity_no",
    "native_resource_agent_cpu_affinity_no",
)


def within_cpuset(
    config: DriverConfig,
    allowed_cores: Collection[int],
    warn: Callable[[str], None],
    system_cores: Path = SYSTEM_CORES,
) -> DriverConfig:
    """The settings with the system's core numbers, when they are counted within the cpuset.

    Args:
        config: as they were given.
        allowed_cores: the cores this process may use.
        warn: told what is unfortunate about them.
        system_cores: where the system describes its cores.

    Raises:
        ConfigError: the set has no such core, or warnings count as errors and there are some.
    """
    if not config.cpuset_affinity:
        return config
    cores = sorted(allowed_cores)
    warnings = cpuset_warnings(cores, system_cores)
    for warning in warnings:
        warn(f"WARNING: {warning}")
    if warnings and config.cpuset_warnings_as_errors:
        raise ConfigError(BY_NAME["cpuset_warnings_as_errors"].variable, "true", warnings[0])
    chosen = {}
    for name in _CORE_SETTINGS:
        place = getattr(config, name)
        if place >= len(cores):
            raise ConfigError(
                BY_NAME[name].variable, place, f"less than the {len(cores)} cores of the cpuset"
            )
        if place >= 0:
            chosen[name] = cores[place]
    return config.replace(**chosen)


def cpuset_warnings(cores: Collection[int], system_cores: Path = SYSTEM_CORES) -> list[str]:
    """What is unfortunate about a set of cores; nothing where the system does not describe them."""
    wanted = set(cores)
    warnings = []
    told: set[int] = set()
    for core in sorted(wanted):
        siblings = _cores_of(system_cores / f"cpu{core}/topology/thread_siblings_list")
        missing = sorted(siblings - wanted)
        if missing and core not in told:
            warnings.append(
                f"cpuset is missing sibling CPU(s) {','.join(map(str, missing))} of the core "
                f"containing CPU {core} (partial core in cpuset)"
            )
        told |= siblings
    for kind, what in (
        ("topology/die_cpus_list", "dies"),
        ("cache/index3/shared_cpu_list", "L3 cache domains"),
    ):
        domains = {
            frozenset(found)
            for core in wanted
            if (found := _cores_of(system_cores / f"cpu{core}/{kind}"))
        }
        if len(domains) > 1:
            warnings.append(f"cpuset spans multiple {what} ({len(domains)})")
    return warnings


def _cores_of(path: Path) -> set[int]:
    """The numbers of a list such as ``0-3,8``; empty when there is none that can be read."""
    try:
        text = path.read_text(encoding="ascii").strip()
        found: set[int] = set()
        for part in text.split(",") if text else ():
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    except (OSError, ValueError):
        return set()
    return found
