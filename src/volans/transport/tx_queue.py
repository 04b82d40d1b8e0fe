# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Datagrams waiting for the next flush, held as the runs they were offered in.

A run stays one entry however many datagrams it has, so queueing 64 datagrams out of a term
buffer costs one entry. Copied datagrams live in scratch slots that belong to the queue.
"""

from __future__ import annotations

import cython
from cython import address, cast, cfunc, exceptval, nogil, pointer, sizeof
from cython.cimports.libc.errno import EINVAL, EMSGSIZE, ENOMEM
from cython.cimports.libc.stdint import int32_t, int64_t, uint8_t, uintptr_t
from cython.cimports.libc.stdlib import calloc, free, malloc
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.transport.contract import MAX_DATAGRAM_LENGTH, Address, Endpoint
from cython.cimports.volans.transport.layout import TX_SCRATCH_LENGTH, TxQueue, TxRun


@cfunc
@nogil
@exceptval(check=False)
def tx_queue_init(queue: pointer[TxQueue], capacity: int32_t) -> int32_t:
    i: int32_t
    memset(queue, 0, sizeof(TxQueue))
    queue.runs = cast(pointer[TxRun], calloc(capacity, sizeof(TxRun)))
    queue.scratch = cast(
        pointer[uint8_t], malloc(cast(cython.size_t, capacity) * TX_SCRATCH_LENGTH)
    )
    queue.free_slots = cast(pointer[int32_t], malloc(capacity * sizeof(int32_t)))
    if queue.runs is cython.NULL or queue.scratch is cython.NULL or queue.free_slots is cython.NULL:
        tx_queue_free(queue)
        return -ENOMEM
    for i in range(capacity):
        queue.free_slots[i] = capacity - 1 - i
    queue.free_slot_count = capacity
    queue.capacity = capacity
    return 0


@cfunc
@nogil
@exceptval(check=False)
def tx_queue_free(queue: pointer[TxQueue]) -> cython.void:
    i: int32_t
    for i in range(queue.run_count):
        give_back(queue, address(queue.runs[i]))
    free(queue.runs)
    free(queue.scratch)
    free(queue.free_slots)
    memset(queue, 0, sizeof(TxQueue))


@cfunc
@nogil
@exceptval(check=False)
def give_back(queue: pointer[TxQueue], run: pointer[TxRun]) -> cython.void:
    offset: int64_t
    if run.owned is cython.NULL:
        return
    offset = cast(int64_t, cast(uintptr_t, run.owned) - cast(uintptr_t, queue.scratch))
    if 0 <= offset < cast(int64_t, queue.capacity) * TX_SCRATCH_LENGTH:
        queue.free_slots[queue.free_slot_count] = cast(int32_t, offset // TX_SCRATCH_LENGTH)
        queue.free_slot_count += 1
    else:
        free(run.owned)
    run.owned = cython.NULL


@cfunc
@nogil
@exceptval(check=False)
def tx_run_length(run: pointer[cython.const[TxRun]], index: int32_t) -> int32_t:
    return run.segment_length if index < run.segment_count - 1 else run.last_length


@cfunc
@nogil
@exceptval(check=False)
def append(
    queue: pointer[TxQueue],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
) -> pointer[TxRun]:
    run: pointer[TxRun] = address(queue.runs[queue.run_count])
    queue.run_count += 1
    run.endpoint = endpoint
    run.owned = cython.NULL
    run.done = 0
    if destination is cython.NULL:
        run.destination.length = 0
    else:
        run.destination = destination[0]
    return run


@cfunc
@nogil
@exceptval(check=False)
def tx_queue_run(
    queue: pointer[TxQueue],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    base: pointer[cython.const[uint8_t]],
    segment_length: int32_t,
    segment_count: int32_t,
    last_length: int32_t,
) -> int32_t:
    run: pointer[TxRun]
    accepted: int32_t = queue.capacity - queue.datagram_count
    if segment_count < 1 or segment_length < 0 or last_length < 0:
        return -EINVAL
    if segment_length > MAX_DATAGRAM_LENGTH or last_length > MAX_DATAGRAM_LENGTH:
        return -EMSGSIZE
    if accepted > segment_count:
        accepted = segment_count
    if accepted == 0:
        return 0
    run = append(queue, endpoint, destination)
    run.base = base
    run.segment_length = segment_length
    run.segment_count = accepted
    run.last_length = last_length if accepted == segment_count else segment_length
    queue.datagram_count += accepted
    return accepted


@cfunc
@nogil
@exceptval(check=False)
def tx_queue_copy(
    queue: pointer[TxQueue],
    endpoint: pointer[Endpoint],
    destination: pointer[cython.const[Address]],
    data: pointer[cython.const[uint8_t]],
    length: int32_t,
) -> int32_t:
    run: pointer[TxRun]
    copy: pointer[uint8_t]
    if length < 0:
        return -EINVAL
    if length > MAX_DATAGRAM_LENGTH:
        return -EMSGSIZE
    if queue.datagram_count >= queue.capacity:
        return 0
    if length <= TX_SCRATCH_LENGTH:
        # There are as many slots as datagrams, so one is free.
        queue.free_slot_count -= 1
        copy = (
            queue.scratch
            + cast(cython.size_t, queue.free_slots[queue.free_slot_count]) * TX_SCRATCH_LENGTH
        )
    else:
        copy = cast(pointer[uint8_t], malloc(length))
        if copy is cython.NULL:
            return -ENOMEM
    memcpy(copy, data, length)
    run = append(queue, endpoint, destination)
    run.base = copy
    run.owned = copy
    run.segment_length = length
    run.segment_count = 1
    run.last_length = length
    queue.datagram_count += 1
    return 1


@cfunc
@nogil
@exceptval(check=False)
def cut(queue: pointer[TxQueue], run: pointer[TxRun], count: int32_t) -> cython.void:
    """Keep the first `count` datagrams of the run."""
    queue.datagram_count -= run.segment_count - count
    if count < run.segment_count:
        run.last_length = run.segment_length
    run.segment_count = count


@cfunc
@nogil
@exceptval(check=False)
def tx_queue_forget(
    queue: pointer[TxQueue], base: pointer[cython.const[uint8_t]], length: int64_t
) -> cython.void:
    run: pointer[TxRun]
    i: int32_t
    index: int32_t
    first: int32_t
    after: int32_t
    start: int64_t
    datagram_length: int32_t
    for i in range(queue.run_count):
        run = address(queue.runs[i])
        if run.owned is not cython.NULL:
            continue
        first = -1
        after = -1
        for index in range(run.done, run.segment_count):
            start = cast(int64_t, cast(uintptr_t, run.base) - cast(uintptr_t, base))
            start += cast(int64_t, index) * run.segment_length
            datagram_length = tx_run_length(run, index)
            if datagram_length > 0 and start < length and start + datagram_length > 0:
                if first < 0:
                    first = index
                after = index + 1
        if first < 0:
            continue
        if first == run.done and after < run.segment_count:
            queue.datagram_count -= after - run.done
            run.done = after
        else:
            # A run lies in one log. Should the range end inside it, what follows goes too: that
            # memory's owner is leaving, and a lost datagram is repaired, a stray read is not.
            cut(queue, run, first)
    tx_queue_compact(queue)


@cfunc
@nogil
@exceptval(check=False)
def tx_queue_forget_endpoint(queue: pointer[TxQueue], endpoint: pointer[Endpoint]) -> cython.void:
    run: pointer[TxRun]
    i: int32_t
    for i in range(queue.run_count):
        run = address(queue.runs[i])
        if run.endpoint == endpoint:
            queue.datagram_count -= run.segment_count - run.done
            run.done = run.segment_count
    tx_queue_compact(queue)


@cfunc
@nogil
@exceptval(check=False)
def tx_queue_settle(queue: pointer[TxQueue], first: int32_t, settled: int32_t) -> cython.void:
    run: pointer[TxRun]
    step: int32_t
    queue.datagram_count -= settled
    while settled > 0:
        run = address(queue.runs[first])
        step = run.segment_count - run.done
        if step > settled:
            step = settled
        run.done += step
        settled -= step
        first += 1


@cfunc
@nogil
@exceptval(check=False)
def tx_queue_compact(queue: pointer[TxQueue]) -> cython.void:
    kept: int32_t = 0
    i: int32_t
    for i in range(queue.run_count):
        if queue.runs[i].done >= queue.runs[i].segment_count:
            give_back(queue, address(queue.runs[i]))
        else:
            if kept != i:
                queue.runs[kept] = queue.runs[i]
            kept += 1
    queue.run_count = kept
