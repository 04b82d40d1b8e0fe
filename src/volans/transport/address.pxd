"""Socket addresses in place."""
from libc.stdint cimport int32_t, uint16_t, uint32_t
from volans.transport.contract cimport Address

cdef int32_t address_family(const Address *address) noexcept nogil
cdef uint16_t address_port(const Address *address) noexcept nogil
cdef void address_set_port(Address *address, uint16_t port) noexcept nogil
cdef bint address_is_multicast(const Address *address) noexcept nogil
cdef bint address_is_wildcard(const Address *address) noexcept nogil
cdef bint address_is_loopback(const Address *address) noexcept nogil
cdef bint address_same_host(const Address *one, const Address *other) noexcept nogil
cdef bint address_equal(const Address *one, const Address *other) noexcept nogil
cdef void address_wildcard_of(Address *out, int32_t family, uint16_t port) noexcept nogil
cdef int address_from_text(Address *out, str host, int32_t port, int32_t scope_id=*) except -1
cdef object address_to_text(const Address *address)
