"""Events to the clients: encoded and broadcast. One transmitter: the control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.protocol.error_codes import ErrorCode
from volans.protocol.events import ErrorResponse, Event, OperationSuccess

if TYPE_CHECKING:
    from volans.memory import BroadcastTransmitter

MAX_ERROR_TEXT_BYTES = 1023


class ClientEvents:
    """Sends events to all clients of the driver."""

    def __init__(self, transmitter: BroadcastTransmitter) -> None:
        self._transmitter = transmitter

    def send(self, event: Event) -> None:
        self._transmitter.transmit(event.msg_type_id, event.encode())

    def success(self, correlation_id: int) -> None:
        self.send(OperationSuccess(correlation_id))

    def error(self, correlation_id: int, error_code: ErrorCode | int, message: str) -> None:
        text = message.encode("utf-8", "replace")[:MAX_ERROR_TEXT_BYTES].decode("utf-8", "ignore")
        self.send(ErrorResponse(correlation_id, int(error_code), text))
