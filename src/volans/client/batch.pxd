from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.client.assembler cimport Assembler, MessageMemory
from volans.client.buffer cimport Buffer
from volans.client.layout cimport ImageState
from volans.client.log_file cimport LogFile
from volans.protocol.layout cimport DataHeader

# Messages of one image, in place: either whole frames of one term or one assembled message.
cdef class Batch:
    cdef object _image
    cdef int64_t generation
    cdef int64_t *current_generation    # in the image; differs once the batch is out of date
    cdef LogFile log_file               # None for an assembled message
    cdef MessageMemory memory           # of an assembled message
    cdef DataHeader assembled_header
    cdef const uint8_t *base
    cdef int64_t base_position          # stream position of base, unless assembled
    cdef int64_t first_offset           # of the first payload from base
    cdef int64_t *payload_offsets       # of each payload from base; NULL while the messages are equal
    cdef int32_t *payload_lengths
    cdef Py_ssize_t table_capacity
    cdef Py_ssize_t count
    cdef Py_ssize_t equal_length        # of each message, -1 when they differ
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t strides[2]
    cdef readonly int64_t position      # behind the last message
    cdef Py_ssize_t _checked(self, Py_ssize_t index) except -1
    cdef int64_t end_position(self, Py_ssize_t index) noexcept
    cdef Buffer view(self, Py_ssize_t index)
    cdef int64_t offset_of(self, Py_ssize_t index) noexcept
    cdef int32_t length_of(self, Py_ssize_t index) noexcept
    cdef int fill(self, ImageState *state, Assembler assembler, int64_t limit, bint fragments) except -1
    cdef void take_assembled(self, Assembler assembler, int64_t end_position) noexcept
    cdef int make_table(self, Py_ssize_t count) except -1
    cdef int reserve_table(self, Py_ssize_t count) except -1
