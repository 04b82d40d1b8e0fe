"""Where a subscription of an IPC stream begins, on a running driver."""

from __future__ import annotations

from client_driver import await_that, client, collect, connected_pair, driver, errors, stream_id

__all__ = ["client", "driver", "errors", "stream_id"]


def test_one_that_joins_sees_what_the_slowest_has_not_yet_read(client, stream_id):
    publication, slow = connected_pair(client, stream_id)
    fast = client.add_subscription("aeron:ipc", stream_id)
    await_that(lambda: fast.image_count)
    limit = publication.position_limit
    messages = [bytes([number]) * 1000 for number in range(40)]
    for message in messages:
        publication.publish(message)
    assert collect(fast, 40) == messages
    await_that(lambda: slow.poll(lambda _buffer, _header: None, 1) and slow.images[0].position > 0)
    for _ in range(19):
        slow.poll(lambda _buffer, _header: None, 1)
    # The driver has seen both: the publisher may go on by as much as the slow one has read.
    await_that(lambda: publication.position_limit >= limit + slow.images[0].position)
    late = client.add_subscription("aeron:ipc", stream_id)
    await_that(lambda: late.image_count)
    assert collect(late, 20) == messages[20:]
    assert collect(slow, 20) == messages[20:]
