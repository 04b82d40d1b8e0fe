"""The events of the event log: the official names and ids, and what AERON_EVENT_LOG selects."""

from __future__ import annotations

from typing import Final

from volans.errors import ConfigError

FRAME_IN: Final = 1
FRAME_OUT: Final = 2
NAK_SENT: Final = 54
NAK_RECEIVED: Final = 58
SEND_CHANNEL_CREATION: Final = 23
RECEIVE_CHANNEL_CREATION: Final = 24
SEND_CHANNEL_CLOSE: Final = 25
RECEIVE_CHANNEL_CLOSE: Final = 26
NEIGHBOR_ADDED: Final = 46
NEIGHBOR_REMOVED: Final = 47
RECEIVER_ADDED: Final = 48
RECEIVER_REMOVED: Final = 49
RESOLVE: Final = 50
LOOKUP: Final = 52
RESEND: Final = 55
UNTETHERED_STATE_CHANGE: Final = 45
PUBLICATION_REVOKE: Final = 59
IMAGE_REVOKE: Final = 60
PUBLICATION_CLEANUP: Final = 14
SUBSCRIPTION_CLEANUP: Final = 15
IMAGE_CLEANUP: Final = 16
ALL: Final = "all"
ADMIN: Final = "admin"
ALIASES: Final = {"SEND_NAK_MESSAGE": NAK_SENT}
# Ids of commands to and from the driver (PROTOCOL.md section 4) have events of their own.
COMMANDS_IN: Final = {
    0x01: 3,
    0x02: 4,
    0x03: 32,
    0x04: 5,
    0x05: 6,
    0x06: 13,
    0x07: 30,
    0x08: 31,
    0x09: 35,
    0x0A: 36,
    0x0B: 40,
    0x0C: 41,
    0x0D: 42,
    0x0E: 44,
    0x10: 57,
    0x11: 56,
}
COMMANDS_OUT: Final = {
    0x0F01: 34,
    0x0F02: 8,
    0x0F03: 7,
    0x0F04: 12,
    0x0F05: 17,
    0x0F06: 33,
    0x0F07: 37,
    0x0F08: 38,
    0x0F09: 39,
    0x0F0A: 43,
}
EVENTS: Final = {
    FRAME_IN: "FRAME_IN",
    FRAME_OUT: "FRAME_OUT",
    3: "CMD_IN_ADD_PUBLICATION",
    4: "CMD_IN_REMOVE_PUBLICATION",
    5: "CMD_IN_ADD_SUBSCRIPTION",
    6: "CMD_IN_REMOVE_SUBSCRIPTION",
    7: "CMD_OUT_PUBLICATION_READY",
    8: "CMD_OUT_AVAILABLE_IMAGE",
    12: "CMD_OUT_ON_OPERATION_SUCCESS",
    13: "CMD_IN_KEEPALIVE_CLIENT",
    PUBLICATION_CLEANUP: "REMOVE_PUBLICATION_CLEANUP",
    SUBSCRIPTION_CLEANUP: "REMOVE_SUBSCRIPTION_CLEANUP",
    IMAGE_CLEANUP: "REMOVE_IMAGE_CLEANUP",
    17: "CMD_OUT_ON_UNAVAILABLE_IMAGE",
    SEND_CHANNEL_CREATION: "SEND_CHANNEL_CREATION",
    RECEIVE_CHANNEL_CREATION: "RECEIVE_CHANNEL_CREATION",
    SEND_CHANNEL_CLOSE: "SEND_CHANNEL_CLOSE",
    RECEIVE_CHANNEL_CLOSE: "RECEIVE_CHANNEL_CLOSE",
    30: "CMD_IN_ADD_DESTINATION",
    31: "CMD_IN_REMOVE_DESTINATION",
    32: "CMD_IN_ADD_EXCLUSIVE_PUBLICATION",
    33: "CMD_OUT_EXCLUSIVE_PUBLICATION_READY",
    34: "CMD_OUT_ERROR",
    35: "CMD_IN_ADD_COUNTER",
    36: "CMD_IN_REMOVE_COUNTER",
    37: "CMD_OUT_SUBSCRIPTION_READY",
    38: "CMD_OUT_COUNTER_READY",
    39: "CMD_OUT_ON_UNAVAILABLE_COUNTER",
    40: "CMD_IN_CLIENT_CLOSE",
    41: "CMD_IN_ADD_RCV_DESTINATION",
    42: "CMD_IN_REMOVE_RCV_DESTINATION",
    43: "CMD_OUT_ON_CLIENT_TIMEOUT",
    44: "CMD_IN_TERMINATE_DRIVER",
    UNTETHERED_STATE_CHANGE: "UNTETHERED_SUBSCRIPTION_STATE_CHANGE",
    NEIGHBOR_ADDED: "NAME_RESOLUTION_NEIGHBOR_ADDED",
    NEIGHBOR_REMOVED: "NAME_RESOLUTION_NEIGHBOR_REMOVED",
    RECEIVER_ADDED: "FLOW_CONTROL_RECEIVER_ADDED",
    RECEIVER_REMOVED: "FLOW_CONTROL_RECEIVER_REMOVED",
    RESOLVE: "NAME_RESOLUTION_RESOLVE",
    51: "GENERIC_MESSAGE",
    LOOKUP: "NAME_RESOLUTION_LOOKUP",
    53: "NAME_RESOLUTION_HOST_NAME",
    NAK_SENT: "NAK_SENT",
    RESEND: "RESEND",
    56: "CMD_IN_REMOVE_DESTINATION_BY_ID",
    57: "CMD_IN_REJECT_IMAGE",
    NAK_RECEIVED: "NAK_RECEIVED",
    PUBLICATION_REVOKE: "PUBLICATION_REVOKE",
    IMAGE_REVOKE: "PUBLICATION_IMAGE_REVOKE",
}
IDS: Final = {name: event_id for event_id, name in EVENTS.items()} | ALIASES
_FRAMES: Final = frozenset({FRAME_IN, FRAME_OUT})
_MASK_BITS: Final = {
    0x1: frozenset(i for i, name in EVENTS.items() if name.startswith("CMD_IN_")),
    0x2: frozenset(i for i, name in EVENTS.items() if name.startswith("CMD_OUT_")),
    0x4: frozenset({FRAME_IN}),
    0x8: frozenset({FRAME_OUT}),
    0x10: frozenset({FRAME_OUT}),
    0x80: frozenset({45}),
}


def select_events(enabled: str | None, disabled: str | None = None) -> frozenset[int]:
    """The ids of the events to log: those of the first list without those of the second.

    A list has names, ids, ``all`` or ``admin`` (all but frames) separated by commas, or is a
    legacy mask such as ``0xffff``. Raises ConfigError for what no event is called.
    """
    selected = _parse("AERON_EVENT_LOG", enabled)
    return selected - _parse("AERON_EVENT_LOG_DISABLE", disabled)


def _parse(variable: str, text: str | None) -> frozenset[int]:
    found: frozenset[int] = frozenset()
    for item in (text or "").split(","):
        name = item.strip()
        if name:
            found |= _events_of(variable, name)
    return found


def _events_of(variable: str, name: str) -> frozenset[int]:
    if name == ALL:
        return frozenset(EVENTS)
    if name == ADMIN:
        return frozenset(EVENTS) - _FRAMES
    if name in IDS:
        return frozenset({IDS[name]})
    try:
        number = int(name, 0)
    except ValueError:
        number = -1
    if name.startswith("0x") and number > 0:
        if number >= 0xFFFF:
            return frozenset(EVENTS)
        return frozenset().union(*(ids for bit, ids in _MASK_BITS.items() if number & bit))
    if number in EVENTS:
        return frozenset({number})
    raise ConfigError(variable, name, "all, admin, a mask, or names or ids of events")
