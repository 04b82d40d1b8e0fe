"""The system's socket interface: only what the engines use."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #include <time.h>
    #include <unistd.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <sys/epoll.h>
    #include <netinet/in.h>
    #include <arpa/inet.h>
    #include <net/if.h>
    #ifndef VOLANS_NET_H
    #define VOLANS_NET_H
    #ifndef IPV6_MULTICAST_ALL
    #define IPV6_MULTICAST_ALL 29
    #endif
    /* Glibc types the address of these calls as a transparent union, which a generated cast cannot name. */
    static inline int volans_bind(int descriptor, const void *address, socklen_t length) {
        return bind(descriptor, (const struct sockaddr *)address, length); }
    static inline int volans_connect(int descriptor, const void *address, socklen_t length) {
        return connect(descriptor, (const struct sockaddr *)address, length); }
    static inline int volans_getsockname(int descriptor, void *address, socklen_t *length) {
        return getsockname(descriptor, (struct sockaddr *)address, length); }
    static inline ssize_t volans_sendto(int descriptor, const void *data, size_t length, int flags,
                                        const void *address, socklen_t address_length) {
        return sendto(descriptor, data, length, flags, (const struct sockaddr *)address, address_length); }
    static inline ssize_t volans_recvfrom(int descriptor, void *data, size_t length, int flags,
                                          void *address, socklen_t *address_length) {
        return recvfrom(descriptor, data, length, flags, (struct sockaddr *)address, address_length); }
    static inline int64_t volans_epoch_ns(const struct timespec *time) {
        return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec; }
    /* As recvfrom; *timestamp_ns: when the system had the datagram, 0 when it does not say. */
    static inline ssize_t volans_receive_stamped(int descriptor, void *data, size_t length, int flags,
                                                 void *address, socklen_t *address_length, int64_t *timestamp_ns) {
        union { char bytes[CMSG_SPACE(sizeof(struct timespec))]; struct cmsghdr align; } control;
        struct iovec vector = {.iov_base = data, .iov_len = length};
        struct msghdr message = {.msg_name = address, .msg_namelen = *address_length, .msg_iov = &vector,
                                 .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
        ssize_t result = recvmsg(descriptor, &message, flags);
        *timestamp_ns = 0;
        if (result >= 0) {
            struct cmsghdr *found = CMSG_FIRSTHDR(&message);
            *address_length = message.msg_namelen;
            if (found != NULL && found->cmsg_level == SOL_SOCKET && found->cmsg_type == SO_TIMESTAMPNS) {
                struct timespec time;
                memcpy(&time, CMSG_DATA(found), sizeof(time));
                *timestamp_ns = volans_epoch_ns(&time);
            }
        }
        return result; }
    static inline int64_t volans_system_epoch_ns(void) {
        struct timespec time;
        clock_gettime(CLOCK_REALTIME, &time);
        return volans_epoch_ns(&time); }
    static inline int volans_recvmmsg(int descriptor, struct mmsghdr *messages, unsigned int count, int flags) {
        return recvmmsg(descriptor, messages, count, flags, NULL); }
    static inline void *volans_epoll_pointer(const struct epoll_event *event) { return event->data.ptr; }
    static inline int volans_epoll_add(int epoll, int descriptor, void *pointer) {
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = pointer}};
        return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event); }
    static inline int volans_epoll_remove(int epoll, int descriptor) {
        struct epoll_event event = {0};
        return epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &event); }
    #endif
    """
    enum:
        AF_INET
        AF_INET6
        SOCK_DGRAM
        SOCK_NONBLOCK
        SOCK_CLOEXEC
        SOL_SOCKET
        SO_REUSEADDR
        SO_REUSEPORT
        SO_SNDBUF
        SO_RCVBUF
        SO_TIMESTAMPNS
        IPPROTO_IP
        IPPROTO_IPV6
        IP_MULTICAST_ALL
        IP_MULTICAST_IF
        IP_MULTICAST_TTL
        IP_ADD_MEMBERSHIP
        IPV6_MULTICAST_ALL
        IPV6_MULTICAST_IF
        IPV6_MULTICAST_HOPS
        IPV6_JOIN_GROUP
        MSG_DONTWAIT
        MSG_TRUNC
        EPOLL_CLOEXEC

    ctypedef unsigned int socklen_t

    struct in_addr:
        uint32_t s_addr

    struct in6_addr:
        uint8_t s6_addr[16]

    struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr

    struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id

    struct ip_mreqn:
        in_addr imr_multiaddr
        in_addr imr_address
        int imr_ifindex

    struct ipv6_mreq:
        in6_addr ipv6mr_multiaddr
        unsigned int ipv6mr_interface

    struct iovec:
        void *iov_base
        size_t iov_len

    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags

    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len

    struct epoll_event:
        uint32_t events

    uint16_t htons(uint16_t value) noexcept nogil
    uint16_t ntohs(uint16_t value) noexcept nogil
    int socket(int domain, int type, int protocol) noexcept nogil
    int close(int descriptor) noexcept nogil
    int setsockopt(int descriptor, int level, int option, const void *value, socklen_t length) noexcept nogil
    int getsockopt(int descriptor, int level, int option, void *value, socklen_t *length) noexcept nogil
    int bind "volans_bind"(int descriptor, const void *address, socklen_t length) noexcept nogil
    int connect "volans_connect"(int descriptor, const void *address, socklen_t length) noexcept nogil
    int getsockname "volans_getsockname"(int descriptor, void *address, socklen_t *length) noexcept nogil
    ssize_t sendto "volans_sendto"(int descriptor, const void *data, size_t length, int flags,
                                   const void *address, socklen_t address_length) noexcept nogil
    ssize_t recvfrom "volans_recvfrom"(int descriptor, void *data, size_t length, int flags,
                                       void *address, socklen_t *address_length) noexcept nogil
    ssize_t receive_stamped "volans_receive_stamped"(int descriptor, void *data, size_t length, int flags,
                                                     void *address, socklen_t *address_length,
                                                     int64_t *timestamp_ns) noexcept nogil
    int64_t system_epoch_ns "volans_system_epoch_ns"() noexcept nogil
    int sendmmsg(int descriptor, mmsghdr *messages, unsigned int count, int flags) noexcept nogil
    int recvmmsg "volans_recvmmsg"(int descriptor, mmsghdr *messages, unsigned int count, int flags) noexcept nogil
    int epoll_create1(int flags) noexcept nogil
    int epoll_wait(int epoll, epoll_event *events, int max_events, int timeout_ms) noexcept nogil
    int epoll_add "volans_epoll_add"(int epoll, int descriptor, void *pointer) noexcept nogil
    int epoll_remove "volans_epoll_remove"(int epoll, int descriptor) noexcept nogil
    void *epoll_pointer "volans_epoll_pointer"(const epoll_event *event) noexcept nogil
