"""The way in: connect to a media driver."""

from __future__ import annotations

import atexit
import os
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from volans.agents.processes import pid_namespace_id
from volans.client.conductor import Conductor
from volans.client.keepalive import DriverLink
from volans.client.options import ClientOptions
from volans.client.registration import Kind
from volans.memory.counters import CountersReader
from volans.protocol import commands
from volans.protocol.client_process import client_process_mark
from volans.protocol.cnc import BROADCAST_TRAILER_LENGTH, CncFile
from volans.version import VERSION

if TYPE_CHECKING:
    from volans.client.counters import Counter
    from volans.client.exclusive_publication import ExclusivePublication
    from volans.client.image import Image
    from volans.client.publication import Publication
    from volans.client.subscription import Subscription

_CLOSE_TIMEOUT_S = 5.0
_MAX_KEY_BYTES = 112
_MAX_LABEL_BYTES = 380

ImageHandler = Callable[["Image"], object]

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def connect(
    directory: str | os.PathLike[str] | None = None,
    *,
    embedded: bool = False,
    driver_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Client:
    """Connect to the media driver of a directory.

    directory: where the driver lives; the official default when None (AERON_DIR).
    embedded: run a driver inside this process, with a temporary directory unless one is given;
        it ends with the client. ``driver_options`` go to ``MediaDriver.launch``.
    options: the fields of :class:`volans.client.options.ClientOptions`, such as
        ``client_name``, ``driver_timeout``, ``error_handler``, ``use_conductor_invoker``.

    Use it as a context manager, or call ``close``. Raises DriverNotRunningError when no
    driver shows life within ``driver_timeout``, CncVersionError, CncFormatError, ConfigError.
    """
    if not embedded:
        if driver_options:
            raise TypeError("driver_options are for embedded=True")
        return Client(ClientOptions.from_environment(directory=directory, **options))
    from volans.driver.media_driver import MediaDriver

    launch = dict(driver_options or {})
    if directory is not None:
        launch["directory"] = os.fspath(directory)
    driver = MediaDriver.launch(**launch)
    try:
        return Client(
            ClientOptions.from_environment(directory=driver.directory, **options), driver=driver
        )
    except BaseException:
        driver.close()
        raise


class Client:
    """A connection to one media driver: adds publications, subscriptions and counters.

    Made by :func:`connect`. Attributes: ``options``, ``driver`` (the embedded one, or None).

    Threading: any thread may call any method. ``add_...`` waits for the driver;
    ``async_add_...`` returns a registration id at once, to be asked for with ``get_...``.
    After ``close``, or when the driver has died, calls raise ClientClosedError or
    DriverTimeoutError. A client does not survive ``fork``: the child connects anew.
    """

    def __init__(self, options: ClientOptions, *, driver: Any = None) -> None:
        self.options = options
        self.driver = driver
        assert options.directory is not None
        self._cnc = CncFile.attach(
            options.directory,
            timeout_s=options.driver_timeout,
            epoch_ms=options.epoch_clock_ms,
            monotonic_ns=options.nano_clock,
            sleep=options.sleep,
        )
        link = DriverLink(
            self._cnc.to_driver_buffer,
            self._cnc.to_clients_buffer,
            self._cnc.counters_metadata_buffer,
            self._cnc.counters_values_buffer,
            driver_timeout_ms=int(options.driver_timeout * 1e3),
            keepalive_interval_ns=int(options.keepalive_interval * 1e9),
            idle_ms=max(1, int(options.idle_sleep * 1e3)),
            label_suffix=(
                f" name={options.client_name} version={VERSION} commit=volans"
                + client_process_mark(os.getpid(), pid_namespace_id())
            ).encode(),
            # Four times what the driver's buffer holds; untouched pages cost nothing.
            events_bytes=4 * (self._cnc.layout.to_clients_buffer_length - BROADCAST_TRAILER_LENGTH),
        )
        reader = CountersReader(
            self._cnc.counters_metadata_buffer, self._cnc.counters_values_buffer
        )
        self._conductor = Conductor(link, reader, options)
        self._closed = False
        _clients.add(self)
        if not options.use_conductor_invoker:
            self._conductor.start()

    # --- publications --------------------------------------------------------------------

    def add_publication(self, channel: str, stream_id: int) -> Publication:
        """Add a publication that is shared by all clients of the driver.

        Raises RegistrationError (the driver's reason), DriverTimeoutError, ClientClosedError.
        """
        result: Publication = self._conductor.wait_for(
            self.async_add_publication(channel, stream_id)
        )
        return result

    def async_add_publication(self, channel: str, stream_id: int) -> int:
        """Ask for a publication; the id for :meth:`get_publication`."""
        return self._conductor.register(
            Kind.PUBLICATION,
            lambda client_id, id_: commands.AddPublication(client_id, id_, stream_id, channel),
            channel=channel,
            stream_id=stream_id,
        )

    def get_publication(self, registration_id: int) -> Publication | None:
        """The publication asked for, None while it is under way. Raises as ``add_publication``."""
        result: Publication | None = self._conductor.poll_registration(registration_id)
        return result

    def add_exclusive_publication(self, channel: str, stream_id: int) -> ExclusivePublication:
        """Add a publication with its own session, for one thread. Raises as ``add_publication``."""
        result: ExclusivePublication = self._conductor.wait_for(
            self.async_add_exclusive_publication(channel, stream_id)
        )
        return result

    def async_add_exclusive_publication(self, channel: str, stream_id: int) -> int:
        """Ask for an exclusive publication; the id for :meth:`get_exclusive_publication`."""
        return self._conductor.register(
            Kind.EXCLUSIVE_PUBLICATION,
            lambda client_id, id_: commands.AddExclusivePublication(
                client_id, id_, stream_id, channel
            ),
            channel=channel,
            stream_id=stream_id,
        )

    def get_exclusive_publication(self, registration_id: int) -> ExclusivePublication | None:
        """The publication asked for, None while it is under way."""
        result: ExclusivePublication | None = self._conductor.poll_registration(registration_id)
        return result

    # --- subscriptions -------------------------------------------------------------------

    def add_subscription(
        self,
        channel: str,
        stream_id: int,
        *,
        on_available_image: ImageHandler | None = None,
        on_unavailable_image: ImageHandler | None = None,
        fragments: bool = False,
    ) -> Subscription:
        """Add a subscription. Handlers get each image as it comes and goes, on the client's thread.

        ``fragments=True``: polls hand over frames as they are instead of whole messages.
        Raises as ``add_publication``.
        """
        result: Subscription = self._conductor.wait_for(
            self.async_add_subscription(
                channel,
                stream_id,
                on_available_image=on_available_image,
                on_unavailable_image=on_unavailable_image,
                fragments=fragments,
            )
        )
        return result

    def async_add_subscription(
        self,
        channel: str,
        stream_id: int,
        *,
        on_available_image: ImageHandler | None = None,
        on_unavailable_image: ImageHandler | None = None,
        fragments: bool = False,
    ) -> int:
        """Ask for a subscription; the id for :meth:`get_subscription`."""
        return self._conductor.register(
            Kind.SUBSCRIPTION,
            lambda client_id, id_: commands.AddSubscription(client_id, id_, stream_id, channel),
            channel=channel,
            stream_id=stream_id,
            fragments=fragments,
            on_available_image=on_available_image,
            on_unavailable_image=on_unavailable_image,
        )

    def get_subscription(self, registration_id: int) -> Subscription | None:
        """The subscription asked for, None while it is under way."""
        result: Subscription | None = self._conductor.poll_registration(registration_id)
        return result

    # --- counters ------------------------------------------------------------------------

    def add_counter(self, type_id: int, label: str, key: bytes = b"") -> Counter:
        """Add a counter (type ids from 1000 on are free for applications).

        Raises ValueError when the key or label is too long, else as ``add_publication``.
        """
        result: Counter = self._conductor.wait_for(self.async_add_counter(type_id, label, key))
        return result

    def async_add_counter(self, type_id: int, label: str, key: bytes = b"") -> int:
        """Ask for a counter; the id for :meth:`get_counter`."""
        _check_counter(key, label)
        return self._conductor.register(
            Kind.COUNTER,
            lambda client_id, id_: commands.AddCounter(client_id, id_, type_id, key, label),
        )

    def add_static_counter(
        self, type_id: int, registration_id: int, label: str, key: bytes = b""
    ) -> Counter:
        """Add, or find, a counter that outlives clients; one for each type and registration id."""
        result: Counter = self._conductor.wait_for(
            self.async_add_static_counter(type_id, registration_id, label, key)
        )
        return result

    def async_add_static_counter(
        self, type_id: int, registration_id: int, label: str, key: bytes = b""
    ) -> int:
        """Ask for a static counter; the id for :meth:`get_counter`."""
        _check_counter(key, label)
        return self._conductor.register(
            Kind.STATIC_COUNTER,
            lambda client_id, id_: commands.AddStaticCounter(
                client_id, id_, registration_id, type_id, key, label
            ),
        )

    def get_counter(self, registration_id: int) -> Counter | None:
        """The counter asked for, None while it is under way."""
        result: Counter | None = self._conductor.poll_registration(registration_id)
        return result

    @property
    def counters(self) -> CountersReader:
        """All counters of the driver."""
        return self._conductor.counters

    def add_available_counter_handler(self, handler: Callable[..., object]) -> None:
        """Call ``handler(counters, registration_id, counter_id)`` for each new counter."""
        self._conductor.available_counter_handlers.append(handler)

    def add_unavailable_counter_handler(self, handler: Callable[..., object]) -> None:
        """Call ``handler(counters, registration_id, counter_id)`` for each counter freed."""
        self._conductor.unavailable_counter_handlers.append(handler)

    # --- the rest ------------------------------------------------------------------------

    def next_session_id(self, stream_id: int) -> int:
        """A session id that no publication of the stream uses. Raises as ``add_publication``."""
        result: int = self._conductor.wait_for(self.async_next_session_id(stream_id))
        return result

    def async_next_session_id(self, stream_id: int) -> int:
        """Ask for a free session id; the id for :meth:`get_next_session_id`."""
        return self._conductor.register(
            Kind.SESSION_ID,
            lambda client_id, id_: commands.GetNextAvailableSessionId(client_id, id_, stream_id),
            stream_id=stream_id,
        )

    def get_next_session_id(self, registration_id: int) -> int | None:
        """The session id asked for, None while it is under way."""
        result: int | None = self._conductor.poll_registration(registration_id)
        return result

    def async_add_destination(self, owner: Publication | ExclusivePublication, channel: str) -> int:
        """Ask for a destination of a publication; the id for :meth:`is_done`."""
        return self._conductor.async_change_destination(owner, "add", channel)

    def async_remove_destination(
        self, owner: Publication | ExclusivePublication, destination: str | int
    ) -> int:
        """Ask to remove a destination, by channel or registration id; id for :meth:`is_done`."""
        return self._conductor.async_change_destination(owner, "remove", destination)

    def async_add_receive_destination(self, owner: Subscription, channel: str) -> int:
        """Ask for a channel to receive from too; the id for :meth:`is_done`."""
        return self._conductor.async_change_destination(owner, "add-receive", channel)

    def async_remove_receive_destination(self, owner: Subscription, channel: str) -> int:
        """Ask to receive from a channel no longer; the id for :meth:`is_done`."""
        return self._conductor.async_change_destination(owner, "remove-receive", channel)

    def async_remove_publication(self, publication: Publication | ExclusivePublication) -> int:
        """Close a publication; the id for :meth:`is_done`, which tells when the driver has."""
        revoke = getattr(publication, "revoke_on_close", False)
        return self._conductor.async_remove(
            publication,
            lambda client_id, id_, number: commands.RemovePublication(
                client_id, id_, number, revoke
            ),
        )

    def async_remove_subscription(self, subscription: Subscription) -> int:
        """Close a subscription; the id for :meth:`is_done`, which tells when the driver has."""
        return self._conductor.async_remove(subscription, commands.RemoveSubscription)

    def async_remove_counter(self, counter: Counter) -> int:
        """Close a counter; the id for :meth:`is_done`. Raises ValueError for a static one."""
        if counter.is_static:
            raise ValueError(f"{counter!r} is static: it stays until the driver ends")
        return self._conductor.async_remove(counter, commands.RemoveCounter)

    def cancel(self, registration_id: int) -> bool:
        """Take back an ``async_add_...`` of a publication, subscription or counter.

        What the driver adds all the same is removed. False when it was handed out by its
        ``get_...`` already: close it. Raises ValueError for an unknown id and for what is no
        add; asking for what was cancelled raises ValueError too.
        """
        return self._conductor.cancel(registration_id)

    def is_done(self, registration_id: int) -> bool:
        """Whether the driver has done what was asked. Raises RegistrationError if it refused."""
        return self._conductor.poll_registration(registration_id) is not None

    def add_close_handler(self, handler: Callable[[], object]) -> None:
        """Call ``handler()`` once when the client has closed, for whatever reason."""
        self._conductor.close_handlers.append(handler)

    def invoke(self) -> int:
        """Invoker mode: do the client's work once; the work count."""
        return self.do_work(self.options.nano_clock(), self.options.epoch_clock_ms())

    def do_work(self, now_ns: int, now_ms: int) -> int:
        """As :meth:`invoke`, with the time as an argument (virtual time)."""
        if not self.options.use_conductor_invoker:
            raise RuntimeError("invoke() needs use_conductor_invoker=True: the client has threads")
        return self._conductor.invoke(now_ns, now_ms)

    @property
    def client_id(self) -> int:
        """This client's id at the driver."""
        return self._conductor.link.client_id

    @property
    def directory(self) -> str:
        """Directory of the media driver."""
        assert self.options.directory is not None
        return self.options.directory

    @property
    def is_closed(self) -> bool:
        """Whether the client was closed, or its driver has died."""
        return self._conductor.is_closed

    def close(self) -> None:
        """Close all the client added, and the embedded driver; bounded, again is harmless."""
        if self._closed:
            return
        self._closed = True
        _clients.discard(self)
        try:
            self._conductor.close()
            self._conductor.stop(_CLOSE_TIMEOUT_S)
        finally:
            self._cnc.close()
            if self.driver is not None:
                self.driver.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Nobody can use it any more, so its threads and what it holds at the driver must go.
        if not getattr(self, "_closed", True):
            warnings.warn(f"{self!r} was dropped open: close it", ResourceWarning, 2, self)
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        return f"<Client {self.client_id} of {self.directory} {state}>"

    def _abandon(self) -> None:
        self._closed = True
        self.driver = None
        self._conductor.abandon()


def _check_counter(key: bytes, label: str) -> None:
    if len(key) > _MAX_KEY_BYTES:
        raise ValueError(f"counter key of {len(key)} bytes: at most {_MAX_KEY_BYTES}")
    if len(label.encode()) > _MAX_LABEL_BYTES:
        raise ValueError(
            f"counter label of {len(label)} characters: at most {_MAX_LABEL_BYTES} bytes"
        )


def _close_all() -> None:
    for client in list(_clients):
        client.close()


def _abandon_all() -> None:
    for client in list(_clients):
        client._abandon()
    _clients.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_abandon_all)
