"""Words to the operating system's scheduler: give the core away, name the thread."""

cdef extern from *:
    """
    #ifndef VOLANS_SCHEDULER_H
    #define VOLANS_SCHEDULER_H
    #include <sched.h>
    #if defined(__linux__)
    #include <sys/prctl.h>
    #endif
    static inline void thread_yield(void) { (void)sched_yield(); }
    /* Names the calling thread for top, perf and gdb; the kernel keeps the first 15 bytes. */
    static inline void thread_set_name(const char *name) {
    #if defined(__linux__)
        (void)prctl(PR_SET_NAME, (unsigned long)name, 0, 0, 0);
    #else
        (void)name;
    #endif
    }
    #endif
    """
    void thread_yield() noexcept nogil
    void thread_set_name(const char *name) noexcept nogil
