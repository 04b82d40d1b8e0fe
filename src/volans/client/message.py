"""One message of ``subscription.messages()``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from volans.client.batch import Batch
    from volans.client.header import Header
    from volans.client.image import Image


class Message:
    """A message in place, valid until the next step of the iteration.

    ``message.buffer`` is a read-only memoryview, ``bytes(message)`` a copy to keep.
    """

    __slots__ = ("_batch", "_index")

    def __init__(self, batch: Batch, index: int) -> None:
        self._batch = batch
        self._index = index

    @property
    def buffer(self) -> memoryview:
        """The payload, without a copy. Raises StaleBatchError after the next step."""
        return self._batch[self._index]

    @property
    def header(self) -> Header:
        """Where the message came from."""
        return self._batch.header(self._index)

    @property
    def image(self) -> Image:
        """The image it was polled from."""
        return self._batch.image

    def __bytes__(self) -> bytes:
        return bytes(self._batch[self._index])

    def __len__(self) -> int:
        return len(self._batch[self._index])

    def __repr__(self) -> str:
        return f"<Message of {len(self)} bytes, {self.header!r}>"
