"""Loads, stores and read-modify-writes on shared words, with their memory order in the name.

Thin always-inlined wrappers over the GCC/Clang ``__atomic`` built-ins. A call site reads
``store_release_i32(address(header.frame_length), length)``: what is written, where, with
which fence. On x86-64 an acquire load and a release store are plain moves; the order still
binds the compiler, and it binds the processor on AArch64.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from *:
    """
    #include <stdint.h>
    #ifndef VOLANS_ATOMIC_H
    #define VOLANS_ATOMIC_H
    #define VOLANS_ATOMIC static inline __attribute__((always_inline))
    VOLANS_ATOMIC int32_t load_acquire_i32(const int32_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    VOLANS_ATOMIC int64_t load_acquire_i64(const int64_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    VOLANS_ATOMIC uint8_t load_acquire_u8(const uint8_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    VOLANS_ATOMIC int32_t load_relaxed_i32(const int32_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
    VOLANS_ATOMIC int64_t load_relaxed_i64(const int64_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
    VOLANS_ATOMIC void store_release_i32(int32_t *at, int32_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
    VOLANS_ATOMIC void store_release_i64(int64_t *at, int64_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
    VOLANS_ATOMIC void store_release_u8(uint8_t *at, uint8_t value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); }
    VOLANS_ATOMIC void store_relaxed_i32(int32_t *at, int32_t value) { __atomic_store_n(at, value, __ATOMIC_RELAXED); }
    VOLANS_ATOMIC void store_relaxed_i64(int64_t *at, int64_t value) { __atomic_store_n(at, value, __ATOMIC_RELAXED); }
    /* Sequentially consistent store: for words read by a thread that then looks at another word (Dekker style). */
    VOLANS_ATOMIC void store_volatile_i64(int64_t *at, int64_t value) { __atomic_store_n(at, value, __ATOMIC_SEQ_CST); }
    VOLANS_ATOMIC int64_t fetch_add_i64(int64_t *at, int64_t delta) { return __atomic_fetch_add(at, delta, __ATOMIC_ACQ_REL); }
    VOLANS_ATOMIC int32_t fetch_add_i32(int32_t *at, int32_t delta) { return __atomic_fetch_add(at, delta, __ATOMIC_ACQ_REL); }
    /* 1 when *at held expected and now holds desired, else 0. */
    VOLANS_ATOMIC int cas_i64(int64_t *at, int64_t expected, int64_t desired) {
        return __atomic_compare_exchange_n(at, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
    VOLANS_ATOMIC int cas_i32(int32_t *at, int32_t expected, int32_t desired) {
        return __atomic_compare_exchange_n(at, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
    VOLANS_ATOMIC void fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
    VOLANS_ATOMIC void fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
    VOLANS_ATOMIC void fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    /* Single-writer counter: the owner adds, others only read. */
    VOLANS_ATOMIC void counter_add(int64_t *at, int64_t delta) {
        __atomic_store_n(at, __atomic_load_n(at, __ATOMIC_RELAXED) + delta, __ATOMIC_RELEASE); }
    /* Raise *at to value if it is larger; single writer. 1 when it moved. */
    VOLANS_ATOMIC int propose_max_i64(int64_t *at, int64_t value) {
        if (__atomic_load_n(at, __ATOMIC_RELAXED) < value) { __atomic_store_n(at, value, __ATOMIC_RELEASE); return 1; }
        return 0; }
    /* Ask for a cache line that will be written soon, from whichever core holds it. Never faults. */
    VOLANS_ATOMIC void prefetch_for_writing(const void *at) { __builtin_prefetch(at, 1, 3); }
    VOLANS_ATOMIC void cpu_pause(void) {
    #if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
    #elif defined(__aarch64__)
        __asm__ __volatile__("yield" ::: "memory");
    #endif
    }
    #endif
    """
    int32_t load_acquire_i32(const int32_t *at) noexcept nogil
    int64_t load_acquire_i64(const int64_t *at) noexcept nogil
    uint8_t load_acquire_u8(const uint8_t *at) noexcept nogil
    int32_t load_relaxed_i32(const int32_t *at) noexcept nogil
    int64_t load_relaxed_i64(const int64_t *at) noexcept nogil
    void store_release_i32(int32_t *at, int32_t value) noexcept nogil
    void store_release_i64(int64_t *at, int64_t value) noexcept nogil
    void store_release_u8(uint8_t *at, uint8_t value) noexcept nogil
    void store_relaxed_i32(int32_t *at, int32_t value) noexcept nogil
    void store_relaxed_i64(int64_t *at, int64_t value) noexcept nogil
    void store_volatile_i64(int64_t *at, int64_t value) noexcept nogil
    int64_t fetch_add_i64(int64_t *at, int64_t delta) noexcept nogil
    int32_t fetch_add_i32(int32_t *at, int32_t delta) noexcept nogil
    int cas_i64(int64_t *at, int64_t expected, int64_t desired) noexcept nogil
    int cas_i32(int32_t *at, int32_t expected, int32_t desired) noexcept nogil
    void fence_acquire() noexcept nogil
    void fence_release() noexcept nogil
    void fence_full() noexcept nogil
    void counter_add(int64_t *at, int64_t delta) noexcept nogil
    int propose_max_i64(int64_t *at, int64_t value) noexcept nogil
    void prefetch_for_writing(const void *at) noexcept nogil
    void cpu_pause() noexcept nogil
