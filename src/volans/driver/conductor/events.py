"""Events to the clients: encoded and broadcast. One transmitter: the control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.protocol.error_codes import ErrorCode
from volans.protocol.events import ErrorResponse, Event, OperationSuccess

if TYPE_CHECKING:
    from collections.abc import Callable

    from volans.memory import BroadcastTransmitter

MAX_ERROR_TEXT_BYTES = 1023


class ClientEvents:
    """Sends events to all clients of the driver."""

    def __init__(
        self,
        transmitter: BroadcastTransmitter,
        on_sent: Callable[[int, bytes], object] | None = None,
    ) -> None:
        self._transmitter = transmitter
        self._on_sent = on_sent  # of the event log

    def send(self, event: Event) -> None:
        payload = event.encode()
        self._transmitter.transmit(event.msg_type_id, payload)
        if self._on_sent is not None:
            self._on_sent(event.msg_type_id, payload)

    def success(self, correlation_id: int) -> None:
        self.send(OperationSuccess(correlation_id))

    def error(self, correlation_id: int, error_code: ErrorCode | int, message: str) -> None:
        text = message.encode("utf-8", "replace")[:MAX_ERROR_TEXT_BYTES].decode("utf-8", "ignore")
        self.send(ErrorResponse(correlation_id, int(error_code), text))
