/*
 * Compiled loops against the official C client, whose symbols come from the pyaeron wheel's
 * extension module (loaded first, with global visibility). Only what is called is declared here.
 * The counterpart for Volans is volans.testing.bench_loops: same loops, same idling.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void (*fragment_handler)(void *, const uint8_t *, size_t, void *);

extern const char *aeron_errmsg(void);
extern int aeron_context_init(void **context);
extern int aeron_context_set_dir(void *context, const char *directory);
extern int aeron_context_close(void *context);
extern int aeron_init(void **client, void *context);
extern int aeron_start(void *client);
extern int aeron_close(void *client);
extern int aeron_async_add_exclusive_publication(
    void **async, void *client, const char *uri, int32_t stream_id);
extern int aeron_async_add_exclusive_publication_poll(void **publication, void *async);
extern int aeron_async_add_subscription(
    void **async, void *client, const char *uri, int32_t stream_id,
    void *available, void *available_state, void *unavailable, void *unavailable_state);
extern int aeron_async_add_subscription_poll(void **subscription, void *async);
extern bool aeron_exclusive_publication_is_connected(void *publication);
extern int64_t aeron_exclusive_publication_offer(
    void *publication, const uint8_t *buffer, size_t length, void *reserved, void *state);
extern int aeron_exclusive_publication_close(void *publication, void *notify, void *state);
extern int aeron_subscription_poll(
    void *subscription, fragment_handler handler, void *state, size_t fragment_limit);
extern int aeron_subscription_close(void *subscription, void *notify, void *state);

enum { FRAGMENT_LIMIT = 64, RETRYABLE_LOWEST = -3 };
#define STALL_NS INT64_C(20000000000)

typedef struct {
    void *publication;
    void *subscription;
} stream;

typedef struct {
    void *context;
    void *client;
    stream ping;
    stream pong;
} session;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void count_message(void *state, const uint8_t *buffer, size_t length, void *header)
{
    int64_t first;
    (void)header;
    (void)length;
    memcpy(&first, buffer, sizeof(first));
    ((int64_t *)state)[0] += 1;
    ((int64_t *)state)[1] += first;
}

static int open_stream(session *self, stream *opened, const char *channel, int32_t stream_id)
{
    void *async = NULL;
    int64_t deadline = now_ns() + STALL_NS;
    int done;

    if (aeron_async_add_subscription(
        &async, self->client, channel, stream_id, NULL, NULL, NULL, NULL) < 0) return -1;
    while ((done = aeron_async_add_subscription_poll(&opened->subscription, async)) == 0) sched_yield();
    if (done < 0) return -1;
    if (aeron_async_add_exclusive_publication(&async, self->client, channel, stream_id) < 0) return -1;
    while ((done = aeron_async_add_exclusive_publication_poll(&opened->publication, async)) == 0)
        sched_yield();
    if (done < 0) return -1;
    while (!aeron_exclusive_publication_is_connected(opened->publication)) {
        if (now_ns() > deadline) return -1;
        sched_yield();
    }
    return 0;
}

const char *bench_error(void)
{
    return aeron_errmsg();
}

/* A client with a stream to itself on `channel`, and one for answers on `answers` if not empty. */
session *bench_open(const char *directory, const char *channel, const char *answers, int32_t stream_id)
{
    session *self = calloc(1, sizeof(session));
    if (aeron_context_init(&self->context) < 0 ||
        aeron_context_set_dir(self->context, directory) < 0 ||
        aeron_init(&self->client, self->context) < 0 ||
        aeron_start(self->client) < 0 ||
        open_stream(self, &self->ping, channel, stream_id) < 0 ||
        (answers[0] != 0 && open_stream(self, &self->pong, answers, stream_id + 1) < 0)) {
        return NULL;
    }
    return self;
}

void bench_close(session *self)
{
    stream *streams[2] = {&self->ping, &self->pong};
    for (int i = 0; i < 2; i++) {
        if (streams[i]->publication) aeron_exclusive_publication_close(streams[i]->publication, NULL, NULL);
        if (streams[i]->subscription) aeron_subscription_close(streams[i]->subscription, NULL, NULL);
    }
    aeron_close(self->client);
    aeron_context_close(self->context);
    free(self);
}

/* 0 when offered; waits out back pressure; -1 for a terminal result or no progress. */
static int offer_waiting(void *publication, const uint8_t *message, size_t size)
{
    int64_t deadline = 0;
    for (int64_t spins = 0;; spins++) {
        int64_t position = aeron_exclusive_publication_offer(publication, message, size, NULL, NULL);
        if (position > 0) return 0;
        if (position < RETRYABLE_LOWEST) return -1;
        if ((spins & 1023) == 1023) {
            if (deadline == 0) deadline = now_ns() + STALL_NS;
            else if (now_ns() > deadline) return -1;
        }
        sched_yield();
    }
}

static int poll_until(void *subscription, int64_t *state, int64_t count, size_t limit)
{
    int64_t deadline = 0;
    for (int64_t spins = 0; state[0] < count;) {
        if (aeron_subscription_poll(subscription, count_message, state, limit) > 0) {
            spins = 0;
            deadline = 0;
            continue;
        }
        if ((++spins & 1023) == 1023) {
            if (deadline == 0) deadline = now_ns() + STALL_NS;
            else if (now_ns() > deadline) return -1;
        }
        sched_yield();
    }
    return 0;
}

typedef struct {
    session *self;
    int64_t count;
    int64_t size;
    int64_t end_ns;
    int result;
} task;

static void *subscriber_thread(void *argument)
{
    task *work = argument;
    int64_t state[2] = {0, 0};
    work->result = poll_until(work->self->ping.subscription, state, work->count, FRAGMENT_LIMIT);
    work->end_ns = now_ns();
    return NULL;
}

/* Nanoseconds from the first offer to the last message handled; -1 if it stalled. */
int64_t bench_one_way(session *self, int64_t count, int64_t size)
{
    uint8_t *message = calloc(1, (size_t)size + 8);
    task work = {self, count, size, 0, 0};
    pthread_t thread;
    int failed = 0;

    pthread_create(&thread, NULL, subscriber_thread, &work);
    int64_t start_ns = now_ns();
    for (int64_t i = 0; i < count && !failed; i++) {
        memcpy(message, &i, sizeof(i));
        failed = offer_waiting(self->ping.publication, message, (size_t)size);
    }
    pthread_join(thread, NULL);
    free(message);
    return failed || work.result ? -1 : work.end_ns - start_ns;
}

/* One thread: offers a burst, then polls it; nanoseconds of each part. */
int bench_burst(session *self, int64_t count, int64_t size, int64_t *offer_ns, int64_t *poll_ns)
{
    uint8_t *message = calloc(1, (size_t)size + 8);
    int64_t state[2] = {0, 0};
    int failed = 0;
    int64_t start_ns = now_ns();
    for (int64_t i = 0; i < count && !failed; i++) {
        memcpy(message, &i, sizeof(i));
        failed = offer_waiting(self->ping.publication, message, (size_t)size);
    }
    int64_t middle_ns = now_ns();
    failed = failed || poll_until(self->ping.subscription, state, count, FRAGMENT_LIMIT);
    *poll_ns = now_ns() - middle_ns;
    *offer_ns = middle_ns - start_ns;
    free(message);
    return failed ? -1 : 0;
}

static void *echo_thread(void *argument)
{
    task *work = argument;
    uint8_t *message = calloc(1, (size_t)work->size + 8);
    int64_t state[2] = {0, 0};
    for (int64_t i = 0; i < work->count && work->result == 0; i++) {
        work->result = poll_until(work->self->ping.subscription, state, i + 1, 1) ||
            offer_waiting(work->self->pong.publication, message, (size_t)work->size);
    }
    free(message);
    return NULL;
}

/* Round trips one at a time against an echo thread; the time of each in `times_ns`. */
int bench_round_trips(session *self, int64_t count, int64_t size, int64_t *times_ns)
{
    uint8_t *message = calloc(1, (size_t)size + 8);
    int64_t state[2] = {0, 0};
    task work = {self, count, size, 0, 0};
    pthread_t thread;
    int failed = 0;

    pthread_create(&thread, NULL, echo_thread, &work);
    for (int64_t i = 0; i < count && !failed; i++) {
        int64_t start_ns = now_ns();
        failed = offer_waiting(self->ping.publication, message, (size_t)size) ||
            poll_until(self->pong.subscription, state, i + 1, 1);
        times_ns[i] = now_ns() - start_ns;
    }
    pthread_join(thread, NULL);
    free(message);
    return failed || work.result ? -1 : 0;
}
