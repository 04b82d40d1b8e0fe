from libc.stdint cimport int32_t, int64_t
from volans.driver.layout cimport IpcPublication

cdef int32_t ipc_update_limit(IpcPublication *publication) noexcept nogil
cdef void ipc_on_time_event(IpcPublication *publication, int64_t now_ns, int64_t now_ms) noexcept nogil
cdef void ipc_on_unreferenced(IpcPublication *publication, int64_t now_ns) noexcept nogil
cdef int64_t ipc_add_subscriber(IpcPublication *publication, int64_t *position, int32_t counter_id, int64_t subscription_registration_id,
                                bint is_tether, bint is_rejoin, int64_t now_ns) noexcept nogil    # join position
cdef int32_t ipc_remove_subscriber(IpcPublication *publication, int64_t subscription_registration_id) noexcept nogil
