"""The transport engines a driver's settings ask for, wrapped in loss and capture where wanted."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from volans.errors import ConfigError
from volans.transport import registry

if TYPE_CHECKING:
    from volans.driver.config import DriverConfig
    from volans.transport.registry import EngineHandle


def default_socket_buffer_lengths() -> tuple[int, int]:
    """(send, receive) buffer bytes this system gives a UDP socket that asks for none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return (
            probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
            probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
        )


def make_engines(config: DriverConfig) -> tuple[EngineHandle, EngineHandle]:
    """(sender's, receiver's) engine. Raises ConfigError for a transport nobody knows."""
    if config.transport not in registry.names():
        raise ConfigError("VOLANS_TRANSPORT", config.transport, " or ".join(registry.names()))
    sender = registry.create(config.transport, role="sender")
    receiver = registry.create(config.transport, role="receiver")
    if config.loss_rate > 0:
        from volans.transport.loss import LossEngine

        seed = config.loss_seed
        sender = LossEngine(sender, rate=config.loss_rate, seed=seed, direction="rx")
        receiver = LossEngine(receiver, rate=config.loss_rate, seed=seed + 1, direction="rx")
    if config.incoming_interceptors or config.outgoing_interceptors:
        from volans.driver.interceptors import intercept

        sender, receiver = intercept(config, sender), intercept(config, receiver, role_number=1)
    if config.capture:
        from volans.transport.capture import CaptureEngine

        sender = CaptureEngine(sender, f"{config.capture}.sender.pcapng", interface_name="sender")
        receiver = CaptureEngine(
            receiver, f"{config.capture}.receiver.pcapng", interface_name="receiver"
        )
    return sender, receiver


def make_control_engine(config: DriverConfig) -> EngineHandle:
    """For the few datagrams of the control plane: plain sockets will do for every transport."""
    return registry.create("sockets", role="receiver")
