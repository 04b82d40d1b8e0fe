from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.client.log_file cimport LogFile

# The bytes of the message a handler sees. The poll fills it in and empties it after each handler.
cdef class Buffer:
    cdef const uint8_t *data        # NULL = the handler has returned
    cdef Py_ssize_t length
    cdef Py_ssize_t export_count    # memoryviews and the like taken from it
    cdef LogFile log_file           # pinned while there are exports
    cdef object memory              # owner of an assembled message, else None
    cdef Py_ssize_t _checked(self, Py_ssize_t offset, Py_ssize_t width) except -1

cdef Buffer make_buffer(const uint8_t *data, Py_ssize_t length, LogFile log_file, object memory)
