# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What an application receives from: the images of one channel and stream."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.volans.client.batch import Batch
from cython.cimports.volans.client.image import Image, image_poll
from cython.cimports.volans.client.layout import ImageList, ImageState, SubscriptionState
from cython.cimports.volans.log.layout import fragment_fn
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    store_release_i32,
    store_release_i64,
    store_volatile_i64,
)

from volans.client.message import Message
from volans.errors import SubscriptionClosedError


@cfunc
@nogil
@exceptval(check=False)
def subscription_poll(
    subscription: pointer[SubscriptionState],
    handler: fragment_fn,
    clientd: p_void,
    fragment_limit: int32_t,
) -> int32_t:
    word: int64_t = load_acquire_i64(address(subscription.images))
    # Say which list is walked, then look again: the conductor frees a list only when it is
    # neither current nor in use.
    while True:
        store_volatile_i64(address(subscription.images_in_use), word)
        again: int64_t = load_acquire_i64(address(subscription.images))
        if again == word:
            break
        word = again
    images: pointer[ImageList] = cast(pointer[ImageList], cast(p_void, word))
    fragments: int32_t = 0
    index: int32_t
    _turn: int32_t
    if images is not cython.NULL and images.count > 0:
        index = subscription.round_robin_index
        if index >= images.count:
            index = 0
        subscription.round_robin_index = index + 1
        for _turn in range(images.count):
            if fragments >= fragment_limit:
                break
            fragments += image_poll(
                images.items[index], handler, clientd, fragment_limit - fragments
            )
            index += 1
            if index == images.count:
                index = 0
    store_release_i64(address(subscription.images_in_use), 0)
    return fragments


@cfunc
@nogil
@exceptval(check=False)
def subscription_image_count(subscription: pointer[SubscriptionState]) -> int32_t:
    images: pointer[ImageList] = cast(
        pointer[ImageList], cast(p_void, load_acquire_i64(address(subscription.images)))
    )
    return images.count if images is not cython.NULL else 0


@cython.final
@cclass
class ImageListOwner:
    """The memory of one published list of images."""

    def __init__(self, images: tuple):
        image: Image
        self.images = images
        count: int32_t = len(images)
        self.list.items = cast(
            pointer[pointer[ImageState]], calloc(max(1, count), sizeof(cython.p_void))
        )
        if self.list.items is cython.NULL:
            raise MemoryError("no memory for a list of images")
        index: int32_t
        for index in range(count):
            image = images[index]
            self.list.items[index] = address(image.state)
        self.list.count = count

    def __dealloc__(self):
        free(self.list.items)


@cython.final
@cclass
class Subscription:
    """Receives a stream from all its publishers. Made by ``client.add_subscription``.

    Attributes: ``registration_id``, ``channel``, ``stream_id``, ``fragments`` (whether polls
    hand over frames as they are), ``channel_status_id`` (counter, -1 for none).

    A context manager. Threading: one thread polls; the rest may be used by any.
    """

    def __init__(
        self,
        conductor: object,
        registration_id: int64_t,
        channel: str,
        stream_id: int32_t,
        fragments: cython.bint,
        channel_status_id: int32_t,
        on_available_image: object,
        on_unavailable_image: object,
    ):
        self.conductor = conductor
        self.registration_id = registration_id
        self.channel = channel
        self.stream_id = stream_id
        self.fragments = fragments
        self.channel_status_id = channel_status_id
        self.on_available_image = on_available_image
        self.on_unavailable_image = on_unavailable_image
        self.retired = []
        self.set_images(())

    # --- receiving -----------------------------------------------------------------------

    def poll(self, handler, limit: int32_t = 256) -> int:
        """Hand at most ``limit`` messages to ``handler(buffer, header)``; how many it were.

        Fragmented messages are put together first unless the subscription was added with
        ``fragments=True``. Images take turns; each yields what lies in its current term. The
        buffer is valid inside the handler only (``bytes(buffer)`` copies). An exception of
        the handler comes out of here; its message counts as read.

        Raises SubscriptionClosedError, ReentrantPollError.
        """
        images: tuple = self._images
        count: cython.Py_ssize_t = len(images)
        handled: int32_t = 0
        if count == 1:
            return cast(Image, images[0]).poll_messages(handler, limit, INT64_MAX, self.fragments)
        index: cython.Py_ssize_t = self.next_start(count)
        _turn: cython.Py_ssize_t
        for _turn in range(count):
            if handled >= limit:
                break
            handled += cast(Image, images[index]).poll_messages(
                handler, limit - handled, INT64_MAX, self.fragments
            )
            index = index + 1 if index + 1 < count else 0
        if count == 0 and self.state.closed != 0:
            self._raise_closed()
        return handled

    def controlled_poll(self, handler, limit: int32_t = 256) -> int:
        """As :meth:`poll`; the handler's result, a ControlledAction or None, says how to go on."""
        images: tuple = self._images
        count: cython.Py_ssize_t = len(images)
        handled: int32_t = 0
        index: cython.Py_ssize_t = self.next_start(count)
        _turn: cython.Py_ssize_t
        for _turn in range(count):
            if handled >= limit:
                break
            handled += cast(Image, images[index]).poll_controlled(
                handler, limit - handled, INT64_MAX, self.fragments
            )
            index = index + 1 if index + 1 < count else 0
        if count == 0 and self.state.closed != 0:
            self._raise_closed()
        return handled

    def block_poll(self, handler, limit_bytes: int64_t = 1 << 20) -> int:
        """Hand blocks of frames to ``handler(buffer, session_id, term_id)``; the bytes consumed."""
        consumed: int64_t = 0
        for image in self._take_turns():
            consumed += image.block_poll(handler, limit_bytes)
        return consumed

    def raw_poll(self, handler, limit_bytes: int64_t = 1 << 20) -> int:
        """As :meth:`block_poll`: ``handler(path, file_offset, length, session_id, term_id)``."""
        consumed: int64_t = 0
        for image in self._take_turns():
            consumed += image.raw_poll(handler, limit_bytes)
        return consumed

    def poll_batch(self, limit: int64_t = 65536) -> Batch:
        """At most ``limit`` messages of one image, in place, valid until the next poll.

        Images take turns. A batch ends at the end of a term; a fragmented message is a batch
        of its own. An empty batch (false) means that there is nothing.
        """
        images: tuple = self._images
        count: cython.Py_ssize_t = len(images)
        index: cython.Py_ssize_t
        _turn: cython.Py_ssize_t
        batch: Batch
        if count == 0:
            if self.state.closed != 0:
                self._raise_closed()
            batch = Batch.__new__(Batch)
            batch.equal_length = -1
            batch.current_generation = address(batch.generation)
            return batch
        index = self.next_start(count)
        for _turn in range(count):
            batch = cast(Image, images[index]).poll_batch_of(limit, self.fragments)
            if batch.count > 0:
                return batch
            index = index + 1 if index + 1 < count else 0
        return batch

    def messages(self, timeout: float | None = None):
        """Iterate over messages, waiting for each at most ``timeout`` seconds (None: for ever).

        ``for message in subscription.messages(timeout=1): use(message.buffer)``: the buffer
        is valid until the next step. Ends when nothing came in time; raises
        SubscriptionClosedError when the subscription is closed meanwhile. Leaving the loop
        loses nothing: the next poll begins behind the last message yielded.
        """
        conductor = self.conductor
        batch: Batch
        image: Image
        index: cython.Py_ssize_t
        while True:
            batch = self.poll_batch(64)
            if batch.count == 0:
                waiter = conductor.waiter(timeout)
                while batch.count == 0:
                    if self.state.closed != 0:
                        self._raise_closed()
                    if not waiter.idle():
                        return
                    batch = self.poll_batch(64)
            image = cast(Image, batch._image)
            for index in range(batch.count):
                # Only what was yielded counts as read, should the loop be left here.
                image.state.read_position = batch.end_position(index)
                yield Message(batch, index)
                if batch.generation != image.batch_generation:
                    break  # polled by someone else in between: go on from where that ended

    def _take_turns(self) -> list:
        images: tuple = self._images
        if not images and self.state.closed != 0:
            self._raise_closed()
        start = self.next_start(len(images))
        return [*images[start:], *images[:start]]

    @cfunc
    @exceptval(check=False)
    def next_start(self, count: cython.Py_ssize_t) -> cython.Py_ssize_t:
        index: int32_t = self.state.round_robin_index
        if index >= count:
            index = 0
        self.state.round_robin_index = index + 1
        return index

    # --- what it is ----------------------------------------------------------------------

    @property
    def images(self) -> tuple:
        """The publishers' streams at this moment."""
        return self._images

    @property
    def image_count(self) -> int:
        """How many publishers there are."""
        return len(self._images)

    def image_by_session_id(self, session_id: int):
        """The image of a session, or None."""
        for image in self._images:
            if image.session_id == session_id:
                return image
        return None

    @property
    def is_connected(self) -> bool:
        """Whether a publisher is there."""
        return any(not image.is_closed for image in self._images)

    @property
    def is_closed(self) -> bool:
        """Whether the subscription, or its client, was closed."""
        return load_acquire_i32(address(self.state.closed)) != 0

    @property
    def channel_status(self):
        """State of the receiving media, a ChannelStatus."""
        return self.conductor.channel_status(self.channel_status_id, self.is_closed)

    @property
    def local_socket_addresses(self) -> list:
        """``host:port`` of each bound socket; empty while it is not bound, and for IPC."""
        return self.conductor.local_socket_addresses(self.channel_status_id)

    @property
    def resolved_endpoint(self) -> str | None:
        """``host:port`` it listens on, with the real port when 0 was asked for; None before."""
        addresses = self.conductor.local_socket_addresses(self.channel_status_id)
        return addresses[0] if addresses else None

    @property
    def resolved_channel(self) -> str | None:
        """The channel with the real port in place of port 0; None before it is bound."""
        return self.conductor.resolve_channel(self.channel, self.resolved_endpoint)

    def add_destination(self, channel: str, timeout: float | None = None) -> int:
        """Receive from one more channel too (``control-mode=manual``); its registration id."""
        return self.conductor.change_destination(self, "add-receive", channel, timeout)

    def remove_destination(self, channel: str, timeout: float | None = None) -> None:
        """Stop receiving from a channel that was added."""
        self.conductor.change_destination(self, "remove-receive", channel, timeout)

    def close(self) -> None:
        """Stop receiving and give the images back; again is harmless."""
        if not self.is_closed:
            self.conductor.remove_subscription(self)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __repr__(self):
        state = "closed" if self.is_closed else f"{len(self._images)} images"
        return f"<Subscription {self.channel} stream {self.stream_id} {state}>"

    # --- the conductor's side ------------------------------------------------------------

    @cfunc
    @exceptval(check=False)
    def set_images(self, images: tuple) -> cython.void:
        owner: ImageListOwner = ImageListOwner(images)
        if self.current is not None:
            self.retired.append(self.current)
        self.current = owner
        self._images = images
        store_release_i64(
            address(self.state.images), cast(int64_t, cast(p_void, address(owner.list)))
        )

    def _add_image(self, image) -> None:
        self.set_images((*self._images, image))

    def _remove_image(self, correlation_id: int):
        for image in self._images:
            if image.correlation_id == correlation_id:
                self.set_images(tuple(other for other in self._images if other is not image))
                image._close()
                return image
        return None

    def _close(self) -> tuple:
        """Mark it and its images closed; what the images were."""
        images = self._images
        store_release_i32(address(self.state.closed), 1)
        for image in images:
            image._close()
        self.set_images(())
        return images

    def _prune(self) -> set:
        """Free lists no poll walks any more; ids of the images that may still be in use."""
        owner: ImageListOwner
        kept = []
        in_use: int64_t = load_acquire_i64(address(self.state.images_in_use))
        for owner in self.retired:
            if cast(int64_t, cast(p_void, address(owner.list))) == in_use:
                kept.append(owner)
        self.retired = kept
        return {id(image) for owner in kept for image in cast(ImageListOwner, owner).images}

    @property
    def _available_image_handler(self):
        return self.on_available_image

    @property
    def _unavailable_image_handler(self):
        return self.on_unavailable_image

    def _raise_closed(self):
        error = self.conductor.closed_error
        raise SubscriptionClosedError(
            f"subscription to {self.channel} stream {self.stream_id} is closed"
            + (f": {error}" if error else "")
        ) from error
