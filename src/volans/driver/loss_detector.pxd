from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport DriverShared, LossDetector
from volans.log.layout cimport LogBuffers

# Before the first scan; delays are already set.
cdef void loss_detector_init(LossDetector *detector) noexcept nogil
# Looks for the first gap of the term between the two positions. Returns the term offset up to which the term is whole.
# *loss_found = 1 for a gap not seen before; *is_due = 1 when the active gap is to be asked for (or filled) now.
cdef int32_t loss_detector_scan(LossDetector *detector, LogBuffers *log, int64_t rebuild_position, int64_t hwm_position, int64_t now_ns,
                                DriverShared *shared, int32_t *loss_found, int32_t *is_due) noexcept nogil
# How long to wait before asking for a gap: fixed, or drawn so that few members of a group ask for the same one.
cdef int64_t feedback_delay_ns(LossDetector *detector, DriverShared *shared, bint is_retry) noexcept nogil
