from volans.driver.layout cimport FlowControlOps

cdef const FlowControlOps *unicast_flow_control() noexcept nogil
