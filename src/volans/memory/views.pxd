from libc.stdint cimport int64_t, uint8_t

# A flat byte view of any contiguous, 8-byte aligned buffer; raises a typed error that names what the buffer is for.
cdef object flat_view(object buffer, bint writable, str purpose)
# Where the bytes of such a view begin; valid while the view lives.
cdef uint8_t *view_address(object view) noexcept
