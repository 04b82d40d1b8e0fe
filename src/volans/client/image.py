# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""One publisher's stream as a subscription sees it, and the loops that read it."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.cpython.ref import Py_REFCNT
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy
from cython.cimports.volans.client.assembler import Assembler, MessageMemory
from cython.cimports.volans.client.base_image import BaseImage
from cython.cimports.volans.client.batch import Batch
from cython.cimports.volans.client.buffer import Buffer
from cython.cimports.volans.client.header import Header, make_header
from cython.cimports.volans.client.layout import OWN_REFERENCES, ImageState
from cython.cimports.volans.log.layout import ABORT, BREAK, COMMIT, CONTINUE, fragment_fn
from cython.cimports.volans.log.position import align_frame, index_by_position
from cython.cimports.volans.log.read import read_fragments, scan_block
from cython.cimports.volans.memory.atomic import (
    load_acquire_i32,
    load_acquire_i64,
    load_relaxed_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.protocol.layout import (
    DATA_FLAGS_UNFRAGMENTED,
    DATA_HEADER_LENGTH,
    FRAME_TYPE_PAD,
    DataHeader,
)

from volans.client.log_file import CorruptLogError
from volans.errors import VolansError


class ReentrantPollError(VolansError, RuntimeError):
    """A poll was begun while another one on the same image had not returned."""


@cfunc
@nogil
@exceptval(check=False)
def image_poll(
    image: pointer[ImageState], handler: fragment_fn, clientd: p_void, fragment_limit: int32_t
) -> int32_t:
    if load_acquire_i32(address(image.closed)) != 0:
        return 0
    position: int64_t = image.read_position
    fragments: int32_t = read_fragments(
        address(image.log), address(position), INT64_MAX, fragment_limit, handler, clientd
    )
    # The conductor closes an image after which its counter may belong to someone else.
    if load_acquire_i32(address(image.closed)) == 0 and position != load_relaxed_i64(
        image.subscriber_position
    ):
        store_release_i64(image.subscriber_position, position)
    image.read_position = position
    return fragments


@cython.final
@cclass
class Image(BaseImage):
    """The stream of one publication (session) as one subscription receives it.

    Attributes: ``correlation_id``, ``subscriber_position_id`` (counter), ``source_identity``
    (``address:port`` of the publisher, or ``aeron:ipc``).

    Threading: one thread polls; properties may be read by any thread.
    """

    def __init__(self, *details):
        BaseImage.__init__(self, *details)
        self.assembler = Assembler()
        self.renew()

    # --- reading -------------------------------------------------------------------------

    def poll(self, handler, limit: int32_t = 256, *, fragments: cython.bint = False) -> int:
        """Hand at most ``limit`` messages to ``handler(buffer, header)``; how many it were.

        ``fragments=True`` hands over frames as they are. An exception of the handler comes out
        of here; its message counts as read.
        """
        return self.poll_messages(handler, limit, INT64_MAX, fragments)

    def bounded_poll(
        self,
        handler,
        limit_position: int64_t,
        limit: int32_t = 256,
        *,
        fragments: cython.bint = False,
    ) -> int:
        """As :meth:`poll`, but no frame that begins at or after ``limit_position``."""
        return self.poll_messages(handler, limit, limit_position, fragments)

    def controlled_poll(
        self, handler, limit: int32_t = 256, *, fragments: cython.bint = False
    ) -> int:
        """As :meth:`poll`; the handler's result, a ControlledAction, says how to go on."""
        return self.poll_controlled(handler, limit, INT64_MAX, fragments)

    def bounded_controlled_poll(
        self,
        handler,
        limit_position: int64_t,
        limit: int32_t = 256,
        *,
        fragments: cython.bint = False,
    ) -> int:
        """:meth:`controlled_poll` up to a stream position."""
        return self.poll_controlled(handler, limit, limit_position, fragments)

    def poll_batch(self, limit: int64_t = 65536, *, fragments: cython.bint = False) -> Batch:
        """At most ``limit`` messages as one batch, in place, valid until the next poll."""
        return self.poll_batch_of(limit, fragments)

    def block_poll(self, handler, limit_bytes: int64_t = 1 << 20) -> int:
        """Hand whole frames, headers included, to ``handler(buffer, session_id, term_id)``.

        Returns the bytes consumed. A block of padding only is handed over too.
        """
        buffer: Buffer = self.buffer
        length: int64_t
        position: int64_t
        self.begin_poll()
        position = self.state.read_position
        try:
            length = self.next_block(limit_bytes)
            if length > 0:
                buffer.data = self.block_address(position)
                buffer.length = length
                position += length
                handler(buffer, self.state.session_id, self.term_id_of(position - length))
        finally:
            buffer.data = cython.NULL
            if buffer.export_count != 0 or Py_REFCNT(buffer) > OWN_REFERENCES:
                self.renew()
            self.end_poll(position)
        return length

    def raw_poll(self, handler, limit_bytes: int64_t = 1 << 20) -> int:
        """As :meth:`block_poll`: ``handler(path, file_offset, length, session_id, term_id)``."""
        length: int64_t
        position: int64_t
        self.begin_poll()
        position = self.state.read_position
        try:
            length = self.next_block(limit_bytes)
            if length > 0:
                file_offset: int64_t = self.block_address(position) - self.state.log.terms[0]
                position += length
                handler(
                    self.log_file.path,
                    file_offset,
                    length,
                    self.state.session_id,
                    self.term_id_of(position - length),
                )
        finally:
            self.end_poll(position)
        return length

    @cfunc
    @exceptval(check=False)
    @cython.inline
    def block_address(self, position: int64_t) -> pointer[uint8_t]:
        log = address(self.state.log)
        index: int32_t = index_by_position(position, log.position_bits_to_shift)
        return log.terms[index] + (cast(int32_t, position) & log.term_length_mask)

    @cfunc
    @exceptval(check=False)
    @cython.inline
    def term_id_of(self, position: int64_t) -> int32_t:
        log = address(self.state.log)
        return cast(int32_t, position >> log.position_bits_to_shift) + log.initial_term_id

    @cfunc
    @exceptval(-1, check=False)
    def next_block(self, limit_bytes: int64_t) -> int64_t:
        """Bytes of whole frames from the read position on."""
        log = address(self.state.log)
        if load_acquire_i32(address(self.state.closed)) != 0:
            return 0
        offset: int32_t = cast(int32_t, self.state.read_position) & log.term_length_mask
        limit: int64_t = offset + limit_bytes
        if limit > log.term_length:
            limit = log.term_length
        term: pointer[uint8_t] = log.terms[
            index_by_position(self.state.read_position, log.position_bits_to_shift)
        ]
        block_length: int32_t = scan_block(term, offset, cast(int32_t, limit))
        # Padding is taken whole, past the limit: nobody has compared it with the term yet.
        if block_length < 0 or block_length > log.term_length - offset:
            raise CorruptLogError(
                self.state.session_id,
                self.state.read_position,
                cast(pointer[DataHeader], term + offset).frame_length,
            )
        return block_length

    @cfunc
    @exceptval(-1, check=False)
    def poll_messages(
        self, handler: object, limit: int32_t, limit_position: int64_t, fragments: cython.bint
    ) -> int32_t:
        log = address(self.state.log)
        handled: int32_t = 0
        frame: pointer[DataHeader]
        length: int32_t
        complete: int32_t
        if not self.begin_poll():
            return 0
        buffer: Buffer = self.buffer
        header: Header = self.header
        start: int64_t = self.state.read_position
        offset: int32_t = cast(int32_t, start) & log.term_length_mask
        base: int64_t = start - offset
        end: int32_t = log.term_length
        if limit_position - base < end:
            end = cast(int32_t, limit_position - base) if limit_position > base else 0
        term: pointer[uint8_t] = log.terms[index_by_position(start, log.position_bits_to_shift)]
        try:
            while handled < limit and offset < end:
                frame = cast(pointer[DataHeader], term + offset)
                # The driver (or the publisher, for IPC) commits a frame by this word, with release.
                length = load_acquire_i32(address(frame.frame_length))
                if length <= 0:
                    break
                if length < DATA_HEADER_LENGTH or length > log.term_length - offset:
                    raise CorruptLogError(self.state.session_id, base + offset, length)
                offset += align_frame(length)
                if frame.type == FRAME_TYPE_PAD:
                    continue
                if fragments or (frame.flags & DATA_FLAGS_UNFRAGMENTED) == DATA_FLAGS_UNFRAGMENTED:
                    buffer.data = cast(pointer[uint8_t], frame) + DATA_HEADER_LENGTH
                    buffer.length = length - DATA_HEADER_LENGTH
                    header.frame = frame
                    complete = 0
                else:
                    complete = self.assembler.add(
                        cast(pointer[uint8_t], frame) + DATA_HEADER_LENGTH,
                        length - DATA_HEADER_LENGTH,
                        frame,
                        base + offset - align_frame(length),
                    )
                    if complete == 0:
                        continue
                    buffer.memory = self.assembler.memory
                    buffer.data = self.assembler.memory.data
                    buffer.length = self.assembler.length
                    header.frame = address(self.assembler.header)
                    header.end_position = base + offset
                handled += 1
                handler(buffer, header)
                buffer.data = cython.NULL
                if complete != 0:
                    if buffer.export_count != 0:
                        self.assembler.release()
                    if Py_REFCNT(header) <= OWN_REFERENCES:
                        header.end_position = -1
                if (
                    buffer.export_count != 0
                    or Py_REFCNT(buffer) > OWN_REFERENCES
                    or Py_REFCNT(header) > OWN_REFERENCES
                ):
                    # Someone keeps one of them: the next message gets new ones.
                    self.renew()
                    buffer = self.buffer
                    header = self.header
                if load_acquire_i32(address(self.state.closed)) != 0:
                    break
        finally:
            if buffer.data is not cython.NULL:
                buffer.data = cython.NULL
                if buffer.export_count != 0:
                    self.assembler.release()
                self.renew()
            self.end_poll(base + offset)
        return handled

    @cfunc
    @exceptval(-1, check=False)
    def poll_controlled(
        self, handler: object, limit: int32_t, limit_position: int64_t, fragments: cython.bint
    ) -> int32_t:
        log = address(self.state.log)
        handled: int32_t = 0
        frame: pointer[DataHeader]
        length: int32_t
        complete: int32_t
        action: int32_t
        frame_offset: int32_t
        if not self.begin_poll():
            return 0
        buffer: Buffer = self.buffer
        header: Header = self.header
        start: int64_t = self.state.read_position
        offset: int32_t = cast(int32_t, start) & log.term_length_mask
        base: int64_t = start - offset
        end: int32_t = log.term_length
        if limit_position - base < end:
            end = cast(int32_t, limit_position - base) if limit_position > base else 0
        term: pointer[uint8_t] = log.terms[index_by_position(start, log.position_bits_to_shift)]
        try:
            while handled < limit and offset < end:
                frame = cast(pointer[DataHeader], term + offset)
                length = load_acquire_i32(address(frame.frame_length))
                if length <= 0:
                    break
                if length < DATA_HEADER_LENGTH or length > log.term_length - offset:
                    raise CorruptLogError(self.state.session_id, base + offset, length)
                frame_offset = offset
                offset += align_frame(length)
                if frame.type == FRAME_TYPE_PAD:
                    continue
                if fragments or (frame.flags & DATA_FLAGS_UNFRAGMENTED) == DATA_FLAGS_UNFRAGMENTED:
                    buffer.data = cast(pointer[uint8_t], frame) + DATA_HEADER_LENGTH
                    buffer.length = length - DATA_HEADER_LENGTH
                    header.frame = frame
                    complete = 0
                else:
                    complete = self.assembler.add(
                        cast(pointer[uint8_t], frame) + DATA_HEADER_LENGTH,
                        length - DATA_HEADER_LENGTH,
                        frame,
                        base + frame_offset,
                    )
                    if complete == 0:
                        continue
                    buffer.memory = self.assembler.memory
                    buffer.data = self.assembler.memory.data
                    buffer.length = self.assembler.length
                    header.frame = address(self.assembler.header)
                    header.end_position = base + offset
                handled += 1
                result = handler(buffer, header)
                action = CONTINUE if result is None else int(result)
                buffer.data = cython.NULL
                if complete != 0:
                    if action == ABORT:
                        if Py_REFCNT(header) > OWN_REFERENCES:
                            header.detach()
                        if buffer.export_count != 0:
                            copy_message(self.assembler)
                        self.assembler.undo_last(frame)
                    elif buffer.export_count != 0:
                        self.assembler.release()
                    if Py_REFCNT(header) <= OWN_REFERENCES:
                        header.end_position = -1
                if (
                    buffer.export_count != 0
                    or Py_REFCNT(buffer) > OWN_REFERENCES
                    or Py_REFCNT(header) > OWN_REFERENCES
                ):
                    self.renew()
                    buffer = self.buffer
                    header = self.header
                if action == CONTINUE:
                    pass
                elif action == ABORT:
                    handled -= 1
                    offset = frame_offset
                    break
                elif action == BREAK:
                    break
                elif action == COMMIT:
                    self.state.read_position = base + offset
                    if load_acquire_i32(address(self.state.closed)) == 0:
                        store_release_i64(self.state.subscriber_position, base + offset)
                else:
                    raise ValueError(
                        f"a controlled handler returned {result!r}: not a ControlledAction or None"
                    )
                if load_acquire_i32(address(self.state.closed)) != 0:
                    break
        finally:
            if buffer.data is not cython.NULL or buffer.export_count != 0:
                buffer.data = cython.NULL
                if buffer.export_count != 0:
                    self.assembler.release()
                self.renew()
            self.end_poll(base + offset)
        return handled

    @cfunc
    def poll_batch_of(self, limit: int64_t, fragments: cython.bint) -> Batch:
        batch: Batch = Batch.__new__(Batch)
        may_read: cython.bint = self.begin_poll()
        batch._image = self
        batch.current_generation = address(self.batch_generation)
        batch.generation = self.batch_generation
        batch.equal_length = -1
        batch.position = self.state.read_position
        if not may_read:
            return batch
        try:
            batch.fill(address(self.state), self.assembler, limit, fragments)
        finally:
            # The counter stays behind until the next poll: the frames must not be reused yet.
            self.state.read_position = batch.position
            self.in_poll = False
            if batch.memory is None:
                batch.log_file = self.log_file
            if batch.count == 0 or self.release_pending:
                self.end_poll(batch.position)
        return batch

    # --- life cycle ----------------------------------------------------------------------

    @cfunc
    @exceptval(-1, check=False)
    def begin_poll(self) -> cython.bint:
        if self.in_poll:
            raise ReentrantPollError(
                "the image is being polled: do not poll it from its own handler or a second thread"
            )
        self.batch_generation += 1
        if load_acquire_i32(address(self.state.closed)) != 0:
            return False
        # A batch was out: the publisher may have its space now. The driver reads with acquire.
        if load_relaxed_i64(self.state.subscriber_position) != self.state.read_position:
            store_release_i64(self.state.subscriber_position, self.state.read_position)
        self.in_poll = True
        return True

    @cfunc
    @exceptval(check=False)
    def end_poll(self, position: int64_t) -> cython.void:
        self.in_poll = False
        self.state.read_position = position
        # A closed image's counter may belong to someone else already.
        if load_acquire_i32(address(self.state.closed)) == 0:
            if load_relaxed_i64(self.state.subscriber_position) != position:
                store_release_i64(self.state.subscriber_position, position)
        elif self.release_pending:
            self.release_mapping()

    @cfunc
    @exceptval(check=False)
    def renew(self) -> cython.void:
        if self.header is not None:
            self.header.detach()
        buffer: Buffer = Buffer.__new__(Buffer)
        buffer.log_file = self.log_file
        self.buffer = buffer
        self.header = make_header(
            self, self.state.log.position_bits_to_shift, self.state.log.initial_term_id
        )

    @cfunc
    @exceptval(check=False)
    def close_image(self) -> cython.void:
        if self.state.closed != 0:
            return
        self.state.final_position = self.state.read_position
        self.state.end_of_stream_position = load_acquire_i64(
            address(self.state.log.metadata.end_of_stream_position)
        )
        store_release_i32(address(self.state.closed), 1)

    def _close(self) -> None:
        self.close_image()

    def _release(self) -> None:
        self.release_mapping()

    @cfunc
    @exceptval(check=False)
    def release_mapping(self) -> cython.void:
        # The poll in progress (its handler gave the GIL away) does it at its end.
        if self.in_poll:
            self.release_pending = True
            return
        self.batch_generation += 1
        if self.header is not None:
            self.header.detach()
        self.log_file = None
        if self.buffer is not None:
            if self.buffer.export_count == 0:
                self.buffer.log_file = None
            self.buffer = Buffer.__new__(Buffer)


@cfunc
@exceptval(-1, check=False)
def copy_message(assembler: Assembler) -> cython.int:
    """Continue in new memory: the old one is looked at from outside."""
    memory: MessageMemory = MessageMemory.__new__(MessageMemory)
    if not memory.reserve(assembler.length):
        raise MemoryError(
            f"no memory for a second copy of a message of {assembler.length} bytes that was "
            f"aborted while a view of it is kept: it is lost"
        )
    memcpy(memory.data, assembler.memory.data, assembler.length)
    assembler.memory = memory
    return 0
