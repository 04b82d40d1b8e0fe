from libc.stdint cimport int32_t
from volans.driver.layout cimport NetworkPublication

# Fills in publication.flow_control for a strategy's name ("unicast", "max", ...): 0, or -1 when there is none of that name.
cdef int32_t flow_control_open(NetworkPublication *publication, const char *name) noexcept nogil
