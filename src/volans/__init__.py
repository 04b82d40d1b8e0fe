"""Volans: the Aeron message bus for Python.

``volans.connect()`` gives a client of a media driver; ``volans.MediaDriver.launch()`` runs a
driver in this process. Names are loaded when they are first used.
"""

# ruff: noqa: F401, PLE0604 - the names below are exported lazily
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from volans.version import VERSION

if TYPE_CHECKING:
    from volans.client.batch import Batch, StaleBatchError
    from volans.client.buffer import Buffer, StaleBufferError
    from volans.client.claim import Claim, ClaimEndedError
    from volans.client.conductor import ReentrantCallError
    from volans.client.connect import Client, connect
    from volans.client.counters import Counter
    from volans.client.exclusive_publication import ExclusivePublication
    from volans.client.fragment_assembler import (
        AssembledHeader,
        ControlledFragmentAssembler,
        FragmentAssembler,
        ImageControlledFragmentAssembler,
        ImageFragmentAssembler,
    )
    from volans.client.header import Header
    from volans.client.image import Image, ReentrantPollError
    from volans.client.log_file import CorruptLogError, LogFileError
    from volans.client.message import Message
    from volans.client.options import ClientOptions
    from volans.client.publication import Publication
    from volans.client.results import (
        ChannelStatus,
        ControlledAction,
        MessageTooLongError,
        OfferResult,
        PublishTimeoutError,
    )
    from volans.client.subscription import Subscription
    from volans.driver.media_driver import MediaDriver
    from volans.errors import (
        ClientClosedError,
        ClientTimeoutError,
        CncFormatError,
        CncVersionError,
        ConfigError,
        DriverAlreadyRunningError,
        DriverNotRunningError,
        DriverTimeoutError,
        MaxPositionExceededError,
        PublicationClosedError,
        RegistrationError,
        SubscriptionClosedError,
        VolansError,
    )
    from volans.memory.counters import CountersReader
    from volans.protocol.channel_uri import ChannelUri, InvalidChannelError
    from volans.protocol.channel_uri_builder import ChannelUriBuilder
    from volans.protocol.error_codes import ErrorCode

__version__ = VERSION

_MODULES = {
    "AssembledHeader": "client.fragment_assembler",
    "Batch": "client.batch",
    "Buffer": "client.buffer",
    "ChannelStatus": "client.results",
    "ChannelUri": "protocol.channel_uri",
    "ChannelUriBuilder": "protocol.channel_uri_builder",
    "Claim": "client.claim",
    "ClaimEndedError": "client.claim",
    "Client": "client.connect",
    "ClientClosedError": "errors",
    "ClientOptions": "client.options",
    "ClientTimeoutError": "errors",
    "CncFormatError": "errors",
    "CncVersionError": "errors",
    "ConfigError": "errors",
    "ControlledAction": "client.results",
    "ControlledFragmentAssembler": "client.fragment_assembler",
    "CorruptLogError": "client.log_file",
    "Counter": "client.counters",
    "CountersReader": "memory.counters",
    "DriverAlreadyRunningError": "errors",
    "DriverNotRunningError": "errors",
    "DriverTimeoutError": "errors",
    "ErrorCode": "protocol.error_codes",
    "ExclusivePublication": "client.exclusive_publication",
    "FragmentAssembler": "client.fragment_assembler",
    "Header": "client.header",
    "Image": "client.image",
    "ImageControlledFragmentAssembler": "client.fragment_assembler",
    "ImageFragmentAssembler": "client.fragment_assembler",
    "InvalidChannelError": "protocol.channel_uri",
    "LogFileError": "client.log_file",
    "MaxPositionExceededError": "errors",
    "MediaDriver": "driver.media_driver",
    "Message": "client.message",
    "MessageTooLongError": "client.results",
    "OfferResult": "client.results",
    "Publication": "client.publication",
    "PublicationClosedError": "errors",
    "PublishTimeoutError": "client.results",
    "ReentrantCallError": "client.conductor",
    "ReentrantPollError": "client.image",
    "RegistrationError": "errors",
    "StaleBatchError": "client.batch",
    "StaleBufferError": "client.buffer",
    "Subscription": "client.subscription",
    "SubscriptionClosedError": "errors",
    "VolansError": "errors",
    "connect": "client.connect",
}

__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'volans' has no attribute {name!r}")
    value = getattr(import_module(f"volans.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
