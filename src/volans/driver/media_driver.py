"""The media driver: all parts made, wired, run on threads or by the caller, and taken down.

This is the driver's shell: below it no clock and no random source is read.
"""

from __future__ import annotations

import atexit
import itertools
import os
import secrets
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from volans.agents import (
    BackoffIdleStrategy,
    IdleStrategy,
    NativeAgentRunner,
    NativeComposite,
)
from volans.agents.idle_names import resolve as resolve_idle_strategy
from volans.agents.processes import pid_namespace_id, process_start_ticks
from volans.driver.conductor.client_processes import ProcessWatch
from volans.driver.conductor.conductor import Conductor
from volans.driver.conductor.context import ConductorContext
from volans.driver.conductor.events import ClientEvents
from volans.driver.conductor.parameters import (
    CONGESTION_CONTROLS,
    FLOW_CONTROLS,
    strategy_name,
)
from volans.driver.conductor.resources import ResourceJobs
from volans.driver.conductor.system_counters import allocate_system_counters
from volans.driver.config import DriverConfig
from volans.driver.config_table import BY_NAME
from volans.driver.control_agent import ControlAgent
from volans.driver.cores import within_cpuset
from volans.driver.directory import prepare_directory, remove_directory
from volans.driver.engines import default_socket_buffer_lengths, make_control_engine, make_engines
from volans.driver.epoch_clock import use_system_epoch_clock
from volans.driver.event_log import EventLog
from volans.driver.event_log_names import LOOKUP, RESOLVE, select_events
from volans.driver.naming.driver_names import DriverNames, with_name_table
from volans.driver.naming.resolve import DefaultResolver
from volans.driver.naming.timed import TimedResolver
from volans.driver.pacer import Pacer
from volans.driver.receiver import Receiver
from volans.driver.sender import Sender
from volans.driver.shared import SharedState
from volans.driver.threads import name_this_thread, pin_to_core, thread_name
from volans.errors import ConfigError
from volans.memory import (
    AtomicCounter,
    BroadcastTransmitter,
    CountersManager,
    ManyToOneRingBuffer,
    MappedFile,
)
from volans.memory.errors import StorageSpaceError
from volans.protocol.client_process import ClientProcess
from volans.protocol.cnc import create_cnc
from volans.protocol.counter_types import SystemCounter
from volans.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from volans.agents import NativeAgent
    from volans.driver.naming.resolve import Resolver
    from volans.transport.registry import EngineHandle

LOSS_REPORT_FILE_NAME = "loss-report.dat"
FILES_REMEDY = (
    "use smaller AERON_COUNTERS_BUFFER_LENGTH, AERON_ERROR_BUFFER_LENGTH, "
    "AERON_CONDUCTOR_BUFFER_LENGTH or AERON_LOSS_REPORT_BUFFER_LENGTH"
)
SHUT_DOWN_HEARTBEAT = -1
CLOSE_TIMEOUT_S = 5.0
RECEIVER_BURST = 64  # datagrams a duty cycle of the receiver may take
NANOSECONDS_PER_MILLISECOND = 1_000_000
CONSTRUCTOR_OPTIONS = (
    "engines",
    "resolver",
    "clock_ns",
    "clock_ms",
    "random_seed",
    "on_terminate",
)
# The control plane of an idle driver looks for commands this often at the least.
CONTROL_IDLE_MAX_PARK_NS = 4_000_000

_directory_numbers = itertools.count()
_open_drivers: weakref.WeakSet[MediaDriver] = weakref.WeakSet()


def _epoch_ms() -> int:
    return time.time_ns() // NANOSECONDS_PER_MILLISECOND


class MediaDriver:
    """A media driver in this process.

    Use `MediaDriver.launch(...)`; it is a context manager and closes at exit. With threading mode
    INVOKER nothing runs by itself: call `do_work` often.

    Args:
        config: its settings.
        engines: (sender's, receiver's) transport engines, a third one for the driver's own
            name resolver; None makes those the settings name.
        resolver: of names; None for the operating system's.
        clock_ns, clock_ms: monotonic and epoch clock of the shell.
        random_seed: of session ids, initial term ids and receiver ids; None draws one.

    Raises:
        DriverAlreadyRunningError: the directory belongs to a live driver.
        StorageSpaceError: not enough space for the command and control file.
        ConfigError: a setting is not valid.
    """

    def __init__(
        self,
        config: DriverConfig,
        *,
        engines: tuple[EngineHandle, ...] | None = None,
        resolver: Resolver | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        clock_ms: Callable[[], int] = _epoch_ms,
        random_seed: int | None = None,
        on_terminate: Callable[[], None] | None = None,
    ) -> None:
        _check_names(config)
        if config.cpuset_affinity:
            config = within_cpuset(config, os.sched_getaffinity(0), _warn)
        self.config = config
        self._clock_ns = clock_ns
        self._clock_ms = clock_ms
        self._on_terminate = on_terminate
        self._runners: list[NativeAgentRunner] = []
        self._closed = False
        self.termination_requested = False
        now_ms = clock_ms()
        seed = config.random_seed if random_seed is None else random_seed
        if seed is None:
            seed = secrets.randbits(62)
        self.directory = prepare_directory(config, now_ms)
        try:
            self._make_files(now_ms)
        except StorageSpaceError as error:
            remove_directory(self.directory)
            raise StorageSpaceError.for_file(
                error.filename, error.needed_bytes, error.available_bytes, FILES_REMEDY
            ) from None
        allocate_system_counters(self._counters, VERSION, config)
        self._shared = SharedState(
            self._counters,
            self._cnc.error_log_buffer,
            self._loss_report,
            _agent_settings(config),
            seed,
        )
        if clock_ms is _epoch_ms:
            use_system_epoch_clock(self._shared)
        self._count_mapped_bytes()
        self._event_log = EventLog.of(config)
        self._engines = engines if engines is not None else make_engines(config)
        if self._event_log is not None:
            self._engines = tuple(self._event_log.tap(engine) for engine in self._engines)
            self._event_log.listen(self._shared)
        sender_engine, receiver_engine = self._engines[:2]
        self._sender = Sender(self._shared, sender_engine)
        self._receiver = Receiver(self._shared, receiver_engine)
        self._pacer = Pacer(self._shared)
        self._pacer.heartbeat_into(memoryview(self._cnc.mapped), self._cnc.layout.heartbeat_offset)
        self._pacer.watch_slow_subscribers(config.slow_subscriber_threshold_ns)
        is_threaded = config.threading_mode != "INVOKER"
        has_resource_thread = config.threading_mode in ("DEDICATED", "SHARED_NETWORK")
        self._resources = ResourceJobs(
            self._wake_control if has_resource_thread else None,
            thread_name(config, "native_resource_agent"),
            self._start_resource_thread,
        )
        self._commands = ManyToOneRingBuffer(self._cnc.to_driver_buffer)
        # Id 0 is what an owner id says when there is no owner: no client may get it.
        self._commands.next_correlation_id()
        context = ConductorContext(
            config=config,
            directory=self.directory,
            commands=self._commands,
            events=ClientEvents(
                BroadcastTransmitter(self._cnc.to_clients_buffer),
                None if self._event_log is None else self._log_answer,
            ),
            event_log=self._event_log,
            counters=self._counters,
            shared=self._shared,
            pacer=self._pacer,
            sender=self._sender,
            receiver=self._receiver,
            sender_engine=sender_engine,
            receiver_engine=receiver_engine,
            resolver=self._timed(self._make_resolver(resolver, now_ms)),
            names=self._names,
            resources=self._resources,
            receiver_id_base=self._shared.random() or 1,
            default_socket_buffer_lengths=(
                default_socket_buffer_lengths() if engines is None else (0, 0)
            ),
            process_watch=ProcessWatch(_own_process(), process_start_ticks),
            now_ns=clock_ns(),
            now_ms=now_ms,
        )
        self._conductor = Conductor(context, self._shared.random(), self._terminate)
        if self._event_log is not None:
            self._event_log.name_streams(self._conductor.channel_of)
        self._control = ControlAgent(
            self._shared,
            self._cnc.to_driver_buffer,
            self._conductor,
            config.timer_interval_ns,
        )
        self._context = context
        if is_threaded:
            if self._event_log is not None:
                self._event_log.start(thread_name(config, "event_log"))
            self._start_agents()
        self._commands.consumer_heartbeat_ms = clock_ms()
        self._cnc.signal_ready()

    @classmethod
    def launch(cls, directory: str | os.PathLike[str] | None = None, **settings: Any) -> Self:
        """Start a driver for this process: the environment's `AERON_*`, these keywords over them.

        Args:
            directory: of its files; None makes one of its own, removed when the driver closes.
            settings: names of `volans.driver.config_table`, such as `term_buffer_length="1m"`;
                besides them `engines`, `resolver`, `clock_ns`, `clock_ms`, `random_seed` and
                `on_terminate` of the constructor. Unless said otherwise the agents share one
                thread, which costs an idle application the least.
        """
        options = {name: settings.pop(name) for name in CONSTRUCTOR_OPTIONS if name in settings}
        if directory is None:
            directory = own_directory()
            settings.setdefault("dir_delete_on_shutdown", True)
        if "AERON_THREADING_MODE" not in os.environ:
            settings.setdefault("threading_mode", "SHARED")
        settings["directory"] = os.fspath(directory)
        driver = cls(DriverConfig.from_environment(**settings), **options)
        _open_drivers.add(driver)
        return driver

    # --- running ---------------------------------------------------------------------------------

    def do_work(self, now_ns: int | None = None, now_ms: int | None = None) -> int:
        """One duty cycle of every agent on the caller's thread (INVOKER mode only); work count."""
        now_ns = self._clock_ns() if now_ns is None else now_ns
        now_ms = self._clock_ms() if now_ms is None else now_ms
        if self._event_log is not None:
            self._event_log.write_pending()
        return (
            self._control.do_work(now_ns, now_ms)
            + self._pacer.do_work(now_ns, now_ms)
            + self._receiver.do_work(now_ns, now_ms)
            + self._sender.do_work(now_ns, now_ms)
        )

    @property
    def counters(self) -> CountersManager:
        """The driver's counters; read only from outside."""
        return self._counters

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        return self._conductor.client_count

    @property
    def is_closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    def _start_agents(self) -> None:
        config = self.config
        pacer, sender, receiver = (
            part.native_agent() for part in (self._pacer, self._sender, self._receiver)
        )
        mode = config.threading_mode
        # Agent, role, and whose cycle times its thread tells.
        groups: list[tuple[NativeAgent, str, tuple[str, ...]]]
        if mode == "DEDICATED":
            groups = [
                (pacer, "conductor", ("conductor",)),
                (sender, "sender", ("sender",)),
                (receiver, "receiver", ("receiver",)),
            ]
        elif mode == "SHARED_NETWORK":
            groups = [
                (pacer, "conductor", ("conductor",)),
                (
                    NativeComposite([sender, receiver]),
                    "shared_network",
                    ("sender", "receiver"),
                ),
            ]
        else:
            together = NativeComposite([pacer, sender, receiver])
            groups = [(together, "shared", ("conductor", "sender", "receiver"))]
        for agent, role, measured in groups:
            self._run(agent, role, self._idle_strategy(role), measured)
        self._run(
            self._control.native_agent(),
            "control",
            BackoffIdleStrategy(max_park_ns=CONTROL_IDLE_MAX_PARK_NS),
            (),
        )

    def _run(
        self,
        agent: NativeAgent,
        role: str,
        idle_strategy: IdleStrategy,
        measured: tuple[str, ...],
    ) -> None:
        runner = NativeAgentRunner(
            agent,
            idle_strategy,
            thread_name=thread_name(self.config, role),
            on_start=pin_to_core(self.config, role, self._log_error),
        )
        for cycle in measured:
            self._shared.measure_cycles(
                runner, cycle, getattr(self.config, f"{cycle}_cycle_threshold_ns")
            )
        runner.start()
        self._runners.append(runner)

    def _idle_strategy(self, agent: str) -> IdleStrategy:
        name = getattr(self.config, f"{agent}_idle_strategy")
        arguments = getattr(self.config, f"{agent}_idle_strategy_init_args")
        return IdleStrategy.from_name(
            name,
            arguments,
            AtomicCounter(self._counters, SystemCounter.CONTROLLABLE_IDLE_STRATEGY),
        )

    def _make_resolver(self, resolver: Resolver | None, now_ms: int) -> Resolver:
        """That given, or the system's; under what the settings put over it."""
        self._names: DriverNames | None = None
        known = resolver if resolver is not None else DefaultResolver()
        if not isinstance(known, DefaultResolver):
            return known
        config = self.config
        known = with_name_table(config, self._counters, known)
        if not config.resolver_interface:
            return known
        engine = self._engines[2] if len(self._engines) > 2 else make_control_engine(config)
        self._names = DriverNames(
            config,
            engine,
            self._shared,
            self._counters,
            known,
            self._resources,
            now_ms,
            self._clock_ms,
            self._log_event,
        )
        return self._names.resolver

    def _timed(self, resolver: Resolver) -> TimedResolver:
        count = self._shared.add_to_system_counter
        return TimedResolver(
            resolver,
            self._clock_ns,
            self.config.name_resolver_threshold_ns,
            on_longest=lambda grown_ns: count(SystemCounter.NAME_RESOLVER_MAX_TIME, grown_ns),
            on_stall=lambda: count(SystemCounter.NAME_RESOLVER_TIME_THRESHOLD_EXCEEDED),
            on_resolved=None if self._event_log is None else self._log_look_up,
        )

    def _log_answer(self, msg_type_id: int, payload: bytes) -> None:
        if self._event_log is not None:
            self._event_log.on_answer(self._context.now_ns, msg_type_id, payload)

    def _log_look_up(
        self, name: str, parameter: str, is_again: bool, address: object, duration_ns: int
    ) -> None:
        again = str(is_again).lower()
        # As in the official driver, a look-up leaves the name as it is: what a name stands for is
        # the business of the resolution.
        self._log_event(
            LOOKUP, f"parameter={parameter} name={name} isReLookup={again} resolvedName={name}"
        )
        self._log_event(
            RESOLVE,
            f"parameter={parameter} name={name} isReResolution={again} "
            f"address={address} durationNs={duration_ns}",
        )

    def _log_event(self, event_id: int, text: str) -> None:
        if self._event_log is not None:
            self._event_log.on_event(event_id, self._clock_ns(), text)

    def _start_resource_thread(self) -> None:
        role = "native_resource_agent"
        name_this_thread(thread_name(self.config, role))
        pin = pin_to_core(self.config, role, self._log_error)
        if pin is not None:
            pin()

    def _log_error(self, text: str) -> None:
        self._shared.log_error(text, self._clock_ms())

    def _wake_control(self) -> None:
        self._control.wake()

    def _terminate(self, token: bytes) -> None:
        """TERMINATE_DRIVER came: obey when the validator allows it."""
        if not self.config.termination_validator.endswith("allow"):
            return
        self.termination_requested = True
        if self._on_terminate is not None:
            self._on_terminate()

    # --- files -----------------------------------------------------------------------------------

    def _make_files(self, now_ms: int) -> None:
        config = self.config
        # Simulations make hundreds of drivers and touch little of each.
        is_sparse = config.threading_mode == "INVOKER"
        self._cnc = create_cnc(
            self.directory,
            config.cnc_layout,
            client_liveness_timeout_ns=config.client_liveness_timeout_ns,
            start_timestamp_ms=now_ms,
            pid=os.getpid(),
            sparse=is_sparse,
            check_storage=config.perform_storage_checks,
        )
        self._loss_report = MappedFile.create(
            self.directory / LOSS_REPORT_FILE_NAME,
            config.loss_report_length,
            sparse=is_sparse,
            check_storage=config.perform_storage_checks,
        )
        self._counters = CountersManager(
            self._cnc.counters_metadata_buffer,
            self._cnc.counters_values_buffer,
            free_to_reuse_timeout_ms=config.counter_free_to_reuse_ns // NANOSECONDS_PER_MILLISECOND,
            epoch_clock_ms=self._clock_ms,
        )

    def _count_mapped_bytes(self) -> None:
        for mapped in (self._cnc.mapped, self._loss_report):
            self._shared.add_to_system_counter(SystemCounter.BYTES_CURRENTLY_MAPPED, len(mapped))

    # --- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the agents, tell clients by the heartbeat, close sockets; bounded in time;
        idempotent.
        """
        if self._closed:
            return
        self._closed = True
        for runner in reversed(self._runners):
            runner.close(CLOSE_TIMEOUT_S)
        self._resources.close(CLOSE_TIMEOUT_S)
        self._commands.consumer_heartbeat_ms = SHUT_DOWN_HEARTBEAT
        self._conductor.close()
        if self._names is not None:
            self._names.close()
        if self._event_log is not None:
            self._event_log.close()
        for engine in self._engines:
            engine.close()
        self._loss_report.close()
        self._cnc.close()
        if self.config.dir_delete_on_shutdown:
            remove_directory(Path(self.directory))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


def _own_process() -> ClientProcess | None:
    namespace_id = pid_namespace_id()
    return None if namespace_id is None else ClientProcess(os.getpid(), namespace_id)


def own_directory() -> Path:
    """A directory no other driver has, where the default one would be."""
    default = Path(DriverConfig.default_directory())
    return default.with_name(f"{default.name}-{os.getpid()}-{next(_directory_numbers)}")


@atexit.register
def _close_at_exit() -> None:
    for driver in list(_open_drivers):
        driver.close()


def _check_names(config: DriverConfig) -> None:
    """Names of strategies must be known before anything is made."""
    select_events(config.event_log, config.event_log_disable)
    for setting, known in (
        ("unicast_flow_control", FLOW_CONTROLS),
        ("multicast_flow_control", FLOW_CONTROLS),
        ("congestion_control", CONGESTION_CONTROLS),
    ):
        value = getattr(config, setting)
        if strategy_name(value) not in known:
            raise ConfigError(BY_NAME[setting].variable, value, f"one of {', '.join(known)}")
    for agent in ("conductor", "sender", "receiver", "shared", "shared_network"):
        setting = f"{agent}_idle_strategy"
        value = getattr(config, setting)
        try:
            resolve_idle_strategy(value, getattr(config, f"{setting}_init_args"))
        except ValueError as error:
            raise ConfigError(BY_NAME[setting].variable, value, str(error)) from None


def _agent_settings(config: DriverConfig) -> dict[str, int]:
    return {
        "timer_interval_ns": config.timer_interval_ns,
        "status_message_timeout_ns": config.status_message_timeout_ns,
        "image_liveness_timeout_ns": config.image_liveness_timeout_ns,
        "publication_unblock_timeout_ns": config.publication_unblock_timeout_ns,
        "publication_connection_timeout_ns": config.publication_connection_timeout_ns,
        "publication_linger_timeout_ns": config.publication_linger_timeout_ns,
        "retransmit_delay_ns": config.retransmit_unicast_delay_ns,
        "retransmit_linger_ns": config.retransmit_unicast_linger_ns,
        "nak_unicast_delay_ns": config.nak_unicast_delay_ns,
        "nak_unicast_retry_delay_ratio": config.nak_unicast_retry_delay_ratio,
        "nak_multicast_max_backoff_ns": config.nak_multicast_max_backoff_ns,
        "nak_multicast_group_size": config.nak_multicast_group_size,
        "max_messages_per_send": config.network_publication_max_messages_per_send,
        "send_to_status_poll_ratio": config.send_to_sm_poll_ratio,
        "receiver_burst": RECEIVER_BURST,
        "initial_window_length": config.initial_window_length,
        "stream_session_limit": config.stream_session_limit,
        "flow_control_receiver_timeout_ns": config.flow_control_receiver_timeout_ns,
        "cubic_initial_rtt_ns": config.cubic_initial_rtt_ns,
        "cubic_measure_rtt": config.cubic_measure_rtt,
        "cubic_tcp_mode": config.cubic_tcp_mode,
    }


__all__ = ["DriverConfig", "MediaDriver"]
