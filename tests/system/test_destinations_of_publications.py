"""Publications to several destinations, to groups and by tag, against a running driver."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import pytest
from client_driver import (
    await_that,
    client,
    collect,
    driver,
    errors,
    start_driver,
    stream_id,
    udp_channel,
)

import volans
from volans.errors import RegistrationError
from volans.protocol.counter_types import CounterType, SystemCounter
from volans.protocol.error_codes import ErrorCode

__all__ = ["client", "driver", "errors", "stream_id", "udp_channel"]

SETUP = 5
IP_RECVTTL = 12  # linux/in.h
SETUP_FLAG_GROUP = 0x40
MANUAL = "aeron:udp?control-mode=manual"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def endpoint_channel(**more: object) -> str:
    rest = "".join(f"|{key.replace('_', '-')}={value}" for key, value in more.items())
    return f"aeron:udp?endpoint=127.0.0.1:{free_port()}{rest}"


def destination_count(client: volans.Client, publication: volans.Publication) -> int:
    counter_id = client.counters.find(
        CounterType.MDC_DESTINATIONS, publication.original_registration_id
    )
    assert counter_id is not None
    return client.counters.value(counter_id)


def refused(code: ErrorCode, words: str, ask: Callable[[], object]) -> None:
    with pytest.raises(RegistrationError) as refusal:
        ask()
    assert refusal.value.code == code
    assert words in refusal.value.message


# --- control-mode=manual ------------------------------------------------------------------------


@pytest.mark.parametrize("exclusive", [False, True])
def test_manual_destinations_all_get_the_stream(client, stream_id, exclusive):
    channels = [endpoint_channel() for _ in range(3)]
    subscriptions = [client.add_subscription(channel, stream_id) for channel in channels]
    add = client.add_exclusive_publication if exclusive else client.add_publication
    publication = add(MANUAL, stream_id)
    ids = [publication.add_destination(channel) for channel in channels]
    assert len(set(ids)) == 3
    await_that(lambda: all(s.is_connected for s in subscriptions))
    assert destination_count(client, publication) == 3
    sent = [bytes([number]) * 3000 for number in range(50)]
    for message in sent:
        publication.publish(message, timeout=20)
    for subscription in subscriptions:
        assert collect(subscription, len(sent)) == sent


def test_removed_destinations_get_no_more(client, stream_id):
    channels = [endpoint_channel() for _ in range(3)]
    subscriptions = [client.add_subscription(channel, stream_id) for channel in channels]
    publication = client.add_exclusive_publication(MANUAL, stream_id)
    ids = [publication.add_destination(channel) for channel in channels]
    await_that(lambda: all(s.is_connected for s in subscriptions))
    publication.publish(b"all", timeout=20)
    assert [collect(s, 1) for s in subscriptions] == [[b"all"]] * 3
    publication.remove_destination(channels[0])
    publication.remove_destination(ids[1])
    await_that(lambda: destination_count(client, publication) == 1)
    publication.publish(b"one", timeout=20)
    assert collect(subscriptions[2], 1) == [b"one"]
    assert [s.poll(lambda *_: None) for s in subscriptions[:2]] == [0, 0]


def test_a_destination_where_nobody_listens_does_not_stop_the_others(client, stream_id):
    channel = endpoint_channel()
    subscription = client.add_subscription(channel, stream_id)
    publication = client.add_exclusive_publication(MANUAL, stream_id)
    publication.add_destination(endpoint_channel())
    publication.add_destination(channel)
    await_that(lambda: subscription.is_connected and publication.is_connected)
    sent = [bytes([number]) * 500 for number in range(200)]
    for message in sent:
        publication.publish(message, timeout=20)
    assert collect(subscription, len(sent)) == sent


@pytest.mark.parametrize("bad", ["[::1]:4000", "255.255.255.255:4000"])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_destination_that_cannot_be_sent_to_does_not_stop_the_others(stream_id, bad, is_first):
    """Of the wrong family, or forbidden: every send to it fails for good."""
    good = endpoint_channel()
    with start_driver() as own, volans.connect(own.directory) as client:
        subscription = client.add_subscription(good, stream_id)
        publication = client.add_exclusive_publication(MANUAL, stream_id)
        channels = [f"aeron:udp?endpoint={bad}", good]
        for channel in channels if is_first else reversed(channels):
            publication.add_destination(channel)
        await_that(lambda: subscription.is_connected and publication.is_connected)
        sent = [bytes([number]) * 2000 for number in range(40)]
        for message in sent:
            publication.publish(message, timeout=20)
        assert collect(subscription, len(sent)) == sent
        assert client.counters.value(SystemCounter.ERRORS) > 0


def test_a_second_client_of_a_shared_publication_adds_destinations_too(driver, client, stream_id):
    channel = f"{MANUAL}|tags={9000 + stream_id}"
    first = client.add_publication(channel, stream_id)
    target = endpoint_channel()
    with volans.connect(driver.directory) as other:
        second = other.add_publication(channel, stream_id)
        assert second.original_registration_id == first.registration_id
        second.add_destination(target)
        await_that(lambda: destination_count(client, first) == 1)


def test_destination_that_cannot_be_resolved_is_kept(client, stream_id):
    publication = client.add_exclusive_publication(MANUAL, stream_id)
    channel = "aeron:udp?endpoint=nowhere.invalid:4000"
    publication.add_destination(channel)
    await_that(lambda: destination_count(client, publication) == 1)
    publication.remove_destination(channel)
    await_that(lambda: destination_count(client, publication) == 0)


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ("aeron-spy:aeron:udp?endpoint=127.0.0.1:4000", "spies are invalid as send destinations"),
        ("aeron:ipc", "incorrect URI format for destination"),
        ("aeron:udp?control=127.0.0.1:4000", "incorrect URI format for destination"),
        ("aeron:udp?endpoint=127.0.0.1:0", "port=0 for send destination"),
        ("aeron:udp?endpoint=127.0.0.1:4000|mtu=8k", "must not contain the key: mtu"),
        ("aeron:udp?endpoint=127.0.0.1:4000|so-sndbuf=8k", "must not contain the key: so-sndbuf"),
        ("aeron:udp?endpoint=127.0.0.1:4000|rcv-wnd=8k", "must not contain the key: rcv-wnd"),
        ("aeron:udp?endpoint=127.0.0.1:4000|control-mode=response", "control-mode=response"),
    ],
)
@pytest.mark.parametrize("change", ["add_destination", "remove_destination"])
def test_bad_destinations_are_refused(client, stream_id, channel, words, change):
    publication = client.add_exclusive_publication(MANUAL, stream_id)
    refused(ErrorCode.INVALID_CHANNEL, words, lambda: getattr(publication, change)(channel))


def test_only_manual_channels_take_destinations(client, stream_id, udp_channel):
    publication = client.add_exclusive_publication(udp_channel, stream_id)
    words = "does not allow manual control of destinations"
    refused(
        ErrorCode.INVALID_CHANNEL, words, lambda: publication.add_destination(endpoint_channel())
    )
    refused(ErrorCode.INVALID_CHANNEL, words, lambda: publication.remove_destination(12345))


def test_an_ipc_publication_has_no_destinations(client, stream_id):
    publication = client.add_exclusive_publication("aeron:ipc", stream_id)
    refused(
        ErrorCode.UNKNOWN_PUBLICATION,
        "unknown publication",
        lambda: publication.add_destination(endpoint_channel()),
    )


# --- control-mode=dynamic -----------------------------------------------------------------------


def test_dynamic_destinations_are_learnt_and_all_get_the_stream(client, stream_id):
    control = f"127.0.0.1:{free_port()}"
    publication = client.add_exclusive_publication(
        f"aeron:udp?control={control}|control-mode=dynamic", stream_id
    )
    assert destination_count(client, publication) == 0
    subscriptions = [
        client.add_subscription(
            f"aeron:udp?endpoint=127.0.0.1:{free_port()}|control={control}|control-mode=dynamic",
            stream_id,
        )
        for _ in range(2)
    ]
    await_that(lambda: all(s.is_connected for s in subscriptions))
    assert destination_count(client, publication) == 2
    late = client.add_subscription(endpoint_channel(control=control), stream_id)
    await_that(lambda: late.is_connected)
    sent = [bytes([number]) * 2000 for number in range(50)]
    for message in sent:
        publication.publish(message, timeout=20)
    for subscription in [*subscriptions, late]:
        assert collect(subscription, len(sent)) == sent


def test_dynamic_needs_a_control_address(client, stream_id):
    refused(
        ErrorCode.INVALID_CHANNEL,
        "control",
        lambda: client.add_publication("aeron:udp?control-mode=dynamic", stream_id),
    )


def test_control_alone_is_not_enough_for_a_publication(client, stream_id):
    refused(
        ErrorCode.INVALID_CHANNEL,
        "'endpoint' or 'control-mode'",
        lambda: client.add_publication(f"aeron:udp?control=127.0.0.1:{free_port()}", stream_id),
    )


def test_control_port_can_be_used_again_at_once(client, stream_id):
    channel = f"aeron:udp?control=127.0.0.1:{free_port()}|control-mode=dynamic|linger=0"
    for _ in range(3):
        publication = client.add_exclusive_publication(channel, stream_id)
        assert publication.channel_status.name == "ACTIVE"
        publication.close()


@pytest.mark.parametrize("mode", ["manual", "dynamic"])
def test_spies_read_multi_destination_publications(client, stream_id, mode):
    tag = 7000 + stream_id
    control = f"control=127.0.0.1:{free_port()}|" if mode == "dynamic" else ""
    channel = f"aeron:udp?{control}control-mode={mode}|tags={tag}|ssc=true"
    spy = client.add_subscription(f"aeron-spy:{channel}", stream_id)
    publication = client.add_exclusive_publication(channel, stream_id)
    await_that(lambda: spy.is_connected and publication.is_connected)
    publication.publish(b"seen", timeout=20)
    assert collect(spy, 1) == [b"seen"]


# --- groups -------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow_control", ["max", "min", "tagged,g:5"])
def test_multicast_reaches_every_subscriber(client, stream_id, flow_control):
    group = f"aeron:udp?endpoint=224.20.30.41:{free_port()}|interface=127.0.0.1|ttl=0"
    subscription = client.add_subscription(f"{group}|gtag=5", stream_id)
    publication = client.add_exclusive_publication(f"{group}|fc={flow_control}", stream_id)
    await_that(lambda: subscription.is_connected and publication.is_connected)
    sent = [bytes([number]) * 3000 for number in range(50)]
    for message in sent:
        publication.publish(message, timeout=20)
    assert collect(subscription, len(sent)) == sent


@pytest.mark.parametrize("interface", ["127.0.0.1", "localhost/8", "{lo}"])
def test_setups_go_to_the_group_over_the_interface_with_the_ttl(client, stream_id, interface):
    group, port, ttl = "224.20.30.45", free_port(), 3
    membership = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        receiver.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        receiver.bind((group, port))
        receiver.settimeout(20)
        publication = client.add_exclusive_publication(
            f"aeron:udp?endpoint={group}:{port}|interface={interface}|ttl={ttl}", stream_id
        )
        datagram, extra, _flags, source = receiver.recvmsg(2048, 256)
    (_length, _version, flags, kind) = struct.unpack_from("<ibBh", datagram)
    assert (kind, flags & SETUP_FLAG_GROUP) == (SETUP, SETUP_FLAG_GROUP)
    assert struct.unpack_from("<ii", datagram, 12) == (publication.session_id, stream_id)
    assert struct.unpack_from("<i", datagram, 36) == (ttl,)
    assert [struct.unpack("i", data)[0] for _level, _type, data in extra] == [ttl]
    assert source[0] == "127.0.0.1"
    assert publication.local_socket_addresses == [f"0.0.0.0:{port}"]


def test_ipv6_destinations(client, stream_id):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        ports = [probe.getsockname()[1], free_port()]
    control = f"[::1]:{ports[1]}"
    channel = f"aeron:udp?endpoint=[::1]:{ports[0]}|control={control}"
    subscription = client.add_subscription(channel, stream_id)
    publication = client.add_exclusive_publication(
        f"aeron:udp?control={control}|control-mode=dynamic", stream_id
    )
    await_that(lambda: subscription.is_connected and publication.is_connected)
    publication.publish(b"six", timeout=20)
    assert collect(subscription, 1) == [b"six"]


def test_even_groups_are_refused(client, stream_id):
    refused(
        ErrorCode.INVALID_CHANNEL,
        "odd",
        lambda: client.add_publication("aeron:udp?endpoint=224.20.30.40:4000", stream_id),
    )


# --- tags ---------------------------------------------------------------------------------------


def test_a_tag_alone_finds_the_channel(client, stream_id, udp_channel):
    tag = 100 + stream_id
    first = client.add_publication(f"{udp_channel}|tags={tag},7", stream_id)
    second = client.add_exclusive_publication(f"aeron:udp?tags={tag}", stream_id)
    assert second.channel_status_id == first.channel_status_id
    shared = client.add_publication(f"aeron:udp?tags={tag}", stream_id)
    assert shared.session_id == first.session_id
    spy = client.add_subscription(f"aeron-spy:aeron:udp?tags={tag}", stream_id)
    await_that(lambda: len(spy.images) == 2)


def test_a_spy_of_one_session_by_tag_hears_no_other(client, stream_id, udp_channel):
    tag = 800000 + stream_id
    channel = f"{udp_channel}|tags={tag}"
    sessions = [client.add_exclusive_publication(channel, stream_id).session_id for _ in range(2)]
    spy = client.add_subscription(
        f"aeron-spy:aeron:udp?tags={tag}|session-id={sessions[1]}", stream_id
    )
    await_that(lambda: spy.is_connected)
    assert [image.session_id for image in spy.images] == sessions[1:]


def test_different_tags_mean_different_sockets(client, stream_id, udp_channel):
    first = client.add_publication(f"{udp_channel}|tags={200 + stream_id}", stream_id)
    second = client.add_publication(f"{udp_channel}|tags={500000 + stream_id}", stream_id)
    assert first.channel_status_id != second.channel_status_id


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("endpoint=127.0.0.1:4001", "endpoint and control of the channel with tag"),
        ("control-mode=manual", "control-mode"),
    ],
)
def test_contradicting_tags_are_refused(client, stream_id, udp_channel, rest, words):
    tag = 300 + stream_id
    client.add_publication(f"{udp_channel}|tags={tag}", stream_id)
    refused(
        ErrorCode.GENERIC_ERROR,
        words,
        lambda: client.add_publication(f"aeron:udp?tags={tag}|{rest}", stream_id),
    )


def test_an_unknown_tag_alone_is_refused(client, stream_id):
    refused(
        ErrorCode.INVALID_CHANNEL,
        "when original",
        lambda: client.add_publication("aeron:udp?tags=987654321", stream_id),
    )


def test_session_id_is_copied_from_a_tagged_publication(client, stream_id, udp_channel):
    tag = 40000 + stream_id
    first = client.add_exclusive_publication(
        f"{udp_channel}|tags=1{tag},{tag}|mtu=4096|term-length=128k", stream_id
    )
    for channel in (endpoint_channel(session_id=f"tag:{tag}"), f"aeron:ipc?session-id=tag:{tag}"):
        second = client.add_exclusive_publication(channel, stream_id)
        assert second.session_id == first.session_id
        assert second.term_buffer_length == 128 * 1024
        assert second.max_payload_length == first.max_payload_length
    refused(
        ErrorCode.INVALID_CHANNEL,
        "must reference a network publication",
        lambda: client.add_publication(endpoint_channel(session_id="tag:31337"), stream_id),
    )


# --- publications that are shared -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("session-id=5", "different 'session-id'"),
        ("mtu=8k", "different 'mtu'"),
        ("term-length=64k", "different 'term-length'"),
        ("init-term-id=8|term-id=8|term-offset=0", "different 'init-term-id'"),
        ("init-term-id=7|term-id=9|term-offset=0", "different 'term-id'"),
        ("init-term-id=7|term-id=7|term-offset=64", "different 'term-offset'"),
        ("ssc=true", "different spies simulate connection"),
        ("so-sndbuf=256k", "so-sndbuf=262144 does not match existing value"),
        ("so-rcvbuf=256k", "so-rcvbuf=262144 does not match existing value"),
        ("mtu=8k|so-sndbuf=64k", "so-sndbuf"),
    ],
)
def test_what_contradicts_a_shared_publication_is_refused(
    client, stream_id, udp_channel, rest, words
):
    start = "init-term-id=7|term-id=7|term-offset=32"
    client.add_publication(f"{udp_channel}|{start}", stream_id)
    same = client.add_publication(f"{udp_channel}|{start}", stream_id)
    assert not same.is_original
    refused(
        ErrorCode.INVALID_CHANNEL,
        words,
        lambda: client.add_publication(f"{udp_channel}|{rest}", stream_id),
    )


# --- rejection and revocation ---------------------------------------------------------------------


def test_a_rejection_names_the_destination(driver, stream_id):
    heard: list = []
    channels = [endpoint_channel() for _ in range(2)]
    with volans.connect(driver.directory, on_publication_error=heard.append) as client:
        subscriptions = [client.add_subscription(channel, stream_id) for channel in channels]
        publication = client.add_exclusive_publication(MANUAL, stream_id)
        ids = [publication.add_destination(channel) for channel in channels]
        await_that(lambda: all(s.is_connected for s in subscriptions))
        subscriptions[1].images[0].reject("enough")
        await_that(lambda: heard)
        assert heard[0].destination_registration_id == ids[1]
        assert heard[0].registration_id == publication.registration_id
        assert heard[0].message == "enough"


def test_a_revoked_publication_ends_at_once_for_all_destinations(client, stream_id):
    channels = [endpoint_channel() for _ in range(2)]
    gone: list = []
    subscriptions = [
        client.add_subscription(channel, stream_id, on_unavailable_image=gone.append)
        for channel in channels
    ]
    publication = client.add_exclusive_publication(MANUAL, stream_id)
    for channel in channels:
        publication.add_destination(channel)
    await_that(lambda: all(s.is_connected for s in subscriptions))
    publication.revoke()
    await_that(lambda: len(gone) == 2)
    assert all(image.is_publication_revoked for image in gone)


# --- ports ----------------------------------------------------------------------------------------


def test_wildcard_control_ports_come_from_the_range(stream_id):
    low = free_port()
    with (
        start_driver(AERON_SENDER_WILDCARD_PORT_RANGE=f"{low} {low + 1}") as own,
        volans.connect(own.directory) as client,
    ):
        channel = "aeron:udp?control=127.0.0.1:0|control-mode=dynamic|linger=0"
        publications = [client.add_exclusive_publication(channel, stream_id) for _ in range(2)]
        ports = sorted(int(p.local_socket_addresses[0].split(":")[1]) for p in publications)
        assert ports == [low, low + 1]
        refused(
            ErrorCode.GENERIC_ERROR,
            "no available ports in range",
            lambda: client.add_exclusive_publication(channel, stream_id),
        )
        publications[0].close()

        def reopened() -> bool:
            try:
                client.add_exclusive_publication(channel, stream_id)
            except RegistrationError:
                time.sleep(0.05)
                return False
            return True

        await_that(reopened)


def test_nothing_is_left_of_a_closed_publication(client, stream_id):
    tag = 600000 + stream_id
    publication = client.add_exclusive_publication(f"{MANUAL}|linger=0|tags={tag}", stream_id)
    publication.add_destination(endpoint_channel())
    registration_id = publication.registration_id
    kinds = (CounterType.MDC_DESTINATIONS, CounterType.SEND_CHANNEL_STATUS)
    assert all(client.counters.find(kind, registration_id) is not None for kind in kinds)
    publication.close()
    await_that(lambda: all(client.counters.find(kind, registration_id) is None for kind in kinds))
    refused(
        ErrorCode.INVALID_CHANNEL,
        "when original",
        lambda: client.add_publication(f"aeron:udp?tags={tag}", stream_id),
    )
