# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""A frame claimed in the term buffer, to be filled in place."""

from __future__ import annotations

import weakref

import cython
from cython import cast, cclass, pointer
from cython.cimports.cpython.buffer import Py_buffer, PyBuffer_FillInfo
from cython.cimports.libc.stdint import int64_t, uint8_t
from cython.cimports.volans.log.append import claim_abort, claim_commit
from cython.cimports.volans.protocol.layout import DATA_HEADER_LENGTH


class ClaimEndedError(ValueError):
    """A claim was used after it had been committed or aborted."""


@cython.no_gc_clear
@cython.final
@cclass
class Claim:
    """Space for one message inside the stream: fill ``claim.buffer``, then commit.

    ``with publication.try_claim(32) as claim: claim.buffer[:] = ...`` commits at the end and
    aborts when an exception leaves the block. A claim must end soon: subscribers wait for it
    (the driver unblocks the stream after its time-out, 15 s by default). One that is dropped
    is aborted. ``position`` is the stream position behind the message.

    Threading: one thread at a time.
    """

    def __init__(self):
        raise TypeError("claims are made by publication.try_claim")

    def __dealloc__(self):
        if self.log_file is not None and self.result.header is not cython.NULL:
            claim_abort(self.result.header, self.result.payload_length + DATA_HEADER_LENGTH)

    def __bool__(self):
        return True

    @property
    def buffer(self) -> memoryview:
        """The message's bytes, writable; released by commit and abort."""
        self._check()
        view = self.view() if self.view is not None else None
        if view is None:
            # Only a weak reference: a cycle would keep the claim from ending when it is dropped.
            view = memoryview(self)
            self.view = weakref.ref(view)
        return view

    @property
    def length(self) -> int:
        """Bytes of the message."""
        return self.result.payload_length

    @property
    def reserved_value(self) -> int:
        """The publisher's own 8 bytes in the frame header, a signed integer."""
        self._check()
        return self.result.header.reserved_value

    @reserved_value.setter
    def reserved_value(self, value: int64_t):
        self._check()
        self.result.header.reserved_value = value

    @property
    def flags(self) -> int:
        """Flags of the frame; 0xC0 for a whole message."""
        self._check()
        return self.result.header.flags

    @flags.setter
    def flags(self, value: uint8_t):
        self._check()
        self.result.header.flags = value

    def commit(self) -> None:
        """Publish the message. Raises ClaimEndedError when the claim has ended."""
        self._check()
        self._release_view()
        claim_commit(self.result.header, self.result.payload_length + DATA_HEADER_LENGTH)
        self.result.header = cython.NULL

    def abort(self) -> None:
        """Turn the space into padding nobody sees. Raises ClaimEndedError."""
        self._check()
        self._release_view()
        claim_abort(self.result.header, self.result.payload_length + DATA_HEADER_LENGTH)
        self.result.header = cython.NULL

    def _check(self):
        if self.result.header is cython.NULL:
            raise ClaimEndedError("the claim was committed or aborted: claim anew")

    def _release_view(self):
        view = self.view() if self.view is not None else None
        self.view = None
        if view is not None:
            try:
                view.release()
            except BufferError:
                # Something still exports it; the mapping stays while it does.
                pass

    def __enter__(self):
        return self

    def __exit__(self, kind, *unused):
        if self.result.header is not cython.NULL:
            if kind is None:
                self.commit()
            else:
                self.abort()

    def __len__(self):
        return self.result.payload_length

    def __getbuffer__(self, buffer: pointer[Py_buffer], flags: cython.int):
        self._check()
        PyBuffer_FillInfo(
            buffer,
            self,
            cast(cython.p_void, self.result.payload),
            self.result.payload_length,
            0,
            flags,
        )
        self.log_file.pin()

    def __releasebuffer__(self, buffer: pointer[Py_buffer]):
        self.log_file.unpin()
