from volans.driver.layout cimport FlowControlOps

cdef const FlowControlOps *min_flow_control() noexcept nogil
