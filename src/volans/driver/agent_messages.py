# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What agents tell the control plane, decoded from `DriverShared.to_control` (layout.pxd)."""

from __future__ import annotations

import dataclasses

import cython
from cython import cast, p_void, pointer, sizeof
from cython.cimports.volans.driver.layout import (
    TO_CONTROL_CREATE_IMAGE,
    TO_CONTROL_IMAGE_DONE,
    TO_CONTROL_IMAGE_LINGER,
    TO_CONTROL_IPC_DONE,
    TO_CONTROL_IPC_LINGER,
    TO_CONTROL_PUBLICATION_DONE,
    TO_CONTROL_PUBLICATION_ERROR,
    TO_CONTROL_PUBLICATION_LINGER,
    TO_CONTROL_SUBSCRIBER_ACTIVE,
    TO_CONTROL_SUBSCRIBER_CLOSED,
    TO_CONTROL_SUBSCRIBER_LINGER,
    CreateImageRequest,
    PublicationErrorReport,
    StreamEvent,
    SubscriberEvent,
)
from cython.cimports.volans.driver.resolution_layout import (
    TO_CONTROL_SILENT_PEER,
    SilentPeerReport,
)
from cython.cimports.volans.driver.response_layout import (
    TO_CONTROL_RESPONSE_CONNECTED,
    TO_CONTROL_RESPONSE_SETUP,
    ResponseSetupReport,
)
from cython.cimports.volans.driver.slow_layout import (
    TO_CONTROL_SLOW_SUBSCRIBER,
    SlowSubscriberReport,
)
from cython.cimports.volans.transport.contract import Address

STREAM_EVENTS = {
    TO_CONTROL_IPC_LINGER: "ipc_linger",
    TO_CONTROL_IPC_DONE: "ipc_done",
    TO_CONTROL_PUBLICATION_LINGER: "publication_linger",
    TO_CONTROL_PUBLICATION_DONE: "publication_done",
    TO_CONTROL_IMAGE_LINGER: "image_linger",
    TO_CONTROL_IMAGE_DONE: "image_done",
}


@dataclasses.dataclass(frozen=True)
class StreamChange:
    """A stream's life went on; `change` is a value of STREAM_EVENTS."""

    change: str
    registration_id: int


SUBSCRIBER_EVENTS = {
    TO_CONTROL_SUBSCRIBER_LINGER: "linger",
    TO_CONTROL_SUBSCRIBER_ACTIVE: "active",
    TO_CONTROL_SUBSCRIBER_CLOSED: "closed",
}


@dataclasses.dataclass(frozen=True)
class SubscriberChange:
    """An untethered subscriber of a stream; `change` is a value of SUBSCRIBER_EVENTS."""

    change: str
    registration_id: int  # of the stream
    subscription_registration_id: int
    counter_id: int


@dataclasses.dataclass(frozen=True)
class SlowSubscriber:
    """A subscriber lags far behind its stream; `lag_bytes` None: no more."""

    stream_registration_id: int
    position_counter_id: int
    lag_bytes: int | None


@dataclasses.dataclass(frozen=True)
class SilentPeer:
    """Nothing comes from where a name pointed to: it may have moved."""

    endpoint_id: int
    destination_registration_id: int  # -1: the endpoint's own peer
    is_receiver: bool


@dataclasses.dataclass(frozen=True)
class ImageRequest:
    """A SETUP frame came for a stream that is subscribed to. Addresses are sockaddr bytes."""

    endpoint_id: int
    destination_id: int
    session_id: int
    stream_id: int
    initial_term_id: int
    active_term_id: int
    term_offset: int
    term_length: int
    mtu_length: int
    setup_flags: int
    control: bytes
    source: bytes


@dataclasses.dataclass(frozen=True)
class PublicationError:
    """A receiver rejected a publication (ERR frame)."""

    registration_id: int
    destination_registration_id: int
    session_id: int
    stream_id: int
    receiver_id: int
    group_tag: int
    error_code: int
    source: bytes
    text: str


@dataclasses.dataclass(frozen=True)
class ResponseSetup:
    """A peer says by which session it answers a request stream."""

    subscription_registration_id: int
    response_session_id: int


@dataclasses.dataclass(frozen=True)
class ResponseConnected:
    """A response stream is being received: its session need not be announced any more."""

    image_registration_id: int
    response_session_id: int


@cython.cfunc
def address_bytes(address: pointer[Address]) -> bytes:
    return cast(cython.p_char, cast(p_void, address.bytes))[: address.length]


def decode_agent_message(msg_type_id: int, payload: bytes):
    """The message of `SharedState.drain_to_control` as one of the classes above."""
    data: cython.p_char = payload
    length = len(payload)
    request: pointer[CreateImageRequest]
    report: pointer[PublicationErrorReport]
    subscriber: pointer[SubscriberEvent]
    slow: pointer[SlowSubscriberReport]
    response: pointer[ResponseSetupReport]
    silent: pointer[SilentPeerReport]
    if msg_type_id == TO_CONTROL_SLOW_SUBSCRIBER and length == sizeof(SlowSubscriberReport):
        slow = cast(pointer[SlowSubscriberReport], cast(p_void, data))
        return SlowSubscriber(
            slow.stream_registration_id,
            slow.counter_id,
            slow.lag_bytes if slow.lag_bytes >= 0 else None,
        )
    if msg_type_id == TO_CONTROL_SILENT_PEER and length == sizeof(SilentPeerReport):
        silent = cast(pointer[SilentPeerReport], cast(p_void, data))
        return SilentPeer(
            silent.endpoint_id, silent.destination_registration_id, silent.is_receiver != 0
        )
    if msg_type_id in SUBSCRIBER_EVENTS and length == sizeof(SubscriberEvent):
        subscriber = cast(pointer[SubscriberEvent], cast(p_void, data))
        return SubscriberChange(
            SUBSCRIBER_EVENTS[msg_type_id],
            subscriber.registration_id,
            subscriber.subscription_registration_id,
            subscriber.counter_id,
        )
    if msg_type_id in STREAM_EVENTS and length == sizeof(StreamEvent):
        return StreamChange(
            STREAM_EVENTS[msg_type_id],
            cast(pointer[StreamEvent], cast(p_void, data)).registration_id,
        )
    if msg_type_id == TO_CONTROL_CREATE_IMAGE and length == sizeof(CreateImageRequest):
        request = cast(pointer[CreateImageRequest], cast(p_void, data))
        return ImageRequest(
            request.endpoint_id,
            request.destination_id,
            request.session_id,
            request.stream_id,
            request.initial_term_id,
            request.active_term_id,
            request.term_offset,
            request.term_length,
            request.mtu_length,
            request.flags,
            address_bytes(cython.address(request.control)),
            address_bytes(cython.address(request.source)),
        )
    if msg_type_id in (
        TO_CONTROL_RESPONSE_SETUP,
        TO_CONTROL_RESPONSE_CONNECTED,
    ) and length == sizeof(ResponseSetupReport):
        response = cast(pointer[ResponseSetupReport], cast(p_void, data))
        kind = ResponseSetup if msg_type_id == TO_CONTROL_RESPONSE_SETUP else ResponseConnected
        return kind(response.response_correlation_id, response.response_session_id)
    if msg_type_id == TO_CONTROL_PUBLICATION_ERROR and length == sizeof(PublicationErrorReport):
        report = cast(pointer[PublicationErrorReport], cast(p_void, data))
        text_length = max(0, min(report.error_length, 1023))
        return PublicationError(
            report.registration_id,
            report.destination_registration_id,
            report.session_id,
            report.stream_id,
            report.receiver_id,
            report.group_tag,
            report.error_code,
            address_bytes(cython.address(report.source)),
            cast(cython.p_char, cast(p_void, report.text))[:text_length].decode("ascii", "replace"),
        )
    raise ValueError(f"agent message {msg_type_id} of {length} bytes is not known")
