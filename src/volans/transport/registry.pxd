from libc.stdint cimport int32_t
from volans.transport.contract cimport Engine

# Owns one Engine; closes it when dropped or closed. Made by `volans.transport.registry.create(name, role=..., **options)`.
cdef class EngineHandle:
    cdef Engine *engine
    cdef object keep_alive              # e.g. the simulated network or a wrapped handle
    cdef readonly str name
    cdef readonly bint is_wrapped       # a wrapper uses the engine: it closes through the wrapper
    cdef int adopt(self, Engine *engine, str name, object keep_alive) except -1

# A handle that owns `engine`; MemoryError when that is NULL.
cdef EngineHandle wrap_engine(Engine *engine, str name, object keep_alive)
# The open engine of a handle that is about to be wrapped.
cdef int engine_to_wrap(EngineHandle handle, Engine **engine) except -1
