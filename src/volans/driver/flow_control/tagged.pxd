from volans.driver.layout cimport FlowControlOps

cdef const FlowControlOps *tagged_flow_control() noexcept nogil
