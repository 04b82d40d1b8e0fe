"""Taking back what was asked for, and removals that are asked for and answered later."""

import pytest
from client_driver import (
    await_that,
    client,
    connected_pair,
    driver,
    errors,
    stream_id,
)

import volans
from volans.protocol.counter_types import CounterType

__all__ = ["client", "driver", "errors", "stream_id"]

ADDS = ("publication", "exclusive_publication", "subscription", "counter")


def ask(client: volans.Client, what: str, stream_id: int) -> int:
    if what == "counter":
        return client.async_add_counter(1100, f"cancelled {stream_id}")
    return getattr(client, f"async_add_{what}")("aeron:ipc?alias=cancelled", stream_id)


def counts(client: volans.Client, kind: int) -> int:
    return len(list(client.counters.find_by_type(kind)))


@pytest.mark.parametrize("what", ADDS)
def test_what_is_cancelled_does_not_stay_at_the_driver(client, stream_id, what):
    watched = CounterType.PUBLISHER_LIMIT if "publication" in what else 1100
    if what == "subscription":
        watched = CounterType.SUBSCRIBER_POSITION
        publication = client.add_publication("aeron:ipc", stream_id)
        assert publication.registration_id
    before = counts(client, watched)
    registration_id = ask(client, what, stream_id)
    assert client.cancel(registration_id) is True
    with pytest.raises(ValueError, match=r"cancelled|not known"):
        getattr(client, f"get_{what}")(registration_id)
    # Commands are done in order: the driver has done the add when it has done the next one.
    client.add_counter(1101, "afterwards").close()
    await_that(lambda: counts(client, watched) == before)
    await_that(lambda: registration_id not in client._conductor.registrations)


def test_what_has_come_unasked_for_is_removed_when_cancelled(client, stream_id):
    registration_id = client.async_add_counter(1102, "come")
    await_that(lambda: counts(client, 1102) == 1)
    client.add_counter(1101, "afterwards").close()
    assert client.cancel(registration_id) is True
    await_that(lambda: counts(client, 1102) == 0)


def test_what_was_handed_out_cannot_be_cancelled(client, stream_id):
    registration_id = client.async_add_publication("aeron:ipc", stream_id)
    publication = await_that(lambda: client.get_publication(registration_id))
    assert client.cancel(registration_id) is False
    assert not publication.is_closed
    with pytest.raises(ValueError, match="not known"):
        client.cancel(12345678)
    subscription = client.add_subscription("aeron:udp?control-mode=manual", stream_id)
    destination = client.async_add_receive_destination(
        subscription, "aeron:udp?endpoint=127.0.0.1:0"
    )
    with pytest.raises(ValueError, match="only adds"):
        client.cancel(destination)
    await_that(lambda: client.is_done(destination))


def test_a_cancelled_add_that_is_refused_troubles_nobody(client, errors, stream_id):
    registration_id = client.async_add_publication("aeron:udp?endpoint=bad", stream_id)
    client.cancel(registration_id)
    client.add_counter(1101, "afterwards").close()
    await_that(lambda: registration_id not in client._conductor.registrations)
    assert errors == []


def test_removals_are_answered(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    counter = client.add_counter(1103, "removed")
    static = client.add_static_counter(1104, stream_id, "stays")
    removals = [
        client.async_remove_publication(publication),
        client.async_remove_subscription(subscription),
        client.async_remove_counter(counter),
    ]
    assert publication.is_closed
    assert subscription.is_closed
    assert counter.is_closed
    for removal in removals:
        await_that(lambda: client.is_done(removal))  # noqa: B023
    assert counts(client, 1103) == 0
    with pytest.raises(volans.ClientClosedError):
        client.async_remove_publication(publication)
    with pytest.raises(ValueError, match="static"):
        client.async_remove_counter(static)


def test_revoke_on_close_ends_images_at_once(client, stream_id):
    publication, subscription = connected_pair(client, stream_id)
    image = subscription.images[0]
    publication.publish(b"never read")
    publication.revoke_on_close = True
    publication.close()
    await_that(lambda: image.is_publication_revoked)
    await_that(lambda: not subscription.images)
