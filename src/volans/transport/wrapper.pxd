from libc.stdint cimport int32_t
from volans.transport.contract cimport Engine, EngineOps

# Operations that only pass through to engine.inner; a wrapper overwrites those it changes.
cdef void wrapper_fill_ops(EngineOps *ops) noexcept nogil
cdef Engine *wrapper_new(const EngineOps *ops, Engine *inner, void *private_state) noexcept nogil
# Before a call: the inner engine's clock. After it: the inner engine's counts.
cdef Engine *wrapper_enter(Engine *engine) noexcept nogil
cdef void wrapper_leave(Engine *engine) noexcept nogil
