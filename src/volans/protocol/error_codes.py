"""Codes by which a media driver says what was wrong with a command (PROTOCOL.md section 7.3)."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Error code of an ON_ERROR or publication-error event, and of an ERR frame."""

    UNKNOWN_CODE_VALUE = -1
    UNUSED = 0
    INVALID_CHANNEL = 1
    UNKNOWN_SUBSCRIPTION = 2
    UNKNOWN_PUBLICATION = 3
    CHANNEL_ENDPOINT_ERROR = 4
    UNKNOWN_COUNTER = 5
    UNKNOWN_COMMAND_TYPE_ID = 6
    MALFORMED_COMMAND = 7
    NOT_SUPPORTED = 8
    UNKNOWN_HOST = 9
    RESOURCE_TEMPORARILY_UNAVAILABLE = 10
    GENERIC_ERROR = 11
    STORAGE_SPACE = 12
    IMAGE_REJECTED = 13
    PUBLICATION_REVOKED = 14

    @classmethod
    def of(cls, code: int) -> ErrorCode:
        """The member for ``code``; UNKNOWN_CODE_VALUE for one this version does not know."""
        try:
            return cls(code)
        except ValueError:
            return cls.UNKNOWN_CODE_VALUE
