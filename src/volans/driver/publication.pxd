"""A network publication, sender's side. Its other sides: publication_feedback, publication_pacing."""
from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport NetworkPublication

cdef int32_t publication_send(NetworkPublication *publication, int64_t now_ns) noexcept nogil        # bytes queued, or -errno
