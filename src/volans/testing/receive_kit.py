# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A driver's receive side in one thread under the test's clock, for tests.

One endpoint on a simulated network, a peer that plays the publication's driver, and the images the
test makes. Datagrams can be fed without network; duty cycles are called with chosen times.
"""

from __future__ import annotations

import socket
import struct

import cython
from cython import address, cast, pointer
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t, uint8_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.driver.dispatcher import dispatcher_session_state
from cython.cimports.volans.driver.image_pacing import (
    image_add_subscriber,
    image_join_position,
    image_on_time_event,
    image_remove_subscriber,
    image_track_rebuild,
)
from cython.cimports.volans.driver.receive_owners import (
    ReceiveDestinationOwner,
    ReceiveEndpointOwner,
)
from cython.cimports.volans.driver.receiver import Receiver
from cython.cimports.volans.driver.receiver_cycle import receiver_on_received
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.driver.stream_owners import PublicationImageOwner
from cython.cimports.volans.memory.atomic import store_release_i64
from cython.cimports.volans.memory.counters import CountersManager, counter_value_address
from cython.cimports.volans.memory.layout import RING_OK, RingBuffer
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_write
from cython.cimports.volans.transport.contract import RxDatagram

from volans.driver.agent_messages import decode_agent_message
from volans.driver.raw_log import LogParameters, create_log_file
from volans.driver.receive_owners import ReceiveDestinationOwner as DestinationOwnerFactory
from volans.driver.receive_owners import ReceiveEndpointOwner as EndpointOwnerFactory
from volans.driver.receiver import Receiver as ReceiverFactory
from volans.driver.shared import SETTINGS
from volans.driver.shared import SharedState as SharedStateFactory
from volans.driver.stream_owners import PublicationImageOwner as ImageOwnerFactory
from volans.memory.counters import CountersManager as CountersManagerFactory
from volans.memory.mapped import MappedFile
from volans.testing.transport_kit import EngineDriver
from volans.transport.simulated import SimulatedNetwork

HOST = "10.0.0.1"
PORT = 20121
PEER_HOST = "10.0.0.2"
PEER_PORT = 30001
SYSTEM_COUNTER_COUNT = 46
DEFAULT_SETTINGS = {
    **dict.fromkeys(SETTINGS, 0),
    "timer_interval_ns": 1_000_000_000,
    "status_message_timeout_ns": 200_000_000,
    "image_liveness_timeout_ns": 10_000_000_000,
    "nak_multicast_group_size": 10,
    "nak_multicast_max_backoff_ns": 10_000_000,
    "receiver_burst": 64,
    "initial_window_length": 131072,
    "stream_session_limit": 0x7FFFFFFF,
}


def ipv4(host: str, port: int) -> bytes:
    """A sockaddr_in."""
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))


def feed_datagram(
    receiver: Receiver,
    destination: ReceiveDestinationOwner,
    data: bytes,
    source: bytes,
    segment_length: int32_t,
    now_ns: int64_t,
    now_ms: int64_t,
    media_timestamp_ns: int64_t,
    channel_timestamp_ns: int64_t,
):
    datagram: RxDatagram
    # Memory of exactly its length: a read past the end is found by a checking allocator.
    copy: pointer[uint8_t] = cast(pointer[uint8_t], malloc(max(1, len(data))))
    if copy == cython.NULL:
        raise MemoryError
    memcpy(copy, cast(cython.p_char, data), len(data))
    memset(address(datagram), 0, cython.sizeof(RxDatagram))
    datagram.data = copy
    datagram.length = len(data)
    datagram.segment_length = segment_length
    datagram.endpoint = address(destination.state.endpoint)
    datagram.receive_timestamp_ns = media_timestamp_ns
    datagram.channel_timestamp_ns = channel_timestamp_ns
    memcpy(datagram.source.bytes, cast(cython.p_char, source), len(source))
    datagram.source.length = len(source)
    receiver.state.now_ns = now_ns
    receiver.state.now_ms = now_ms
    receiver_on_received(address(receiver.state), address(datagram))
    free(copy)


def fill_ring(shared: SharedState, is_receiver: cython.bint):
    filler: uint8_t[64]
    ring: pointer[RingBuffer] = address(shared.state.to_control)
    length: int32_t = 64
    if is_receiver:
        ring = address(shared.state.to_receiver)
    memset(filler, 0, 64)
    # The last ones are the smallest there are: nothing fits any more.
    while length >= 1:
        while mpsc_ring_write(ring, 999, filler, length) == RING_OK:
            pass
        length //= 8


class ReceiveKit:
    """The receive side. `settings` replaces names of `DEFAULT_SETTINGS`; the clock starts at
    `now_ns` and moves only by `advance`."""

    def __init__(
        self,
        *,
        control: tuple | None = None,
        is_multicast: bool = False,
        multicast_ttl: int = 0,
        group_tag: int | None = None,
        receiver_id: int = 77,
        session_count_limit: int = 0x7FFFFFFF,
        media_timestamp_offset: int | None = None,
        channel_timestamp_offset: int | None = None,
        now_ns: int = 1_000_000_000,
        seed: int = 1,
        **settings,
    ):
        self.now_ns = now_ns
        self.counters = CountersManagerFactory(
            bytearray(512 * 512), bytearray(128 * 512), epoch_clock_ms=lambda: self.now_ms
        )
        for i in range(SYSTEM_COUNTER_COUNT):
            self.counters.allocate(0, struct.pack("<i", i), f"system {i}")
        self.error_log = bytearray(65536)
        self.loss_report = MappedFile.anonymous(65536)
        self.shared = SharedStateFactory(
            self.counters, self.error_log, self.loss_report, {**DEFAULT_SETTINGS, **settings}, seed
        )
        self.network = SimulatedNetwork(seed)
        self.peer = EngineDriver(self.network.engine(PEER_HOST))
        self.peer_endpoint = self.peer.open(PEER_HOST, PEER_PORT)
        self.engine = self.network.engine(HOST)
        self.destinations: list = []
        self.next_destination_id = 500
        self.endpoint = EndpointOwnerFactory(
            self.shared,
            self.counters,
            self.engine,
            endpoint_id=5,
            receiver_id=receiver_id,
            channel_status_counter_id=self.counters.allocate(6, b"", "status"),
            group_tag=group_tag,
            session_count_limit=session_count_limit,
            media_timestamp_offset=media_timestamp_offset,
            channel_timestamp_offset=channel_timestamp_offset,
        )
        self.destination = self.make_destination(
            PORT, control=control, is_multicast=is_multicast, multicast_ttl=multicast_ttl
        )
        self.receiver = ReceiverFactory(self.shared, self.engine)
        self.source = ipv4(PEER_HOST, PEER_PORT)
        self.next_registration_id = 1000
        self.images: list = []
        self.receiver.add_destination(self.destination)
        self.cycle()

    def close(self) -> None:
        """Close both ends of the network; nothing else may be called after."""
        self.receiver.remove_endpoint(self.endpoint)
        while not self.endpoint.released:
            self.cycle()
        for destination in self.destinations:
            destination.close()
        self.peer.close()

    def make_destination(
        self,
        port: int,
        *,
        control: tuple | None = None,
        is_multicast: bool = False,
        multicast_ttl: int = 0,
    ):
        """One more transport of the endpoint; the receiver does not have it yet."""
        destination = DestinationOwnerFactory(
            self.endpoint,
            destination_id=self.next_destination_id,
            bind_to=ipv4(HOST, port),
            control=b"" if control is None else ipv4(*control),
            has_explicit_control=control is not None and not is_multicast,
            is_multicast=is_multicast,
            multicast_ttl=multicast_ttl,
        )
        self.next_destination_id += 1
        self.destinations.append(destination)
        return destination

    def add_destination(self, port: int, **options):
        """One more transport, which the receiver polls from now on; see `make_destination`."""
        destination = self.make_destination(port, **options)
        assert self.receiver.add_destination(destination)
        self.cycle()
        return destination

    def remove_destination(self, destination) -> None:
        """The receiver lets go of a transport, and its socket is closed."""
        assert self.receiver.remove_destination(destination)
        self.cycle()
        assert destination.released
        destination.close()
        self.destinations.remove(destination)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    @property
    def now_ms(self) -> int:
        return self.now_ns // 1_000_000

    def advance(self, duration_ns: int) -> None:
        """Move the clock."""
        self.now_ns += duration_ns

    def cycle(self) -> int:
        """One duty cycle of the receiver; the work count."""
        return self.receiver.do_work(self.now_ns, self.now_ms)

    def feed(
        self,
        data: bytes,
        source: bytes | None = None,
        segment_length: int = 0,
        destination=None,
        media_timestamp_ns: int = 0,
        channel_timestamp_ns: int = 0,
    ) -> None:
        """Give the receiver a datagram (or a run of datagrams of one length) without a network,
        over the first destination or another one."""
        feed_datagram(
            self.receiver,
            self.destination if destination is None else destination,
            data,
            self.source if source is None else source,
            segment_length,
            self.now_ns,
            self.now_ms,
            media_timestamp_ns,
            channel_timestamp_ns,
        )

    def send(self, data: bytes, port: int = PORT) -> None:
        """Send a datagram from the peer over the network."""
        self.peer.set_now_ns(self.now_ns)
        assert self.peer.send_copy(self.peer_endpoint, (HOST, port), data) == 1
        self.peer.flush()

    def sent(self) -> list:
        """Datagrams that came to the peer since the last call."""
        self.peer.set_now_ns(self.now_ns)
        return [received.data for received in self.peer.poll(256)]

    def requests(self) -> list:
        """Messages to the control plane, decoded."""
        # One read stops at the end of the ring's memory.
        messages = self.shared.drain_to_control() + self.shared.drain_to_control(1 << 20)
        return [decode_agent_message(*message) for message in messages if message[0] != 999]

    def system_counter(self, counter_id: int) -> int:
        return self.counters.value(counter_id)

    def session_state(self, stream_id: int, session_id: int) -> int:
        """SESSION_... of the driver's layout, 0 for a session nothing is known of."""
        endpoint: ReceiveEndpointOwner = self.endpoint
        return dispatcher_session_state(endpoint.state, stream_id, session_id)

    def fill_control_ring(self) -> None:
        """Leave no room for messages to the control plane."""
        fill_ring(self.shared, False)

    def fill_receiver_ring(self) -> None:
        """Leave no room for commands to the receiver."""
        fill_ring(self.shared, True)

    def make_image(self, **options):
        """An image that the receiver has; see `ImageKit`."""
        image = ImageKit(self, **options)
        self.images.append(image)  # the receiver holds a pointer
        assert self.receiver.add_image(self.endpoint, image.owner)
        self.receiver.do_work(self.now_ns, self.now_ms)
        return image


class ImageKit:
    """An image with its log file in `directory`, and its conductor's half."""

    def __init__(
        self,
        kit,
        *,
        directory,
        session_id: int = 11,
        stream_id: int = 1001,
        initial_term_id: int = 7,
        initial_position: int = 0,
        term_length: int = 65536,
        mtu_length: int = 1408,
        window_length: int = 131072,
        is_reliable: bool = True,
        is_multicast_backoff: bool = False,
        nak_delay_ns: int = 1000,
        nak_retry_delay_ns: int = 100_000,
        control: bytes | None = None,
        congestion_control: str = "static",
    ):
        self.kit = kit
        self.registration_id = kit.next_registration_id
        kit.next_registration_id += 1
        self.initial_term_id = initial_term_id
        self.term_length = term_length
        counter_ids = [kit.counters.allocate(8, b"", name) for name in ("hwm", "pos", "naks")]
        self.hwm_id, self.position_id, self.naks_id = counter_ids
        log_file = create_log_file(
            f"{directory}/{self.registration_id}.logbuffer",
            LogParameters(
                correlation_id=self.registration_id,
                session_id=session_id,
                stream_id=stream_id,
                initial_term_id=initial_term_id,
                term_length=term_length,
                mtu_length=mtu_length,
                page_size=4096,
                type=2,
            ),
        )
        self.log_view = log_file.view(0, len(log_file))
        self.owner = ImageOwnerFactory(
            kit.shared,
            kit.counters,
            log_file,
            kit.endpoint,
            correlation_id=self.registration_id,
            session_id=session_id,
            stream_id=stream_id,
            mtu_length=mtu_length,
            setup_flags=0,
            initial_position=initial_position,
            is_reliable=is_reliable,
            congestion_control=congestion_control,
            receiver_window_length=window_length,
            nak_delay_ns=nak_delay_ns,
            nak_retry_delay_ns=nak_retry_delay_ns,
            is_multicast_backoff=is_multicast_backoff,
            destination_id=kit.destination.destination_id,
            control=kit.source if control is None else control,
            source=kit.source,
            source_identity=f"{PEER_HOST}:{PEER_PORT}",
            channel="aeron:udp?endpoint=10.0.0.1:20121",
            untethered_window_limit_timeout_ns=0,
            untethered_linger_timeout_ns=0,
            untethered_resting_timeout_ns=0,
            hwm_counter_id=self.hwm_id,
            position_counter_id=self.position_id,
            naks_sent_counter_id=self.naks_id,
            now_ns=kit.now_ns,
        )

    def add_subscriber(self, registration_id: int = 1) -> int:
        """A subscriber at the join position; its counter id."""
        owner: PublicationImageOwner = self.owner
        counters: CountersManager = self.kit.counters
        counter_id: int32_t = self.kit.counters.allocate(4, b"", "sub-pos")
        image_add_subscriber(
            owner.state,
            counter_value_address(address(counters.view), counter_id),
            counter_id,
            registration_id,
            True,
            True,
            self.kit.now_ns,
        )
        return counter_id

    def remove_subscriber(self, registration_id: int = 1) -> int:
        owner: PublicationImageOwner = self.owner
        return image_remove_subscriber(owner.state, registration_id)

    def consume(self, counter_id: int, position: int) -> None:
        """A subscriber has read up to a position."""
        self.kit.counters.set_value(counter_id, position)

    def track(self) -> int:
        """The conductor's duty cycle for this image."""
        owner: PublicationImageOwner = self.owner
        return image_track_rebuild(owner.state, self.kit.now_ns, self.kit.now_ms)

    def time_event(self) -> None:
        owner: PublicationImageOwner = self.owner
        image_on_time_event(owner.state, self.kit.now_ns, self.kit.now_ms)

    def reject(self, reason: bytes) -> None:
        """As the control plane does when a client rejects the image."""
        owner: PublicationImageOwner = self.owner
        owner.rejection_text = reason
        store_release_i64(
            cast(pointer[int64_t], address(owner.state.rejection_reason)),
            cast(int64_t, cast(cython.p_char, reason)),
        )

    def revoke(self) -> None:
        """Mark the log as the receiver does on a revoked stream's heartbeat."""
        owner: PublicationImageOwner = self.owner
        owner.state.log.metadata.is_publication_revoked = 1

    def dirty(self, index: int, fill: int = 0xFF) -> None:
        """Fill a whole term."""
        begin = index * self.term_length
        self.log_view[begin : begin + self.term_length] = bytes([fill]) * self.term_length

    def term(self, index: int) -> bytes:
        return bytes(self.log_view[index * self.term_length : (index + 1) * self.term_length])

    @property
    def join_position(self) -> int:
        owner: PublicationImageOwner = self.owner
        return image_join_position(owner.state)

    @property
    def hwm(self) -> int:
        return self.kit.counters.value(self.hwm_id)

    @property
    def position(self) -> int:
        """How far the stream is whole."""
        return self.kit.counters.value(self.position_id)

    @property
    def naks_sent(self) -> int:
        return self.kit.counters.value(self.naks_id)

    @property
    def end_of_stream_position(self) -> int | None:
        owner: PublicationImageOwner = self.owner
        position: int64_t = owner.state.log.metadata.end_of_stream_position
        return None if position == INT64_MAX else position

    @property
    def is_revoked(self) -> bool:
        owner: PublicationImageOwner = self.owner
        return owner.state.log.metadata.is_publication_revoked != 0

    @property
    def active_transport_count(self) -> int:
        owner: PublicationImageOwner = self.owner
        return owner.state.log.metadata.active_transport_count

    @property
    def clean_position(self) -> int:
        owner: PublicationImageOwner = self.owner
        return owner.state.clean_position

    @property
    def state(self) -> str:
        return self.owner.state_name
