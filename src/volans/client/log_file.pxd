from volans.log.layout cimport LogBuffers
from volans.memory.mapped cimport MappedFile

# A mapped log buffer file; unmapped when the last holder and the last view are gone.
cdef class LogFile:
    cdef MappedFile mapped
    cdef LogBuffers buffers
    cdef object __weakref__
    cdef void pin(self) noexcept
    cdef void unpin(self) noexcept
