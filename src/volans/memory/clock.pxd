"""Clock reads. Only the shells (agent runners, the client's outer loop, commands) may cimport this: below them time is an argument."""
from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <time.h>
    #include <stdint.h>
    #ifndef VOLANS_CLOCK_H
    #define VOLANS_CLOCK_H
    static inline int64_t volans_clock(clockid_t id) {
        struct timespec t; clock_gettime(id, &t); return (int64_t)t.tv_sec * 1000000000LL + t.tv_nsec; }
    static inline int64_t monotonic_ns(void) { return volans_clock(CLOCK_MONOTONIC); }
    static inline int64_t epoch_ns(void) { return volans_clock(CLOCK_REALTIME); }
    static inline int64_t epoch_ms(void) { return volans_clock(CLOCK_REALTIME) / 1000000LL; }
    static inline void sleep_ns(int64_t ns) {
        struct timespec t = { ns / 1000000000LL, ns % 1000000000LL }; nanosleep(&t, 0); }
    #endif
    """
    int64_t monotonic_ns() noexcept nogil
    int64_t epoch_ns() noexcept nogil
    int64_t epoch_ms() noexcept nogil
    void sleep_ns(int64_t ns) noexcept nogil
