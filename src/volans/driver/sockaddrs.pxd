"""Addresses between Python (sockaddr bytes) and the structs of agents."""
from volans.transport.contract cimport Address

cdef object set_address(Address *target, bytes sockaddr)        # None or b"": none; raises ValueError
cdef bytes get_address(const Address *source)
