"""Names that move, in a whole driver under a chosen clock: peers, controls and the name table."""

from __future__ import annotations

import contextlib
import socket

import pytest
from conductor_kit import HOST, Asker, ErrorCode, c, events, invoked_driver, one
from invoked_driver import SMALL

from volans.driver.media_driver import DriverConfig, MediaDriver
from volans.driver.naming.address import SocketAddress
from volans.driver.naming.resolve import DefaultResolver
from volans.errors import ConfigError
from volans.memory import CountersManager, ManyToOneRingBuffer
from volans.memory.clocks import ManualClock
from volans.protocol.cnc import CncFile
from volans.protocol.counter_types import CounterType, SystemCounter
from volans.testing.transport_kit import EngineDriver
from volans.transport.simulated import SimulatedNetwork

OLD, NEW = "10.0.0.2", "10.0.0.3"
CHECK_MS = 50
LONG_LIVED = {"client_liveness_timeout_ns": "100s", "publication_unblock_timeout_ns": "101s"}


class Names:
    """A table of hosts the test changes."""

    def __init__(self, driver) -> None:
        self.table: dict[str, str] = {}
        self.asked: list[str] = []
        context = driver.driver._conductor._context
        context.resolver = DefaultResolver(lookup=self.lookup, interfaces=list)

    def lookup(self, host: str, family: int) -> SocketAddress | None:
        self.asked.append(host)
        found = self.table.get(host)
        return None if found is None or family != 2 else SocketAddress(2, found, 0)


@pytest.fixture
def named(driver):
    return Names(driver)


@pytest.fixture
def driver():
    settings = {
        "re_resolution_check_interval_ns": f"{CHECK_MS}ms",
        **LONG_LIVED,
    }
    with invoked_driver(**settings) as running:
        yield running


def listen(driver, host: str, port: int = 40123) -> EngineDriver:
    """Somebody at a host who counts what comes in."""
    engine = EngineDriver(driver.network.engine(host))
    engine.open(host, port)
    return engine


def heard(engine: EngineDriver, driver) -> int:
    engine.set_now_ns(driver.now_ms * 1_000_000)
    return len(engine.poll())


def changes(driver) -> int:
    return driver.counters.value(SystemCounter.RESOLUTION_CHANGES)


@pytest.mark.parametrize("stream", ["publication", "exclusive"])
def test_a_silent_publications_peer_is_looked_up_again(driver, named, stream):
    named.table["peer"] = OLD
    with listen(driver, OLD) as old, listen(driver, NEW) as new:
        getattr(Asker(driver), stream)("aeron:udp?endpoint=peer:40123")
        driver.pass_time(1_000)
        assert heard(old, driver) > 0
        named.table["peer"] = NEW
        driver.pass_time(3_900)
        # Five seconds of silence have not passed.
        assert heard(new, driver) == 0
        driver.pass_time(300)
        heard(old, driver)
        driver.pass_time(1_000)
        assert heard(new, driver) > 0
        assert heard(old, driver) == 0
        assert changes(driver) == 1


def test_a_name_without_an_address_is_tried_again(driver, named):
    with listen(driver, NEW) as new:
        Asker(driver).publication("aeron:udp?endpoint=peer:40123")
        assert any("peer:40123 has no address yet" in text for text in driver.error_texts())
        driver.pass_time(200)
        named.table["peer"] = NEW
        driver.pass_time(300)
        assert heard(new, driver) > 0
        assert changes(driver) == 1


def test_a_local_name_that_is_unknown_is_refused(driver, named):
    asker = Asker(driver)
    for kind, channel in (
        (c.AddSubscription, "aeron:udp?endpoint=nowhere:40123"),
        (c.AddPublication, f"aeron:udp?endpoint={HOST}:40123|control=nowhere:40124"),
    ):
        assert asker.refusal(kind, 7, channel).error_code == ErrorCode.UNKNOWN_HOST


def test_numbers_are_never_looked_up(driver, named):
    Asker(driver).publication(f"aeron:udp?endpoint={OLD}:40123")
    driver.pass_time(7_000, step_ms=20)
    assert named.asked == []
    assert changes(driver) == 0


def test_a_failing_look_up_keeps_the_old_address(driver, named):
    named.table["peer"] = OLD
    with listen(driver, OLD) as old:
        Asker(driver).publication("aeron:udp?endpoint=peer:40123")
        named.table.clear()
        driver.pass_time(6_000, step_ms=20)
        heard(old, driver)
        driver.pass_time(500)
        assert heard(old, driver) > 0
        assert any("no address is known" in text for text in driver.error_texts())
        assert changes(driver) == 0


@pytest.mark.parametrize("is_known", [True, False])
def test_a_silent_subscriptions_control_is_looked_up_again(driver, named, is_known):
    if is_known:
        named.table["source"] = OLD
    with listen(driver, OLD, 40200) as old, listen(driver, NEW, 40200) as new:
        Asker(driver).subscription(f"aeron:udp?endpoint={HOST}:40123|control=source:40200")
        driver.pass_time(1_500, step_ms=20)
        assert bool(heard(old, driver)) == is_known
        named.table["source"] = NEW
        driver.pass_time(5_500, step_ms=20)
        heard(old, driver)
        driver.pass_time(2_500, step_ms=20)
        assert heard(new, driver) > 0
        assert heard(old, driver) == 0
        assert changes(driver) == 1


def test_a_silent_destination_is_looked_up_again(driver, named):
    named.table["member"] = OLD
    asker = Asker(driver)
    with listen(driver, OLD) as old, listen(driver, NEW) as new:
        ready = asker.publication("aeron:udp?control-mode=manual")
        _, answers = asker.ask(
            c.AddDestination, ready.registration_id, "aeron:udp?endpoint=member:40123"
        )
        one(answers, events.OperationSuccess)
        driver.pass_time(500)
        assert heard(old, driver) > 0
        named.table["member"] = NEW
        driver.pass_time(6_000, step_ms=20)
        heard(old, driver)
        driver.pass_time(500)
        assert heard(new, driver) > 0
        assert heard(old, driver) == 0
        assert changes(driver) == 1


def test_the_name_table_is_switched_by_its_counter():
    table = f"peer,{OLD},{NEW}|other,{NEW},{OLD}"
    with invoked_driver(
        name_resolver="csv_table",
        name_resolver_init_args=table,
        re_resolution_check_interval_ns="20ms",
        **LONG_LIVED,
    ) as driver:
        ids = driver.counters.find_by_type(CounterType.NAME_ENTRY)
        assert [driver.counters.label(each) for each in ids] == [
            f"NameEntry{{name='peer', initialResolutionHost='{OLD}', reResolutionHost='{NEW}'}}",
            f"NameEntry{{name='other', initialResolutionHost='{NEW}', reResolutionHost='{OLD}'}}",
        ]
        assert driver.counters.key(ids[0])[:8] == b"\x04\0\0\0peer"
        counters: CountersManager = driver.driver.counters
        with listen(driver, OLD) as old, listen(driver, NEW) as new:
            counters.set_value(ids[0], -1)
            Asker(driver).publication("aeron:udp?endpoint=peer:40123")
            driver.pass_time(300)
            assert (heard(old, driver), heard(new, driver)) == (0, 0)
            counters.set_value(ids[0], 0)
            driver.pass_time(300)
            assert heard(old, driver) > 0
            counters.set_value(ids[0], 1)
            driver.pass_time(5_600, step_ms=20)
            assert heard(new, driver) > 0


def test_whole_drivers_find_each_other_by_name(tmp_path):
    """Gossip over simulated sockets; then a channel by the other driver's name."""
    network = SimulatedNetwork(5)
    clock = ManualClock(1_000_000_000, 1_700_000_000_000)
    drivers = []
    for name, host in (("one", HOST), ("two", OLD)):
        config = DriverConfig.from_environment(
            directory=str(tmp_path / name),
            **SMALL,
            name_resolver="driver",
            resolver_name=name,
            resolver_interface=f"{host}:8050",
            resolver_bootstrap_neighbor=f"{HOST}:8050" if name == "two" else None,
        )
        engines = tuple(
            network.engine(host, role=role) for role in ("sender", "receiver", "sender")
        )
        drivers.append(
            MediaDriver(
                config,
                engines=engines,
                clock_ns=clock,
                clock_ms=clock.epoch_ms,
                random_seed=1,
            )
        )
    try:
        for _ in range(300):
            clock.advance(10_000_000)
            for each in drivers:
                each.do_work()
        for each, other, host in ((drivers[0], "two", OLD), (drivers[1], "one", HOST)):
            resolver = each._conductor._context.resolver
            assert str(resolver.resolve(f"{other}:40123")) == f"{host}:40123"
            (counter_id,) = each.counters.find_by_type(CounterType.NAME_RESOLVER_NEIGHBORS)
            assert each.counters.label(counter_id).startswith("Resolver neighbors: bound 10.0.0.")
            assert each.counters.value(counter_id) == 1
        (counter_id,) = drivers[1].counters.find_by_type(
            CounterType.NAME_RESOLVER_BOOTSTRAP_NEIGHBOR
        )
        assert drivers[1].counters.value(counter_id) == 1
        assert drivers[1].counters.label(counter_id) == (
            f"Bootstrap neighbor: name={HOST}:8050 resolved={HOST}:8050"
        )
    finally:
        for each in drivers:
            each.close()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"name_resolver": "oracle"}, "AERON_NAME_RESOLVER_SUPPLIER='oracle'"),
        ({"name_resolver": "csv_table"}, "AERON_NAME_RESOLVER_INIT_ARGS=''"),
        ({"name_resolver": "csv_table", "name_resolver_init_args": "a,b"}, "'a,b'"),
        ({"name_resolver": "driver"}, "AERON_DRIVER_RESOLVER_INTERFACE"),
        (
            {"resolver_name": "x", "resolver_interface": "127.0.0.1"},
            "AERON_DRIVER_RESOLVER_INTERFACE='127.0.0.1'",
        ),
        (
            {
                "resolver_name": "x",
                "resolver_interface": "127.0.0.1:0",
                "resolver_bootstrap_neighbor": ",".join(["a:1"] * 21),
            },
            "'21 names'",
        ),
    ],
)
def test_bad_settings_of_names_are_refused(settings, named):
    with pytest.raises(ConfigError) as caught, invoked_driver(**settings):
        pass
    assert named in str(caught.value)


@pytest.mark.parametrize("transport", ["sockets", "mmsg"])
@pytest.mark.parametrize("connect", [True, False])
def test_a_connected_socket_is_connected_anew(tmp_path, transport, connect):
    """Over the loopback: a socket connected to the old address would go on sending there."""
    now_ms = 1_000_000
    with contextlib.ExitStack() as stack:
        old, new = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
        old.bind(("127.0.0.1", 0))
        port = old.getsockname()[1]
        new.bind(("127.0.0.2", port))
        for each in (old, new):
            each.setblocking(False)
        driver = stack.enter_context(
            MediaDriver(
                DriverConfig.from_environment(
                    directory=str(tmp_path / "driver"),
                    **{**SMALL, **LONG_LIVED},
                    transport=transport,
                    connect_enabled=connect,
                    name_resolver="csv_table",
                    name_resolver_init_args="peer,127.0.0.1,127.0.0.2",
                    re_resolution_check_interval_ns="50ms",
                ),
                clock_ns=lambda: now_ms * 1_000_000,
                clock_ms=lambda: now_ms,
                random_seed=1,
            )
        )
        cnc = CncFile.attach(tmp_path / "driver", timeout_s=0, require_alive=False)
        stack.callback(cnc.close)
        command = c.AddPublication(1, 1, 7, f"aeron:udp?endpoint=peer:{port}")
        ManyToOneRingBuffer(cnc.to_driver_buffer).write(command.msg_type_id, command.encode())

        def heard_while(duration_ms: int) -> list[int]:
            nonlocal now_ms
            for _ in range(0, duration_ms, 20):
                now_ms += 20
                driver.do_work()
            counts = []
            for each in (old, new):
                counts.append(0)
                with contextlib.suppress(BlockingIOError):
                    while each.recv(2048):
                        counts[-1] += 1
            return counts

        at_first = heard_while(1_000)
        assert at_first[0] > 0
        assert at_first[1] == 0
        (counter_id,) = driver.counters.find_by_type(CounterType.NAME_ENTRY)
        driver.counters.set_value(counter_id, 1)
        heard_while(5_000)
        later = heard_while(1_000)
        assert later[0] == 0
        assert later[1] > 0
        assert driver.counters.value(SystemCounter.RESOLUTION_CHANGES) == 1
