"""The link to a driver, and the conductor above it, over a hand-made CnC file and a fake driver."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import volans
from volans.client.keepalive import (
    STATUS_DRIVER_SHUT_DOWN,
    STATUS_DRIVER_TIMED_OUT,
    STATUS_EVENTS_LOST,
    STATUS_HEARTBEAT_COUNTER_LOST,
    STATUS_LAPPED,
    STATUS_RUNNING,
    DriverLink,
)
from volans.errors import CncFormatError
from volans.memory.broadcast import BroadcastTransmitter
from volans.memory.counters import CountersManager
from volans.memory.rings import ManyToOneRingBuffer
from volans.protocol import commands, events
from volans.protocol.cnc import CncFile, CncLayout, create_cnc

START_MS = 1_700_000_000_000
SECOND_NS = 10**9


class FakeDriver:
    """Just enough of a driver to be connected to; the test says what it does."""

    def __init__(self, directory) -> None:
        layout = CncLayout.of_lengths(
            to_driver_buffer_length=65536 + 768,
            to_clients_buffer_length=65536 + 128,
            counters_values_buffer_length=128 * 64,
            error_log_buffer_length=4096,
        )
        self.directory = directory
        self.now_ms = START_MS
        self.now_ns = 5 * SECOND_NS
        self.cnc: CncFile = create_cnc(
            directory, layout, client_liveness_timeout_ns=SECOND_NS, start_timestamp_ms=1, pid=1
        )
        self.ring = ManyToOneRingBuffer(self.cnc.to_driver_buffer)
        self.broadcast = BroadcastTransmitter(self.cnc.to_clients_buffer)
        self.counters = CountersManager(
            self.cnc.counters_metadata_buffer,
            self.cnc.counters_values_buffer,
            epoch_clock_ms=lambda: self.now_ms,
        )
        self.beat()
        self.cnc.signal_ready()

    def beat(self, value: int | None = None) -> None:
        self.ring.consumer_heartbeat_ms = self.now_ms if value is None else value

    def transmit(self, event: events.Event) -> None:
        self.broadcast.transmit(event.msg_type_id, event.encode())

    def commands(self) -> list[commands.Command]:
        taken: list[commands.Command] = []
        self.ring.read(
            lambda type_id, data: taken.append(commands.decode_command(type_id, bytes(data)))
        )
        return taken

    def add_heartbeat(self, client_id: int) -> int:
        return self.counters.allocate(
            11,
            struct.pack("<q", client_id),
            f"client-heartbeat: id={client_id}",
            registration_id=client_id,
        )

    def link(self, **changes) -> DriverLink:
        return DriverLink(
            self.cnc.to_driver_buffer,
            self.cnc.to_clients_buffer,
            self.cnc.counters_metadata_buffer,
            self.cnc.counters_values_buffer,
            **{
                "driver_timeout_ms": 1000,
                "keepalive_interval_ns": SECOND_NS // 2,
                "idle_ms": 16,
                "label_suffix": b" name=test",
                "events_bytes": 1 << 18,
                **changes,
            },
        )

    def client(self, **options) -> volans.Client:
        return volans.connect(
            self.directory,
            use_conductor_invoker=True,
            nano_clock=lambda: self.now_ns,
            epoch_clock_ms=lambda: self.now_ms,
            sleep=self.pass_time,
            **options,
        )

    def pass_time(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND_NS)
        self.now_ms = START_MS + (self.now_ns - 5 * SECOND_NS) // 1_000_000


@pytest.fixture
def fake(tmp_path):
    return FakeDriver(tmp_path)


def test_heartbeat_is_written_every_interval_once_the_counter_is_there(fake):
    link = fake.link()
    assert link.do_work(0, START_MS) >= 0
    assert link.heartbeat_counter_id == -1
    counter_id = fake.add_heartbeat(link.client_id)
    other_id = fake.add_heartbeat(link.client_id + 1)
    link.do_work(SECOND_NS // 2, START_MS + 500)
    assert link.heartbeat_counter_id == counter_id
    assert fake.counters.value(counter_id) == START_MS + 500
    assert fake.counters.label(counter_id) == f"client-heartbeat: id={link.client_id} name=test"
    link.do_work(SECOND_NS - 1, START_MS + 999)
    assert fake.counters.value(counter_id) == START_MS + 500
    link.do_work(SECOND_NS, START_MS + 1000)
    assert fake.counters.value(counter_id) == START_MS + 1000
    assert fake.counters.value(other_id) == 0
    fake.counters.free(counter_id)
    assert link.do_work(2 * SECOND_NS, START_MS + 1000) < 0
    assert link.status == STATUS_HEARTBEAT_COUNTER_LOST


def test_death_of_the_driver_ends_the_link(fake):
    link = fake.link()
    link.do_work(0, START_MS + 1000)
    assert link.status == STATUS_RUNNING
    assert link.do_work(1, START_MS + 1001) < 0
    assert (link.status, link.driver_age_ms) == (STATUS_DRIVER_TIMED_OUT, 1001)
    link = fake.link()
    fake.beat(-1)
    assert link.do_work(0, START_MS) < 0
    assert link.status == STATUS_DRIVER_SHUT_DOWN


def test_events_are_copied_in_order_whatever_their_number(fake):
    link = fake.link()
    sent = []
    for number in range(3000):
        data = bytes([number % 251]) * (number % 300)
        fake.broadcast.transmit(1 + number % 7, data)
        sent.append((1 + number % 7, data))
        if number % 50 == 0:
            link.do_work(number, START_MS)
        if number % 400 == 0:
            taken = link.take_events(10_000)
            while link.has_events():
                taken += link.take_events(10_000)
            assert taken == sent[: len(taken)]
            del sent[: len(taken)]
    link.do_work(4000, START_MS)
    taken = []
    while link.has_events():
        taken += link.take_events()
    assert taken == sent


def test_lost_events_are_never_silent(fake):
    lapped = fake.link()
    full = fake.link(events_bytes=1 << 16)
    for _ in range(20):
        for _ in range(100):
            fake.broadcast.transmit(5, bytes(300))
        full.do_work(0, START_MS)
    assert full.status == STATUS_EVENTS_LOST
    lapped.do_work(0, START_MS)
    assert lapped.status == STATUS_LAPPED


def test_sections_of_the_wrong_length_are_refused(fake):
    cnc = fake.cnc
    sections = [
        cnc.to_driver_buffer,
        cnc.to_clients_buffer,
        cnc.counters_metadata_buffer,
        cnc.counters_values_buffer,
    ]
    options = {
        "driver_timeout_ms": 1,
        "keepalive_interval_ns": 1,
        "idle_ms": 1,
        "label_suffix": b"",
    }
    for index in (0, 1):
        wrong = list(sections)
        wrong[index] = wrong[index][:-8]
        with pytest.raises(CncFormatError):
            DriverLink(*wrong, **options)
    with pytest.raises(ValueError, match="power of two"):
        fake.link(events_bytes=1000)
    link = fake.link()
    with pytest.raises(ValueError, match="counter id 64"):
        link.position_address(64)
    with pytest.raises(ValueError, match="shorten"):
        link.try_send(1, bytes(link.max_command_bytes + 1))
    assert link.try_send(1, bytes(link.max_command_bytes))


def test_a_full_command_buffer_is_an_error_in_bounded_time(fake):
    client = fake.client(driver_timeout=2.0)

    def fill():
        while True:
            client.async_add_subscription("aeron:ipc?alias=" + "x" * 4000, 1)

    with pytest.raises(volans.DriverTimeoutError, match="stayed full"):
        fill()
    assert len(fake.commands()) > 10
    client.close()


def test_commands_and_answers(fake):
    client = fake.client(driver_timeout=2.0)
    registration_id = client.async_add_subscription("aeron:ipc", 10)
    (command,) = fake.commands()
    assert command == commands.AddSubscription(client.client_id, registration_id, 10, "aeron:ipc")
    assert client.get_subscription(registration_id) is None
    fake.transmit(events.SubscriptionReady(registration_id, -1))
    client.invoke()
    subscription = client.get_subscription(registration_id)
    subscription.close()
    (command,) = fake.commands()
    assert isinstance(command, commands.RemoveSubscription)
    assert command.registration_id == registration_id
    client.close()
    assert fake.commands() == [commands.ClientClose(client.client_id)]


def test_an_answer_that_comes_too_late_is_given_back(fake):
    client = fake.client(driver_timeout=2.0)
    registration_id = client.async_add_publication("aeron:ipc", 10)
    counter_id = client.async_add_counter(1001, "late")
    fake.commands()
    for _ in range(25):
        fake.pass_time(0.1)
        fake.beat()
        client.invoke()
    for late in (registration_id, counter_id):
        with pytest.raises(volans.DriverTimeoutError, match="did not answer"):
            client.get_publication(late)
    fake.transmit(events.PublicationReady(registration_id, registration_id, 1, 10, 0, -1, "gone"))
    fake.transmit(events.CounterReady(counter_id, 3))
    client.invoke()
    removed = fake.commands()
    assert [type(command) for command in removed] == [
        commands.RemovePublication,
        commands.RemoveCounter,
    ]
    assert [command.registration_id for command in removed] == [registration_id, counter_id]
    client.close()


def test_a_log_that_cannot_be_mapped_fails_its_registration_only(fake, tmp_path):
    errors = []
    client = fake.client(driver_timeout=2.0, error_handler=errors.append)
    (tmp_path / "bad.logbuffer").write_bytes(bytes(100_000))
    for name, error in (("missing.logbuffer", FileNotFoundError), ("bad.logbuffer", ValueError)):
        registration_id = client.async_add_publication("aeron:ipc", 10)
        path = str(tmp_path / name)
        fake.transmit(events.PublicationReady(registration_id, 1, 1, 10, 0, -1, path))
        client.invoke()
        with pytest.raises(error):
            client.get_publication(registration_id)
    subscription_id = client.async_add_subscription("aeron:ipc", 10)
    fake.transmit(events.SubscriptionReady(subscription_id, -1))
    fake.transmit(events.AvailableImage(9, 1, 10, subscription_id, 0, "missing", "source"))
    fake.transmit(events.AvailableImage(9, 1, 10, subscription_id, 9999, "missing", "source"))
    client.invoke()
    assert client.get_subscription(subscription_id).images == ()
    assert [type(error) for error in errors] == [FileNotFoundError, FileNotFoundError]
    assert not client.is_closed
    client.close()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    messages=st.lists(
        st.tuples(st.integers(0x0EFF, 0x0F10), st.binary(max_size=120)), min_size=1, max_size=20
    )
)
def test_hostile_events_reach_the_error_handler_and_nothing_else(tmp_path_factory, messages):
    fake = FakeDriver(tmp_path_factory.mktemp("hostile"))
    errors = []
    client = fake.client(driver_timeout=2.0, error_handler=errors.append)
    registration_id = client.async_add_subscription("aeron:ipc", 10)
    for msg_type_id, data in messages:
        fake.broadcast.transmit(msg_type_id, data)
        fake.broadcast.transmit(msg_type_id, struct.pack("<q", registration_id) + data)
    client.invoke()
    assert all(isinstance(error, volans.VolansError | OSError | ValueError) for error in errors)
    fake.transmit(events.SubscriptionReady(registration_id, -1))
    client.invoke()
    client.close()


def test_driver_time_out_of_the_client_ends_it(fake):
    errors, closed = [], []
    client = fake.client(
        driver_timeout=2.0, error_handler=errors.append, on_close=lambda: closed.append(1)
    )
    fake.transmit(events.ClientTimeout(client.client_id + 1))
    client.invoke()
    assert not client.is_closed
    fake.transmit(events.ClientTimeout(client.client_id))
    client.invoke()
    assert client.is_closed
    assert [type(error) for error in errors] == [volans.ClientTimeoutError]
    assert closed == [1]
    with pytest.raises(volans.ClientTimeoutError):
        client.add_publication("aeron:ipc", 1)
    client.close()
    assert closed == [1]
