# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Congestion controls by name. A new one is one file and one line here."""

from __future__ import annotations

import cython
from cython import cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.string import strcmp
from cython.cimports.volans.driver.congestion.cubic import cubic_open
from cython.cimports.volans.driver.congestion.static_window import static_window_open
from cython.cimports.volans.driver.layout import PublicationImage


@cfunc
@nogil
@exceptval(check=False)
def congestion_control_open(
    image: pointer[PublicationImage],
    name: cython.p_const_char,
    receiver_window_length: int32_t,
    now_ns: int64_t,
) -> int32_t:
    if strcmp(name, b"static") == 0:
        static_window_open(image, receiver_window_length)
        return 0
    if strcmp(name, b"cubic") == 0:
        return 0 if cubic_open(image, receiver_window_length, now_ns) == 0 else -2
    return -1
