"""The transport engines a driver's settings ask for, wrapped in loss and capture where wanted."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from volans.errors import ConfigError
from volans.transport import registry

if TYPE_CHECKING:
    from volans.driver.config import DriverConfig
    from volans.transport.registry import EngineHandle

LOSS_INTERCEPTOR = "loss"


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
    rate, seed = _incoming_loss(config)
    if rate > 0:
        from volans.transport.loss import LossEngine

        sender = LossEngine(sender, rate=rate, seed=seed, direction="rx")
        receiver = LossEngine(receiver, rate=rate, seed=seed + 1, direction="rx")
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


def _incoming_loss(config: DriverConfig) -> tuple[float, int]:
    """Rate and seed of the loss to inject into what arrives (0: none)."""
    if config.loss_rate > 0:
        return config.loss_rate, config.loss_seed
    if config.incoming_interceptors != LOSS_INTERCEPTOR or not config.loss_args:
        return 0.0, 0
    arguments = dict(item.split("=", 1) for item in config.loss_args.split("|") if "=" in item)
    try:
        return float(arguments.get("rate", "0")), int(arguments.get("seed", "0"))
    except ValueError:
        raise ConfigError(
            "AERON_UDP_CHANNEL_TRANSPORT_BINDINGS_LOSS_ARGS", config.loss_args, "rate=…|seed=…"
        ) from None
