"""The client's bookkeeping: what it asked the driver for, what it got, and how all of it ends.

Runs on a thread of its own that sleeps until the keep-alive thread has something for it, or,
in invoker mode, inside the application's calls. The lock guards the tables below; handlers of
the application are called without it.
"""

from __future__ import annotations

import os
import select
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from volans.client import counters as counter_facts
from volans.client import keepalive
from volans.client.driver_events import DriverEvents
from volans.client.registration import Kind, Registration
from volans.client.results import ChannelStatus
from volans.client.waiting import Waiter
from volans.errors import ClientClosedError, DriverTimeoutError, VolansError
from volans.memory.counters import CountersReader
from volans.protocol import commands
from volans.protocol.channel_uri import ChannelUri

if TYPE_CHECKING:
    from volans.client.counters import Counter
    from volans.client.image import Image
    from volans.client.keepalive import DriverLink
    from volans.client.options import ClientOptions
    from volans.client.subscription import Subscription

_MAX_CHANNEL_BYTES = 4095
_MAX_REASON_BYTES = 1023


class ReentrantCallError(VolansError, RuntimeError):
    """A waiting call was made from a handler that runs on the thread that would answer it."""


class Conductor:
    """Registrations, resources and the end of one client."""

    def __init__(
        self,
        link: DriverLink,
        counters: CountersReader,
        options: ClientOptions,
    ) -> None:
        self.link = link
        self.counters = counters
        self.options = options
        self.lock = threading.RLock()
        self.closed_error: VolansError | None = None
        self.is_closed = False
        self.registrations: dict[int, Registration] = {}
        self.resources: dict[int, Any] = {}
        self.log_files: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.lingering: deque[tuple[int, Image, Subscription]] = deque()
        self.calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self.close_handlers: list[Callable[[], object]] = []
        self.available_counter_handlers: list[Callable[..., object]] = []
        self.unavailable_counter_handlers: list[Callable[..., object]] = []
        self.working_thread_id: int | None = None
        self._events = DriverEvents(self)
        self._thread: threading.Thread | None = None
        self._notify_descriptor = -1
        self._working = threading.Lock()
        self._driver_timeout_ns = int(options.driver_timeout * 1e9)

    # --- threads -------------------------------------------------------------------------

    def start(self) -> None:
        """Start the keep-alive thread and the conductor's own."""
        self._notify_descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        name = f"volans-{self.link.client_id}"
        self._thread = threading.Thread(target=self._run, name=f"{name}-conductor", daemon=True)
        self._thread.start()
        self.link.start(self._notify_descriptor, f"{name}-link")

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._notify_descriptor, select.POLLIN)
        while not self.is_closed:
            poller.poll(self._next_timeout_ms())
            try:
                os.eventfd_read(self._notify_descriptor)
            except BlockingIOError:
                pass
            try:
                self.do_work(self.options.nano_clock())
            except Exception as error:
                self.handle_error(error)
        # The link's thread writes to the descriptor: it goes first.
        if self.link.stop():
            with self.lock:
                descriptor, self._notify_descriptor = self._notify_descriptor, -1
            os.close(descriptor)

    def _next_timeout_ms(self) -> int | None:
        with self.lock:
            deadlines = [registration.deadline_ns for registration in self.registrations.values()]
            if self.lingering:
                deadlines.append(self.lingering[0][0])
        if not deadlines:
            return None
        return max(1, (min(deadlines) - self.options.nano_clock()) // 1_000_000 + 1)

    def wake(self) -> None:
        """Let the conductor's thread look at its deadlines, or at its end."""
        with self.lock:
            if self._notify_descriptor >= 0:
                os.eventfd_write(self._notify_descriptor, 1)

    def stop(self, timeout_s: float) -> None:
        """End both threads, in bounded time."""
        self.wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    # --- duty cycle ----------------------------------------------------------------------

    def invoke(self, now_ns: int, now_ms: int) -> int:
        """Invoker mode: the link's duty cycle and the conductor's."""
        work_count = max(0, self.link.do_work(now_ns, now_ms)) if not self.is_closed else 0
        return work_count + self.do_work(now_ns)

    def do_work(self, now_ns: int) -> int:
        """Take events, look at deadlines, call handlers. The work count."""
        # Another thread, or the handler this was called from, is at it already.
        if not self._working.acquire(blocking=False):
            return 0
        try:
            self.working_thread_id = threading.get_ident()
            work_count = 0
            while self.link.has_events() and not self.is_closed:
                for msg_type_id, payload in self.link.take_events():
                    with self.lock:
                        self._events.on_event(msg_type_id, payload, now_ns)
                    # Before the next event: an image is introduced before it can go.
                    work_count += 1 + self._make_calls()
            with self.lock:
                if not self.is_closed and self.link.status != keepalive.STATUS_RUNNING:
                    self.fail(self._link_error())
                work_count += self._check_deadlines(now_ns)
            return work_count + self._make_calls()
        finally:
            self.working_thread_id = None
            self._working.release()

    def _make_calls(self) -> int:
        count = 0
        while True:
            try:
                function, arguments = self.calls.popleft()
            except IndexError:
                return count
            count += 1
            try:
                function(*arguments)
            except Exception as error:
                self.handle_error(error)

    def call_later(self, function: Callable[..., object] | None, *arguments: Any) -> None:
        """Call a handler of the application once the lock is free."""
        if function is not None:
            self.calls.append((function, arguments))

    def handle_error(self, error: BaseException) -> None:
        """Give an error nobody waits for to the application."""
        try:
            self.options.error_handler(error)
        except Exception:
            from volans.client.options import log_error

            log_error(error)

    def _check_deadlines(self, now_ns: int) -> int:
        count = 0
        for registration in list(self.registrations.values()):
            if now_ns >= registration.deadline_ns and not registration.done.is_set():
                count += 1
                registration.error = DriverTimeoutError(
                    f"the media driver did not answer within {self.options.driver_timeout:g} s: "
                    f"{registration.describe()}"
                )
                # Should the answer still come, what it brings is given back.
                registration.abandoned = True
                registration.done.set()
        while self.lingering and now_ns >= self.lingering[0][0]:
            _, image, subscription = self.lingering.popleft()
            count += 1
            if id(image) in subscription._prune():
                self.linger(image, subscription, now_ns)
            else:
                image._release()
        return count

    def linger(self, image: Image, subscription: Subscription, now_ns: int) -> None:
        """Keep the memory of an image that is gone, for polls that are still at it."""
        deadline_ns = now_ns + int(self.options.resource_linger * 1e9)
        self.lingering.append((deadline_ns, image, subscription))

    # --- asking the driver ---------------------------------------------------------------

    def check_open(self) -> None:
        """Raise what ended the client, if it has ended."""
        if self.closed_error is not None:
            raise type(self.closed_error)(*self.closed_error.args)
        if self.is_closed:
            raise ClientClosedError("the client is closed: connect anew")

    def register(
        self, kind: Kind, make: Callable[[int, int], commands.Command], **details: Any
    ) -> int:
        """Send the command ``make(client_id, correlation_id)`` and expect an answer; its id."""
        channel = details.get("channel", "")
        if commands.encoded_channel_length(channel) > _MAX_CHANNEL_BYTES:
            raise ValueError(
                f"channel of {len(channel)} characters: at most {_MAX_CHANNEL_BYTES} bytes"
            )
        stream_id = details.get("stream_id", 0)
        if not -(1 << 31) <= stream_id < 1 << 31:
            raise ValueError(f"stream id {stream_id} is outside the 32-bit signed integers")
        with self.lock:
            self.check_open()
            correlation_id = self.link.next_correlation_id()
            command = make(self.link.client_id, correlation_id)
            deadline_ns = self.options.nano_clock() + self._driver_timeout_ns
            self.registrations[correlation_id] = Registration(
                correlation_id, kind, deadline_ns, **details
            )
            try:
                self.send(command)
            except BaseException:
                del self.registrations[correlation_id]
                raise
            self.link.set_waiting(len(self.registrations))
        return correlation_id

    def send(self, command: commands.Command) -> None:
        """Put a command into the driver's ring; wait for room in bounded time."""
        message = command.encode()
        waiter = None
        while not self.link.try_send(command.msg_type_id, message):
            if waiter is None:
                waiter = Waiter(
                    self.options.driver_timeout, self.options.nano_clock, self.options.sleep, None
                )
            if self.link.status != keepalive.STATUS_RUNNING or not waiter.idle():
                raise DriverTimeoutError(
                    f"the driver's command buffer stayed full for {self.options.driver_timeout:g} s"
                )

    def poll_registration(self, registration_id: int) -> Any:
        """What became of a registration: None while it is under way."""
        with self.lock:
            registration = self.registrations.get(registration_id)
            if registration is None:
                if registration_id in self.resources:
                    return self.resources[registration_id]
                self.check_open()
                raise ValueError(f"registration id {registration_id} is not known to this client")
            if not registration.done.is_set():
                self.check_open()
                if registration.abandoned:
                    raise ValueError(f"registration id {registration_id} was cancelled")
                return None
            return self._finish(registration)

    def cancel(self, registration_id: int) -> bool:
        """Take an add back: what it brings, or has brought unasked for, is removed."""
        with self.lock:
            registration = self.registrations.get(registration_id)
            if registration is None:
                if registration_id in self.resources:
                    return False
                raise ValueError(f"registration id {registration_id} is not known to this client")
            if registration.kind not in CANCELLABLE:
                raise ValueError(f"only adds can be cancelled, not a {registration.describe()}")
            if not registration.done.is_set():
                registration.abandoned = True
                return True
            self.registrations.pop(registration_id)
            result = registration.result
        if result is not None:
            result.close()
        return True

    def _finish(self, registration: Registration) -> Any:
        if not registration.abandoned:
            self.registrations.pop(registration.registration_id, None)
        self.link.set_waiting(
            sum(not waiting.done.is_set() for waiting in self.registrations.values())
        )
        if registration.error is not None:
            raise registration.error
        return registration.result

    def wait_for(self, registration_id: int, timeout: float | None = None) -> Any:
        """The result of a registration; in invoker mode the client's work is done meanwhile."""
        if self.working_thread_id == threading.get_ident():
            raise ReentrantCallError(
                "a handler called by the client may not wait for the driver: use the async_ form"
            )
        registration = self.registrations[registration_id]
        if self.options.use_conductor_invoker:
            waiter = self.waiter(timeout)
            while not registration.done.is_set() and waiter.idle():
                pass
        else:
            registration.done.wait(
                timeout if timeout is not None else self.options.driver_timeout + 5.0
            )
        with self.lock:
            if registration.done.is_set():
                return self._finish(registration)
            registration.abandoned = True
        self.check_open()
        raise DriverTimeoutError(f"not answered in time by the driver: {registration.describe()}")

    def waiter(self, timeout: float | None) -> Waiter:
        """A bounded wait that keeps the client working in invoker mode."""
        work = self._invoke_now if self.options.use_conductor_invoker else None
        return Waiter(timeout, self.options.nano_clock, self.options.sleep, work)

    def _invoke_now(self) -> int:
        return self.invoke(self.options.nano_clock(), self.options.epoch_clock_ms())

    # --- giving things back --------------------------------------------------------------

    def remove_publication(self, publication: Any, revoke: bool) -> None:
        """Close a publication of either kind."""
        with self.lock:
            publication._force_close()
            if self.resources.pop(publication.registration_id, None) is not None:
                self._tell(
                    lambda client_id, id_: commands.RemovePublication(
                        client_id, id_, publication.registration_id, revoke
                    )
                )

    def remove_subscription(self, subscription: Any) -> None:
        """Close a subscription and its images."""
        with self.lock:
            images = subscription._close()
            now_ns = self.options.nano_clock()
            for image in images:
                self.linger(image, subscription, now_ns)
                self.call_later(subscription._unavailable_image_handler, image)
            if self.resources.pop(subscription.registration_id, None) is not None:
                self._tell(
                    lambda client_id, id_: commands.RemoveSubscription(
                        client_id, id_, subscription.registration_id
                    )
                )
        self.wake()

    def remove_counter(self, counter: Counter) -> None:
        """Give a counter back."""
        with self.lock:
            counter._force_close()
            if self.resources.pop(counter.registration_id, None) is None or counter.is_static:
                return
            self._tell(
                lambda client_id, id_: commands.RemoveCounter(
                    client_id, id_, counter.registration_id
                )
            )

    def async_remove(
        self, resource: Any, command: Callable[[int, int, int], commands.Command]
    ) -> int:
        """Give a publication, subscription or counter back; the id to ask for the answer by."""
        with self.lock:
            if resource.is_closed:
                raise ClientClosedError(f"{resource!r} is closed already")
            number = resource.registration_id
            operation = self.register(
                Kind.OPERATION, lambda client_id, id_: command(client_id, id_, number)
            )
            # Its close() finds nothing to tell the driver any more.
            self.resources.pop(number, None)
        resource.close()
        return operation

    def _tell(self, make: Callable[[int, int], commands.Command]) -> None:
        """Send a command whose answer does not matter."""
        if not self.is_closed:
            self.send(make(self.link.client_id, self.link.next_correlation_id()))

    def reject_image(self, correlation_id: int, position: int, reason: str) -> None:
        """Refuse an image."""
        if len(reason.encode("utf-8")) > _MAX_REASON_BYTES or not reason.isascii():
            raise ValueError(
                f"reason of {len(reason)} characters: at most {_MAX_REASON_BYTES}, in ASCII"
            )
        with self.lock:
            self.check_open()
            self._tell(
                lambda client_id, id_: commands.RejectImage(
                    client_id, id_, correlation_id, position, reason
                )
            )

    def change_destination(
        self, owner: Any, change: str, destination: str | int, timeout: float | None
    ) -> int:
        """Add or remove a destination and wait for the driver's consent; the command's id."""
        registration_id = self.async_change_destination(owner, change, destination)
        self.wait_for(registration_id, timeout)
        return registration_id

    def async_change_destination(self, owner: Any, change: str, destination: str | int) -> int:
        """Ask for a destination to be added or removed; the registration id."""
        if owner.is_closed:
            raise ClientClosedError(f"{owner!r} is closed: add a new one")
        # Of a shared publication the driver knows the id under which it was added first.
        owner_id = getattr(owner, "original_registration_id", owner.registration_id)
        if isinstance(destination, int):
            number = destination
            return self.register(
                Kind.OPERATION,
                lambda client_id, id_: commands.RemoveDestinationById(
                    client_id, id_, owner_id, number
                ),
            )
        channel = destination
        command = _DESTINATION_COMMANDS[change]
        return self.register(
            Kind.OPERATION,
            lambda client_id, id_: command(client_id, id_, owner_id, channel),
            channel=channel,
        )

    # --- reading the driver --------------------------------------------------------------

    def channel_status(self, counter_id: int, is_closed: bool) -> ChannelStatus:
        """State of a channel by its status counter."""
        if is_closed:
            return ChannelStatus.CLOSING
        if counter_id < 0:
            return ChannelStatus.ACTIVE  # IPC has no media that could fail
        try:
            return ChannelStatus(self.counters.value(counter_id))
        except ValueError:
            return ChannelStatus.UNKNOWN

    def local_socket_addresses(self, counter_id: int) -> list[str]:
        """``host:port`` of the sockets of a channel."""
        if counter_id < 0 or self.is_closed:
            return []
        return counter_facts.local_socket_addresses(self.counters, counter_id)

    def resolve_channel(self, channel: str, endpoint: str | None) -> str | None:
        """The channel with a real port for an endpoint's port 0."""
        wanted = ChannelUri.parse(channel).get("endpoint")
        if wanted is None or not wanted.endswith(":0"):
            return channel
        if endpoint is None:
            return None
        resolved = wanted[: wanted.rindex(":")] + endpoint[endpoint.rindex(":") :]
        return channel.replace(f"endpoint={wanted}", f"endpoint={resolved}")

    # --- the end -------------------------------------------------------------------------

    def _link_error(self) -> VolansError:
        status = self.link.status
        directory = self.options.directory
        if status == keepalive.STATUS_DRIVER_SHUT_DOWN:
            return DriverTimeoutError(f"the media driver in {directory} has been shut down")
        if status == keepalive.STATUS_DRIVER_TIMED_OUT:
            return DriverTimeoutError(
                f"the media driver in {directory} gave no sign of life for "
                f"{self.link.driver_age_ms} ms (driver_timeout is "
                f"{self.options.driver_timeout:g} s): restart it and connect anew"
            )
        if status == keepalive.STATUS_HEARTBEAT_COUNTER_LOST:
            return DriverTimeoutError(
                f"the media driver in {directory} took this client's heartbeat counter away: it "
                f"counted the client as dead (was the process suspended?); connect anew"
            )
        if status == keepalive.STATUS_LAPPED:
            return DriverTimeoutError(
                "events of the media driver were overwritten before they could be read (was the "
                "process suspended?); connect anew"
            )
        return DriverTimeoutError(
            "events of the media driver found no room: Python held the GIL too long; connect anew"
        )

    def fail(self, error: VolansError) -> None:
        """The client is over, not by its own will: end everything and say why."""
        if not self.is_closed:
            self.closed_error = error
            self._end_all()
            self.call_later(self.handle_error, error)

    def _end_all(self) -> None:
        self.is_closed = True
        for resource in list(self.resources.values()):
            images = resource._close() if hasattr(resource, "_close") else None
            if images is None:
                resource._force_close()
                continue
            for image in images:
                self.call_later(resource._unavailable_image_handler, image)
        self.resources.clear()
        for registration in self.registrations.values():
            if not registration.done.is_set():
                registration.error = self.closed_error or ClientClosedError("the client is closed")
                registration.done.set()
        for handler in (*self.close_handlers, self.options.on_close):
            self.call_later(handler)

    def close(self) -> None:
        """End everything by the application's will."""
        with self.lock:
            if not self.is_closed:
                try:
                    if self.link.status == keepalive.STATUS_RUNNING:
                        self.link.try_send(
                            commands.ClientClose.msg_type_id,
                            commands.ClientClose(self.link.client_id).encode(),
                        )
                finally:
                    self._end_all()
            self.lingering.clear()
        self.link.set_waiting(0)
        self._make_calls()

    def abandon(self) -> None:
        """In a forked child: everything is closed here, nothing is told to the driver."""
        self.lock = threading.RLock()
        self._working = threading.Lock()
        self.working_thread_id = None
        self._thread = None
        self._notify_descriptor = -1
        self.link.abandon()
        if not self.is_closed:
            self.closed_error = ClientClosedError(
                "the client belongs to the parent process: connect anew after fork"
            )
            self.close_handlers.clear()
            self._end_all()
            self.calls.clear()


CANCELLABLE = (
    Kind.PUBLICATION,
    Kind.EXCLUSIVE_PUBLICATION,
    Kind.SUBSCRIPTION,
    Kind.COUNTER,
    Kind.STATIC_COUNTER,
)

_DESTINATION_COMMANDS = {
    "add": commands.AddDestination,
    "remove": commands.RemoveDestination,
    "add-receive": commands.AddReceiveDestination,
    "remove-receive": commands.RemoveReceiveDestination,
}
