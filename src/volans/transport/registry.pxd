from volans.transport.contract cimport Engine

# Owns one Engine; closes it when dropped or closed. Made by `volans.transport.registry.create(name, role, options)`.
cdef class EngineHandle:
    cdef Engine *engine
    cdef object keep_alive              # e.g. the simulated network or a wrapped handle
    cdef readonly str name
