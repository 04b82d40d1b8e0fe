# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Tagged flow control: as min, of the receivers only that show the group's tag."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t
from cython.cimports.volans.driver.flow_control.group import (
    group_close,
    group_max_retransmit_length,
    group_on_idle,
    group_on_setup,
    group_on_status_message,
    group_open,
    group_remove,
    group_request_setup,
)
from cython.cimports.volans.driver.layout import FlowControlOps, NetworkPublication
from cython.cimports.volans.protocol.layout import (
    SM_WITH_GROUP_TAG_LENGTH,
    StatusMessageFrame,
)
from cython.cimports.volans.transport.contract import Address

_ops = cython.declare(FlowControlOps)


@cfunc
@nogil
@exceptval(check=False)
def has_tag(
    publication: pointer[NetworkPublication], frame: pointer[cython.const[uint8_t]]
) -> bint:
    """A status message of exactly the longer length carries a tag (PROTOCOL.md section 10.3)."""
    message: pointer[cython.const[StatusMessageFrame]] = cast(
        pointer[cython.const[StatusMessageFrame]], frame
    )
    return (
        message.frame_length == SM_WITH_GROUP_TAG_LENGTH
        and message.group_tag == publication.flow_control.group_tag
    )


@cfunc
@nogil
@exceptval(check=False)
def on_status_message(
    publication: pointer[NetworkPublication],
    frame: pointer[cython.const[uint8_t]],
    length: int32_t,
    source: pointer[cython.const[Address]],
    sender_limit: int64_t,
    now_ns: int64_t,
) -> int64_t:
    return group_on_status_message(
        publication, frame, sender_limit, now_ns, has_tag(publication, frame)
    )


@cfunc
@nogil
@exceptval(check=False)
def on_setup_request(
    publication: pointer[NetworkPublication], frame: pointer[cython.const[uint8_t]]
) -> cython.void:
    group_request_setup(publication, has_tag(publication, frame))


_ops.name = b"tagged"
_ops.open = group_open
_ops.on_status_message = on_status_message
_ops.on_idle = group_on_idle
_ops.on_setup_request = on_setup_request
_ops.on_setup = group_on_setup
_ops.on_error = group_remove
_ops.max_retransmit_length = group_max_retransmit_length
_ops.close = group_close


@cfunc
@nogil
@exceptval(check=False)
def tagged_flow_control() -> pointer[cython.const[FlowControlOps]]:
    return address(_ops)
