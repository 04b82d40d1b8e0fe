from libc.stdint cimport int32_t
from volans.driver.layout cimport NetworkPublication

# Begins the strategy of that name ("unicast", "max", "min", "tagged") with the settings in publication.flow_control:
# 0; -1 when there is none of that name, -2 without memory.
cdef int32_t flow_control_open(NetworkPublication *publication, const char *name) noexcept nogil
