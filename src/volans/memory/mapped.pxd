from libc.stdint cimport int64_t, uint8_t

cdef class MappedFile:
    cdef uint8_t *memory            # NULL once closed and no view is left
    cdef readonly int64_t length
    cdef readonly str path
    cdef readonly bint read_only
    cdef int64_t export_count       # buffer-protocol views and pins that hold the mapping
    cdef bint close_requested
    cdef void pin(self) noexcept
    cdef void unpin(self) noexcept
    cdef void unmap(self) noexcept
