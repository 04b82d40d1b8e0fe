from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.client.base_image cimport BaseImage
from volans.client.assembler cimport Assembler, MessageMemory
from volans.client.batch cimport Batch
from volans.client.buffer cimport Buffer
from volans.client.header cimport Header
from volans.client.layout cimport ImageState
from volans.client.log_file cimport LogFile
from volans.log.layout cimport fragment_fn
from volans.protocol.layout cimport DataHeader

# Polls one image without Python: raw fragments. The caller keeps the Image object alive and polls from one thread at a time.
cdef int32_t image_poll(ImageState *image, fragment_fn handler, void *clientd, int32_t fragment_limit) noexcept nogil

cdef class Image(BaseImage):
    cdef Assembler assembler
    cdef Buffer buffer              # reused for every message unless someone keeps it
    cdef Header header
    cdef bint in_poll
    cdef bint release_pending
    cdef int64_t batch_generation   # a batch is valid while its number is this
    cdef int32_t poll_messages(self, object handler, int32_t limit, int64_t limit_position, bint fragments) except -1
    cdef int32_t poll_controlled(self, object handler, int32_t limit, int64_t limit_position, bint fragments) except -1
    cdef Batch poll_batch_of(self, int64_t limit, bint fragments)
    cdef int64_t next_block(self, int64_t limit_bytes) except -1
    cdef bint begin_poll(self) except -1
    cdef void end_poll(self, int64_t position) noexcept
    cdef void renew(self) noexcept
    cdef void close_image(self) noexcept
    cdef void release_mapping(self) noexcept
    cdef uint8_t *block_address(self, int64_t position) noexcept
    cdef int32_t term_id_of(self, int64_t position) noexcept
