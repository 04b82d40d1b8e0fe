from libc.stdint cimport int32_t
from volans.transport.contract cimport Address, Endpoint, EndpointOptions

cdef int32_t udp_socket_open(Endpoint *endpoint, const Address *bind_to, const EndpointOptions *options) noexcept nogil
cdef int32_t udp_socket_connect(Endpoint *endpoint, const Address *peer) noexcept nogil
cdef void udp_socket_close(Endpoint *endpoint) noexcept nogil
