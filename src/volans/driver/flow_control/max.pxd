from volans.driver.layout cimport FlowControlOps

cdef const FlowControlOps *max_flow_control() noexcept nogil
