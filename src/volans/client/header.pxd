from libc.stdint cimport int32_t, int64_t
from volans.protocol.layout cimport DataHeader

# Where a message came from. Points into the term while its handler runs; `detach` gives it values of its own.
cdef class Header:
    cdef DataHeader *frame
    cdef DataHeader own
    cdef int64_t end_position       # of an assembled message; -1 = compute from the frame
    cdef int32_t position_bits_to_shift
    cdef int32_t first_term_id
    cdef object _image
    cdef void detach(self) noexcept

cdef Header make_header(object image, int32_t position_bits_to_shift, int32_t initial_term_id)
