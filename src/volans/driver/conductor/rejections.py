"""Images that a subscriber rejects, and what the publisher's side hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.errors import CommandRefusedError
from volans.protocol.commands import MAX_REASON_LENGTH
from volans.protocol.counter_types import SystemCounter
from volans.protocol.error_codes import ErrorCode
from volans.protocol.events import PublicationErrorEvent

if TYPE_CHECKING:
    from volans.driver.agent_messages import PublicationError
    from volans.driver.conductor.context import ConductorContext
    from volans.driver.conductor.images import Images
    from volans.driver.conductor.ipc_streams import IpcStreams
    from volans.protocol.commands import RejectImage

ADDRESS_IPV4, ADDRESS_IPV6 = 1, 2
SOCKADDR_IN_LENGTH = 16


def reject_image(
    context: ConductorContext, images: Images, ipc_streams: IpcStreams, command: RejectImage
) -> None:
    """REJECT_IMAGE: of a remote publication, or of an IPC one. Raises CommandRefusedError."""
    reason = command.reason.encode("ascii", "replace")
    if len(reason) > MAX_REASON_LENGTH:
        raise CommandRefusedError(
            ErrorCode.GENERIC_ERROR,
            f"reason of {len(reason)} bytes: an image is rejected with at most {MAX_REASON_LENGTH}",
        )
    image = images.find(command.image_correlation_id)
    ipc_stream = ipc_streams.find(command.image_correlation_id)
    if image is not None:
        image.owner.reject(reason)
    elif ipc_stream is not None:
        ipc_streams.reject(ipc_stream, command.reason)
    else:
        raise CommandRefusedError(
            ErrorCode.GENERIC_ERROR,
            f"no image with correlationId={command.image_correlation_id} to reject",
        )
    context.shared.add_to_system_counter(SystemCounter.IMAGES_REJECTED)


def publication_error_event(message: PublicationError) -> PublicationErrorEvent:
    """What the publishers hear of an ERR frame."""
    is_ipv4 = len(message.source) == SOCKADDR_IN_LENGTH
    host = message.source[4:8] if is_ipv4 else message.source[8:24]
    return PublicationErrorEvent(
        registration_id=message.registration_id,
        destination_registration_id=message.destination_registration_id,
        session_id=message.session_id,
        stream_id=message.stream_id,
        receiver_id=message.receiver_id,
        group_tag=message.group_tag,
        address_type=ADDRESS_IPV4 if is_ipv4 else ADDRESS_IPV6,
        source_port=int.from_bytes(message.source[2:4], "big"),
        source_address=host.ljust(16, b"\0"),
        error_code=message.error_code,
        message=message.text,
    )


def ipc_rejection_event(
    registration_id: int, session_id: int, stream_id: int, reason: str
) -> PublicationErrorEvent:
    """What the publishers of an IPC stream hear when a subscriber of this machine rejects it."""
    return PublicationErrorEvent(
        registration_id=registration_id,
        destination_registration_id=-1,
        session_id=session_id,
        stream_id=stream_id,
        receiver_id=-1,
        group_tag=-1,
        address_type=ADDRESS_IPV4,
        source_port=0,
        source_address=bytes((127, 0, 0, 1)).ljust(16, b"\0"),
        error_code=ErrorCode.IMAGE_REJECTED,
        message=reason,
    )
