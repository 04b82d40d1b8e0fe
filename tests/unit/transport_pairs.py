"""The engines every transport test runs over, and how to wait for datagrams without sleeping."""

from __future__ import annotations

import select
import time

from volans.testing.transport_kit import EngineDriver
from volans.transport import registry
from volans.transport.capture import CaptureEngine
from volans.transport.loss import LossEngine
from volans.transport.simulated import SimulatedNetwork

LOOPBACK = {"IPv4": "127.0.0.1", "IPv6": "::1"}
WILDCARD = {"IPv4": "0.0.0.0", "IPv6": "::"}
ENGINES = ("sockets", "mmsg", "simulated", "loss", "capture")
SOCKET_ENGINES = ("sockets", "mmsg")
# Small enough that nothing is ever lost, but not zero: runs go the long way.
NO_LOSS = 1e-300


class Pair:
    """A sending and a receiving engine of one kind on one host."""

    def __init__(self, kind, family, directory, **options):
        self.kind = kind
        self.host = LOOPBACK[family]
        self.wildcard = WILDCARD[family]
        self.family = family
        self._directory = directory
        self._network = SimulatedNetwork(1)
        self._opened = []
        self.sender = self.driver("sender", **options)
        self.receiver = self.driver("receiver", **options)

    def handle(self, role, **options):
        if self.kind == "simulated":
            return registry.create(
                "simulated", role=role, network=self._network, host=self.host, **options
            )
        if self.kind == "loss":
            return LossEngine(registry.create("mmsg", role=role, **options), rate=NO_LOSS, seed=1)
        if self.kind == "capture":
            return CaptureEngine(
                registry.create("sockets", role=role, **options),
                self._directory / f"{role}-{len(self._opened)}.pcapng",
            )
        return registry.create(self.kind, role=role, **options)

    def driver(self, role, **options):
        driver = EngineDriver(self.handle(role, **options))
        self._opened.append(driver)
        return driver

    def close(self):
        for driver in self._opened:
            driver.close()


def receive(driver, count, *, limit=64, timeout_s=20.0):
    """The next `count` datagrams; fails when they do not come."""
    datagrams = []
    deadline = time.monotonic() + timeout_s
    while len(datagrams) < count:
        got = driver.poll(min(limit, count - len(datagrams)))
        datagrams += got
        if not got:
            remaining_s = deadline - time.monotonic()
            assert remaining_s > 0, f"{len(datagrams)} of {count} datagrams came"
            descriptor = driver.wait_descriptor()
            if descriptor >= 0:
                select.select([descriptor], [], [], remaining_s)
            else:
                assert got, f"{len(datagrams)} of {count} datagrams came, nothing is on its way"
    return datagrams


def payloads(datagrams):
    return [datagram.data for datagram in datagrams]
