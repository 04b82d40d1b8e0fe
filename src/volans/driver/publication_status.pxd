"""Whether a network publication is connected: asked by the sender and by the conductor."""
from libc.stdint cimport int32_t
from volans.driver.layout cimport NetworkPublication
from volans.memory.atomic cimport load_acquire_i32, store_release_i32

cdef inline bint publication_has_subscribers(NetworkPublication *publication) noexcept nogil:
    return ((load_acquire_i32(&publication.has_receivers) != 0 and load_acquire_i32(&publication.flow_control.has_required_receivers) != 0)
            or (publication.spies_simulate_connection and load_acquire_i32(&publication.has_spies) != 0))

# The log's word is the clients', the other one says what was last told to them.
cdef inline void publication_set_connected(NetworkPublication *publication, bint is_connected) noexcept nogil:
    if load_acquire_i32(&publication.is_connected) != is_connected:
        store_release_i32(&publication.log.metadata.is_connected, is_connected)
        store_release_i32(&publication.is_connected, is_connected)
