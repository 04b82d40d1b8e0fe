from libc.stdint cimport int32_t, int64_t, uint8_t
from volans.memory.layout cimport CountersView

cdef int64_t *counter_value_address(CountersView *view, int32_t counter_id) noexcept nogil
cdef int32_t counter_state(CountersView *view, int32_t counter_id) noexcept nogil     # acquire
cdef int32_t counter_type_id(CountersView *view, int32_t counter_id) noexcept nogil
cdef int64_t counter_registration_id(CountersView *view, int32_t counter_id) noexcept nogil   # acquire
# First allocated counter of a type with a registration id, or NULL_VALUE.
cdef int32_t find_counter(CountersView *view, int32_t type_id, int64_t registration_id) noexcept nogil

cdef class CountersReader:
    cdef CountersView view
    cdef object owner               # keeps the memory alive (MappedFile, bytearray, ...)
    cdef readonly bint read_only    # the values lie in memory that must not be written

cdef class CountersManager(CountersReader):
    cdef list free_list             # (deadline_ms, counter_id), oldest first
    cdef int32_t high_water_mark_id
    cdef readonly int64_t free_to_reuse_timeout_ms
    cdef object epoch_clock_ms      # callable returning the time an allocation or a free happens at
    cdef object adopt_records(self)
    cdef int32_t next_id(self) except? -1
    cdef int32_t allocated_id(self, object counter_id) except? -1

cdef class AtomicCounter:
    cdef int64_t *value_address
    cdef CountersReader counters    # keeps the memory alive
    cdef readonly int32_t id
    cdef int require_writable(self) except -1
