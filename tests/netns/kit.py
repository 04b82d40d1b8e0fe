"""Several hosts on one machine: network namespaces on bridges, each with drivers of its own.

A `Lan` makes a switch namespace with a bridge for each subnet and a namespace for each host, with
a veth pair to every bridge. Clients reach their driver over shared memory, so only the drivers
run inside. Everything has a name of its own and is removed at the end.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import peer

import volans

SETTINGS = {
    "AERON_THREADING_MODE": "SHARED",
    "AERON_SHARED_IDLE_STRATEGY": "backoff",
    "AERON_TERM_BUFFER_LENGTH": "256k",
    "AERON_TIMER_INTERVAL": "20ms",
    "AERON_PUBLICATION_LINGER_TIMEOUT": "100ms",
    "AERON_PUBLICATION_CONNECTION_TIMEOUT": "500ms",
    "AERON_IMAGE_LIVENESS_TIMEOUT": "500ms",
    "AERON_RCV_STATUS_MESSAGE_TIMEOUT": "20ms",
    "AERON_CLIENT_LIVENESS_TIMEOUT": "10s",
}

_numbers = itertools.count()
# Before IP puts fragments together, so that a rule can see them.
_NFT_TABLE = """
table inet volans_faults {
  chain incoming {
    type filter hook prerouting priority -450
    %s
  }
}
"""


@functools.cache
def missing() -> str:
    """Why this machine cannot have such hosts, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("nft", "nsenter"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        with Lan(1):
            pass
    except Exception as error:
        return f"no network namespace can be made here: {error}"
    return ""


class Host:
    """One namespace: `addresses[i]` is its address in subnet i, on interface `eth<i>`."""

    def __init__(self, name: str, addresses: list[str]) -> None:
        self.name = name
        self.addresses = addresses
        self.within = ("nsenter", f"--net=/var/run/netns/{name}")

    @property
    def address(self) -> str:
        """Address in the first subnet."""
        return self.addresses[0]

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a command on this host; its output."""
        done = subprocess.run(
            [*self.within, *command], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command} on {self.name}: {done.stderr}"
        return done.stdout

    def drop(self, rule: str) -> None:
        """Drop the incoming datagrams an nftables rule matches, until `heal`."""
        self.heal()
        self.run("nft", "-f", "-", text=_NFT_TABLE % f"{rule} counter drop")

    def lose(self, percent: int) -> None:
        """Drop a random share of the incoming UDP datagrams."""
        self.drop(f"meta l4proto udp numgen random mod 100 < {percent}")

    def cut_from(self, *others: Host) -> None:
        """Drop whatever comes from other hosts; the way back stays open."""
        self.drop(f"ip saddr {{ {', '.join(each.address for each in others)} }}")

    def heal(self) -> None:
        """Drop nothing any longer."""
        self.run("nft", "flush", "ruleset")

    def dropped_count(self) -> int:
        """Datagrams dropped since the last `drop`."""
        words = self.run("nft", "list", "ruleset").split()
        return int(words[words.index("packets") + 1])


class Lan:
    """Hosts, and subnets (10.77.<subnet>.0/24) that all hosts are in.

    Args:
        host_count: how many hosts; host i has address 10.77.<subnet>.<i + 1>.
        subnet_count: how many bridges every host is on.
        mtu: of every interface, in bytes.
    """

    def __init__(self, host_count: int, subnet_count: int = 1, mtu: int = 1500) -> None:
        from pyroute2 import netns

        self._netns = netns
        self._stack = contextlib.ExitStack()
        base = f"volans-{os.getpid()}-{next(_numbers)}"
        try:
            self._switch = self._namespace(f"{base}-switch")
            self.hosts = [
                Host(
                    self._namespace(f"{base}-{number}"),
                    [f"10.77.{subnet}.{number + 1}" for subnet in range(subnet_count)],
                )
                for number in range(host_count)
            ]
            self._wire(subnet_count, mtu)
        except BaseException:
            self._stack.close()
            raise

    def _namespace(self, name: str) -> str:
        self._netns.create(name)
        self._stack.callback(self._netns.remove, name)
        return name

    def _wire(self, subnet_count: int, mtu: int) -> None:
        from pyroute2 import NetNS

        with NetNS(self._switch) as switch:
            for subnet in range(subnet_count):
                switch.link("add", ifname=f"br{subnet}", kind="bridge", br_mcast_snooping=0)
                bridge = switch.link_lookup(ifname=f"br{subnet}")[0]
                for number, host in enumerate(self.hosts):
                    port = f"p{subnet}-{number}"
                    switch.link(
                        "add",
                        ifname=port,
                        kind="veth",
                        peer={"ifname": f"eth{subnet}", "net_ns_fd": host.name},
                    )
                    index = switch.link_lookup(ifname=port)[0]
                    switch.link("set", index=index, master=bridge, mtu=mtu, state="up")
                switch.link("set", index=bridge, mtu=mtu, state="up")
        for host in self.hosts:
            with NetNS(host.name) as inside:
                inside.link("set", index=inside.link_lookup(ifname="lo")[0], state="up")
                for subnet, address in enumerate(host.addresses):
                    index = inside.link_lookup(ifname=f"eth{subnet}")[0]
                    inside.addr("add", index=index, address=address, prefixlen=24)
                    inside.link("set", index=index, mtu=mtu, state="up")
                first = inside.link_lookup(ifname="eth0")[0]
                inside.route("add", dst="224.0.0.0/4", oif=first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Party:
    """A driver on a host and a client of it: the Volans client, whatever the driver is."""

    def __init__(self, host: Host, kind: str = "volans", **settings: str) -> None:
        self.host = host
        self.kind = kind
        self._settings = {**SETTINGS, **settings}
        self._stack = contextlib.ExitStack()
        self.errors: list[BaseException] = []
        try:
            self.directory = self._stack.enter_context(peer.scratch_directory("volans-netns-"))
            self.driver = peer.Driver(
                kind, self.directory / "driver", self._settings, within=host.within
            )
            self._stack.callback(self.driver.stop)
            self.client = volans.connect(self.driver.directory, error_handler=self.errors.append)
            self._stack.callback(self.client.close)
        except BaseException:
            self._stack.close()
            raise

    def restart(self) -> None:
        """End client and driver, start both anew on the same host."""
        self.close()
        self.__init__(self.host, self.kind, **self._settings)  # type: ignore[misc]

    def system_counter(self, number: int) -> int:
        """Value of one of the driver's system counters."""
        return self.client.counters.value(number)

    def close(self) -> None:
        """End the client, then the driver."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def await_that(condition: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
    """Look until the condition is true, in bounded time; what it gave."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.001)


class Reader:
    """A subscription and every message it got, with the count of images come and gone."""

    def __init__(self, party: Party, channel: str, stream_id: int) -> None:
        self.messages: list[bytes] = []
        self.available_count = 0
        self.unavailable_count = 0
        self.subscription = party.client.add_subscription(
            channel,
            stream_id,
            on_available_image=lambda _: self._count("available_count"),
            on_unavailable_image=lambda _: self._count("unavailable_count"),
        )

    def _count(self, name: str) -> None:
        setattr(self, name, getattr(self, name) + 1)

    def poll(self) -> int:
        """Take what is there."""
        return self.subscription.poll(lambda buffer, _: self.messages.append(bytes(buffer)))


def message(number: int, length: int = 200) -> bytes:
    """A message one can recognise."""
    return number.to_bytes(8, "little") * (length // 8)


def send(
    publication: Any,
    readers: list[Reader],
    messages: list[bytes],
    *,
    under_way: list[bytes] | None = None,
    timeout_s: float = 30.0,
) -> None:
    """Publish while all readers read; return when each got what was under way and the messages."""
    expected = [*(under_way or []), *messages]
    ends = [len(reader.messages) + len(expected) for reader in readers]
    waiting = iter(messages)
    current = next(waiting, None)
    deadline = time.monotonic() + timeout_s
    while current is not None or any(
        len(reader.messages) < end for reader, end in zip(readers, ends, strict=True)
    ):
        idle = True
        while current is not None and publication.offer(current):
            current = next(waiting, None)
            idle = False
        for reader in readers:
            idle = not reader.poll() and idle
        if idle:
            counts = [len(reader.messages) for reader in readers]
            assert time.monotonic() < deadline, f"{counts} of {ends} messages in {timeout_s} s"
            time.sleep(0.0005)
    for reader, end in zip(readers, ends, strict=True):
        assert reader.messages[end - len(expected) : end] == expected


def connect(publication: Any, readers: list[Reader], timeout_s: float = 20.0) -> None:
    """Wait until the publication and all readers see each other."""
    await_that(
        lambda: publication.is_connected and all(each.subscription.images for each in readers),
        "publication and subscriptions see each other",
        timeout_s,
    )


@contextlib.contextmanager
def parties(
    lan: Lan, kinds: tuple[str, ...] = ("volans", "volans"), **settings: str
) -> Iterator[list[Party]]:
    """A driver of each kind, on the first hosts of a LAN."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(Party(host, kind, **settings))
            for host, kind in zip(lan.hosts, kinds, strict=False)
        ]
