"""Handing datagrams of a publication to the engine. Sender only."""
from libc.stdint cimport int32_t, uint8_t
from volans.driver.layout cimport NetworkPublication
from volans.driver.send_layout cimport SendRun

cdef void send_run_begin(SendRun *run, NetworkPublication *publication) noexcept nogil
# Datagrams come in the order of the term, without gaps. False once the engine takes no more (see `result`).
cdef bint send_run_add(SendRun *run, const uint8_t *data, int32_t length) noexcept nogil
# Padding follows what was added: only its header travels, so the run ends here. False as above.
cdef bint send_run_skip(SendRun *run, int32_t padding) noexcept nogil
cdef void send_run_end(SendRun *run) noexcept nogil
# One control frame, copied: 1, 0 = no room or nobody to send to (a short send, counted), -errno.
cdef int32_t send_copy(NetworkPublication *publication, const uint8_t *data, int32_t length) noexcept nogil
