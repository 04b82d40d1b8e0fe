from libc.stdint cimport int32_t, int64_t

# Open addressing, linear probing, power-of-two capacity. One thread at a time. Values are never NULL.
cdef struct Int64Map:
    int64_t *keys
    void **values
    int32_t capacity
    int32_t size

cdef int32_t int64_map_init(Int64Map *map, int32_t initial_capacity) noexcept nogil          # 0, or -1 without memory
cdef void int64_map_free(Int64Map *map) noexcept nogil
cdef void *int64_map_get(Int64Map *map, int64_t key) noexcept nogil                          # NULL when absent
cdef int32_t int64_map_put(Int64Map *map, int64_t key, void *value) noexcept nogil           # 0, or -1 without memory
cdef void *int64_map_remove(Int64Map *map, int64_t key) noexcept nogil                       # the old value or NULL

cdef inline int64_t compound_key(int32_t high, int32_t low) noexcept nogil:
    return (<int64_t>high << 32) | (<int64_t>low & <int64_t>0xFFFFFFFF)
