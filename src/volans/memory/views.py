# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Flat byte views over whatever a caller brings: the common entrance of the memory structures."""

from __future__ import annotations

import cython
from cython import cast, cfunc, exceptval, pointer
from cython.cimports.cpython.memoryview import PyMemoryView_GET_BUFFER
from cython.cimports.libc.stdint import uint8_t, uintptr_t


@cfunc
def flat_view(buffer: object, writable: cython.bint, purpose: str) -> object:
    try:
        view = memoryview(buffer)
    except TypeError:
        raise TypeError(
            f"{purpose} needs a buffer (bytearray, mmap, MappedFile, memoryview), "
            f"not {type(buffer).__name__}"
        ) from None
    if not view.c_contiguous:
        raise ValueError(f"{purpose} needs a contiguous buffer: copy it or pass an unstrided view")
    if writable and view.readonly:
        raise ValueError(f"{purpose} needs a writable buffer: {type(buffer).__name__} is read-only")
    if view.nbytes == 0:
        raise ValueError(f"{purpose} needs memory: this {type(buffer).__name__} is empty")
    if view.ndim != 1 or view.itemsize != 1 or view.format != "B":
        view = view.cast("B")
    if cast(uintptr_t, PyMemoryView_GET_BUFFER(view).buf) % 8 != 0:
        raise ValueError(
            f"{purpose} needs memory aligned to 8 bytes: begin the view at such an offset"
        )
    return view


@cfunc
@exceptval(check=False)
def view_address(view: object) -> pointer[uint8_t]:
    return cast(pointer[uint8_t], PyMemoryView_GET_BUFFER(view).buf)
