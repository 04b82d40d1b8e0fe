"""What a publication's channel must not be, or not beside what is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volans.driver.conductor.errors import invalid_channel

if TYPE_CHECKING:
    from volans.driver.conductor.channels import SendEndpoint
    from volans.driver.conductor.parameters import PublicationParameters
    from volans.driver.udp_channel import UdpChannel


def check_publication_channel(channel: UdpChannel, text: str) -> None:
    if (
        channel.has_explicit_endpoint
        and not channel.is_multi_destination
        and channel.remote_data.port == 0
    ):
        raise invalid_channel(f"endpoint has port=0 for publication: channel={text}")
    if (
        channel.has_explicit_control
        and not channel.has_explicit_endpoint
        and channel.control_mode is None
    ):
        raise invalid_channel(
            "'control' parameter requires that either 'endpoint' or 'control-mode' is specified, "
            f"channel={text}"
        )


def check_send_buffer(endpoint: SendEndpoint, parameters: PublicationParameters, text: str) -> None:
    # What was asked for; the system tells twice that, and for its default what it is.
    sndbuf = endpoint.socket_sndbuf_length or endpoint.owner.socket_sndbuf_length
    if sndbuf and parameters.mtu_length > sndbuf:
        raise invalid_channel(
            f"MTU greater than SO_SNDBUF for channel: mtu={parameters.mtu_length} "
            f"so-sndbuf={sndbuf} channel={text}"
        )


def check_same_simulation(asked: PublicationParameters, existing: PublicationParameters) -> None:
    if asked.spies_simulate_connection != existing.spies_simulate_connection:
        raise invalid_channel(
            "existing publication has different spies simulate connection: "
            f"requested={str(asked.spies_simulate_connection).lower()}, say "
            f"ssc={str(existing.spies_simulate_connection).lower()}"
        )


def check_same_send_timestamp(endpoint: SendEndpoint, channel: UdpChannel, text: str) -> None:
    asked, found = (c.channel_send_timestamp_offset for c in (channel, endpoint.channel))
    # A tag alone means the channel as it is.
    says_all = channel.has_explicit_endpoint or channel.has_explicit_control
    if asked != found and (says_all or asked is not None):
        raise invalid_channel(
            f"option conflicts with existing channel: channel-snd-ts-offset={_offset(asked)}, "
            f"say {_offset(found)}: existingChannel={endpoint.text} channel={text}"
        )


def _offset(offset: int | None) -> str:
    if offset is None:
        return "none"
    return "reserved" if offset < 0 else str(offset)
