# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Counters in shared memory: 128-byte values and 512-byte metadata records (PROTOCOL.md section 6).

One manager allocates and frees; anybody reads; a value is written by whoever owns the
counter. A record is published by its state word (release) and read after it (acquire).
"""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import INT64_MAX, int32_t, int64_t, uint8_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.memory.atomic import (
    cas_i64,
    counter_add,
    fetch_add_i64,
    load_acquire_i32,
    load_acquire_i64,
    propose_max_i64,
    store_relaxed_i32,
    store_relaxed_i64,
    store_release_i32,
    store_release_i64,
)
from cython.cimports.volans.memory.layout import (
    COUNTER_ALLOCATED,
    COUNTER_FREE_FOR_REUSE_DEADLINE_OFFSET,
    COUNTER_KEY_OFFSET,
    COUNTER_LABEL_LENGTH_OFFSET,
    COUNTER_LABEL_OFFSET,
    COUNTER_MAX_KEY_LENGTH,
    COUNTER_MAX_LABEL_LENGTH,
    COUNTER_METADATA_LENGTH,
    COUNTER_OWNER_ID_OFFSET,
    COUNTER_RECLAIMED,
    COUNTER_REFERENCE_ID_OFFSET,
    COUNTER_REGISTRATION_ID_OFFSET,
    COUNTER_STATE_OFFSET,
    COUNTER_TYPE_ID_OFFSET,
    COUNTER_UNUSED,
    COUNTER_VALUE_LENGTH,
    NULL_VALUE,
    CountersView,
)
from cython.cimports.volans.memory.views import flat_view, view_address

from volans.memory.counter_descriptor import CounterDescriptor
from volans.memory.errors import CounterLimitError, CountersExhaustedError

# --- records -------------------------------------------------------------------------------


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def is_in_range(view: pointer[CountersView], counter_id: int32_t) -> cython.bint:
    return 0 <= counter_id < view.max_counter_id


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def metadata_i32(
    view: pointer[CountersView], counter_id: int32_t, offset: int32_t
) -> pointer[int32_t]:
    return cast(
        pointer[int32_t],
        view.metadata + cast(int64_t, counter_id) * COUNTER_METADATA_LENGTH + offset,
    )


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def metadata_bytes(
    view: pointer[CountersView], counter_id: int32_t, offset: int32_t
) -> pointer[uint8_t]:
    return view.metadata + cast(int64_t, counter_id) * COUNTER_METADATA_LENGTH + offset


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def value_i64(
    view: pointer[CountersView], counter_id: int32_t, offset: int32_t
) -> pointer[int64_t]:
    return cast(
        pointer[int64_t], view.values + cast(int64_t, counter_id) * COUNTER_VALUE_LENGTH + offset
    )


@cfunc
@nogil
@exceptval(check=False)
def counter_value_address(view: pointer[CountersView], counter_id: int32_t) -> pointer[int64_t]:
    """NULL when there is no such record."""
    if not is_in_range(view, counter_id):
        return cython.NULL
    return value_i64(view, counter_id, 0)


@cfunc
@nogil
@exceptval(check=False)
def counter_state(view: pointer[CountersView], counter_id: int32_t) -> int32_t:
    if not is_in_range(view, counter_id):
        return COUNTER_UNUSED
    return load_acquire_i32(metadata_i32(view, counter_id, COUNTER_STATE_OFFSET))


@cfunc
@nogil
@exceptval(check=False)
def counter_type_id(view: pointer[CountersView], counter_id: int32_t) -> int32_t:
    if not is_in_range(view, counter_id):
        return NULL_VALUE
    return metadata_i32(view, counter_id, COUNTER_TYPE_ID_OFFSET)[0]


@cfunc
@nogil
@exceptval(check=False)
def counter_registration_id(view: pointer[CountersView], counter_id: int32_t) -> int64_t:
    if not is_in_range(view, counter_id):
        return NULL_VALUE
    return load_acquire_i64(value_i64(view, counter_id, COUNTER_REGISTRATION_ID_OFFSET))


@cfunc
@nogil
@exceptval(check=False)
def find_counter(
    view: pointer[CountersView], type_id: int32_t, registration_id: int64_t
) -> int32_t:
    counter_id: int32_t
    state: int32_t
    for counter_id in range(view.max_counter_id):
        state = counter_state(view, counter_id)
        if state == COUNTER_UNUSED:
            break
        if (
            state == COUNTER_ALLOCATED
            and counter_type_id(view, counter_id) == type_id
            and counter_registration_id(view, counter_id) == registration_id
        ):
            return counter_id
    return NULL_VALUE


# --- reading -------------------------------------------------------------------------------


@cclass
class CountersReader:
    """Reads the counters of a metadata and a values buffer (PROTOCOL.md section 6).

    Parameters: ``metadata`` and ``values``, contiguous buffers of 512 and 128 bytes a
    counter; a surplus of either is ignored. Any thread may use one; values are read with
    acquire order. A counter id outside the buffers raises IndexError.
    """

    def __cinit__(self, metadata, values, **_):
        # A manager writes into metadata: type(self) is already the most derived class here.
        writable: cython.bint = isinstance(self, CountersManager)
        metadata_view = flat_view(metadata, writable, "counters metadata")
        values_view = flat_view(values, writable, "counters values")
        count: int64_t = min(
            metadata_view.nbytes // COUNTER_METADATA_LENGTH,
            values_view.nbytes // COUNTER_VALUE_LENGTH,
        )
        if count < 1 or count > (1 << 30):
            raise ValueError(
                f"counters need {COUNTER_METADATA_LENGTH} metadata and {COUNTER_VALUE_LENGTH} "
                f"value bytes each: {metadata_view.nbytes} and {values_view.nbytes} hold {count}"
            )
        self.owner = (metadata_view, values_view)
        self.read_only = values_view.readonly
        self.view.metadata = view_address(metadata_view)
        self.view.values = view_address(values_view)
        self.view.max_counter_id = cast(int32_t, count)

    @property
    def capacity(self) -> int:
        """How many counters the buffers have room for."""
        return self.view.max_counter_id

    def state(self, counter_id) -> int:
        """0 unused, 1 allocated, -1 reclaimed."""
        return counter_state(address(self.view), checked_id(self, counter_id))

    def is_allocated(self, counter_id) -> bool:
        """Whether the counter is in use now."""
        return counter_state(address(self.view), checked_id(self, counter_id)) == COUNTER_ALLOCATED

    def type_id(self, counter_id) -> int:
        """What kind of counter it is (PROTOCOL.md section 6.4)."""
        return counter_type_id(address(self.view), checked_id(self, counter_id))

    def value(self, counter_id) -> int:
        """The counter's value."""
        return load_acquire_i64(value_i64(address(self.view), checked_id(self, counter_id), 0))

    def registration_id(self, counter_id) -> int:
        """The correlation id it was registered with, 0 when none."""
        return counter_registration_id(address(self.view), checked_id(self, counter_id))

    def owner_id(self, counter_id) -> int:
        """The client that owns it, 0 when none."""
        counter: int32_t = checked_id(self, counter_id)
        return load_acquire_i64(value_i64(address(self.view), counter, COUNTER_OWNER_ID_OFFSET))

    def reference_id(self, counter_id) -> int:
        """The registration id of what it tells about, 0 when none."""
        counter: int32_t = checked_id(self, counter_id)
        return load_acquire_i64(value_i64(address(self.view), counter, COUNTER_REFERENCE_ID_OFFSET))

    def free_for_reuse_deadline_ms(self, counter_id) -> int:
        """Epoch time from which a freed counter may be given out again; 2**63-1 while in use."""
        counter: int32_t = checked_id(self, counter_id)
        return load_acquire_i64(deadline_address(address(self.view), counter))

    def key(self, counter_id) -> bytes:
        """The whole 112-byte key; what is in it depends on the type (PROTOCOL.md section 6.3)."""
        counter: int32_t = checked_id(self, counter_id)
        start: pointer[uint8_t] = metadata_bytes(address(self.view), counter, COUNTER_KEY_OFFSET)
        return cast(cython.p_char, start)[:COUNTER_MAX_KEY_LENGTH]

    def label(self, counter_id) -> str:
        """The label; bytes that are no UTF-8 are replaced."""
        counter: int32_t = checked_id(self, counter_id)
        start: pointer[uint8_t] = metadata_bytes(address(self.view), counter, COUNTER_LABEL_OFFSET)
        length: int32_t = label_length(address(self.view), counter)
        label: bytes = cast(cython.p_char, start)[:length]
        return label.decode("utf-8", "replace")

    def find(self, type_id: int32_t, registration_id: int64_t):
        """Id of the first allocated counter of this type and registration, or None."""
        found: int32_t
        with nogil:
            found = find_counter(address(self.view), type_id, registration_id)
        return None if found == NULL_VALUE else found

    def find_by_type(self, type_id: int32_t) -> list:
        """Ids of all allocated counters of a type, ascending."""
        return [
            counter_id
            for counter_id in self.allocated_ids()
            if counter_type_id(address(self.view), counter_id) == type_id
        ]

    def allocated_ids(self) -> list:
        """Ids of all counters in use, ascending."""
        ids: list = []
        counter_id: int32_t
        state: int32_t
        for counter_id in range(self.view.max_counter_id):
            state = counter_state(address(self.view), counter_id)
            if state == COUNTER_UNUSED:
                break
            if state == COUNTER_ALLOCATED:
                ids.append(counter_id)
        return ids

    def describe(self, counter_id) -> CounterDescriptor:
        """Everything about one counter at this moment."""
        return CounterDescriptor(
            id=counter_id,
            type_id=self.type_id(counter_id),
            value=self.value(counter_id),
            label=self.label(counter_id),
            key=self.key(counter_id),
            registration_id=self.registration_id(counter_id),
            owner_id=self.owner_id(counter_id),
            reference_id=self.reference_id(counter_id),
        )

    def __iter__(self):
        """A CounterDescriptor for each counter in use, ascending by id."""
        return map(self.describe, self.allocated_ids())

    def __len__(self):
        return len(self.allocated_ids())


@cfunc
@exceptval(-1)
def checked_id(reader: CountersReader, counter_id: object) -> int32_t:
    if not 0 <= counter_id < reader.view.max_counter_id:
        raise IndexError(f"counter {counter_id} is not in 0..{reader.view.max_counter_id - 1}")
    return counter_id


@cfunc
@nogil
@exceptval(check=False)
@cython.inline
def deadline_address(view: pointer[CountersView], counter_id: int32_t) -> pointer[int64_t]:
    return cast(
        pointer[int64_t], metadata_bytes(view, counter_id, COUNTER_FREE_FOR_REUSE_DEADLINE_OFFSET)
    )


@cfunc
@nogil
@exceptval(check=False)
def label_length(view: pointer[CountersView], counter_id: int32_t) -> int32_t:
    """The label's length, bounded whatever the file says."""
    length: int32_t = load_acquire_i32(metadata_i32(view, counter_id, COUNTER_LABEL_LENGTH_OFFSET))
    return max(0, min(length, cast(int32_t, COUNTER_MAX_LABEL_LENGTH)))


# --- allocating ----------------------------------------------------------------------------


@cclass
class CountersManager(CountersReader):
    """Allocates and frees counters; one thread only (the conductor's).

    Parameters: ``metadata`` and ``values``, writable buffers, zeroed or left by an earlier
    manager, whose counters are kept; ``free_to_reuse_timeout_ms``, how long a freed id is
    left alone, so that no reader takes a new counter for the old one; ``epoch_clock_ms``,
    a callable returning the time.
    """

    def __cinit__(self, metadata, values, *, free_to_reuse_timeout_ms=1000, epoch_clock_ms):
        if free_to_reuse_timeout_ms < 0:
            raise ValueError(
                f"free_to_reuse_timeout_ms is {free_to_reuse_timeout_ms}: it must not be negative"
            )
        if not callable(epoch_clock_ms):
            raise TypeError("epoch_clock_ms must be a callable that returns epoch milliseconds")
        self.free_to_reuse_timeout_ms = free_to_reuse_timeout_ms
        self.epoch_clock_ms = epoch_clock_ms
        self.free_list = []
        self.high_water_mark_id = NULL_VALUE
        self.adopt_records()

    @cfunc
    def adopt_records(self) -> object:
        counter_id: int32_t
        for counter_id in range(self.view.max_counter_id):
            state: int32_t = counter_state(address(self.view), counter_id)
            if state == COUNTER_UNUSED:
                break
            self.high_water_mark_id = counter_id
            if state == COUNTER_RECLAIMED:
                deadline_ms: int64_t = deadline_address(address(self.view), counter_id)[0]
                self.free_list.append((deadline_ms, counter_id))
        self.free_list.sort()

    def allocate(
        self,
        type_id: int32_t,
        key: bytes = b"",
        label: str = "",
        *,
        registration_id: int64_t = 0,
        owner_id: int64_t = 0,
        reference_id: int64_t = 0,
    ) -> int:
        """A new counter with value 0; returns its id.

        Raises CounterLimitError (key over 112 bytes, label over 380) and
        CountersExhaustedError.
        """
        label_bytes: bytes = label.encode()
        key_length: int32_t = len(key)
        length: int32_t = len(label_bytes)
        if key_length > COUNTER_MAX_KEY_LENGTH:
            raise CounterLimitError(
                f"key of {key_length} bytes: at most {COUNTER_MAX_KEY_LENGTH}, shorten it"
            )
        if length > COUNTER_MAX_LABEL_LENGTH:
            raise CounterLimitError(
                f"label of {length} bytes: at most {COUNTER_MAX_LABEL_LENGTH}, shorten it"
            )
        view: pointer[CountersView] = address(self.view)
        counter_id: int32_t = self.next_id()
        store_relaxed_i64(value_i64(view, counter_id, COUNTER_OWNER_ID_OFFSET), owner_id)
        store_relaxed_i64(value_i64(view, counter_id, COUNTER_REFERENCE_ID_OFFSET), reference_id)
        store_release_i64(
            value_i64(view, counter_id, COUNTER_REGISTRATION_ID_OFFSET), registration_id
        )
        store_release_i64(value_i64(view, counter_id, 0), 0)
        store_relaxed_i32(metadata_i32(view, counter_id, COUNTER_TYPE_ID_OFFSET), type_id)
        store_relaxed_i64(deadline_address(view, counter_id), cast(int64_t, INT64_MAX))
        key_start: pointer[uint8_t] = metadata_bytes(view, counter_id, COUNTER_KEY_OFFSET)
        memset(key_start, 0, COUNTER_MAX_KEY_LENGTH)
        memcpy(key_start, cast(cython.p_char, key), key_length)
        label_start: pointer[uint8_t] = metadata_bytes(view, counter_id, COUNTER_LABEL_OFFSET)
        memcpy(label_start, cast(cython.p_char, label_bytes), length)
        store_release_i32(metadata_i32(view, counter_id, COUNTER_LABEL_LENGTH_OFFSET), length)
        store_release_i32(metadata_i32(view, counter_id, COUNTER_STATE_OFFSET), COUNTER_ALLOCATED)
        return counter_id

    def require(self, count: int32_t) -> None:
        """Make sure that the next `count` calls of `allocate` find a counter.

        Raises CountersExhaustedError.
        """
        room: int32_t = self.view.max_counter_id - 1 - self.high_water_mark_id
        if room >= count:
            return
        now_ms = self.epoch_clock_ms()
        for deadline_ms, _counter_id in self.free_list:
            if room >= count or now_ms < deadline_ms:
                break
            room += 1
        if room < count:
            raise self.exhausted()

    def exhausted(self) -> CountersExhaustedError:
        """The error that says how many there are."""
        return CountersExhaustedError(
            f"all {self.view.max_counter_id} counters are in use or were freed less than "
            f"{self.free_to_reuse_timeout_ms} ms ago ({len(self.free_list)}): the counters "
            f"values buffer is {self.view.max_counter_id * COUNTER_VALUE_LENGTH} bytes, "
            "enlarge it (AERON_COUNTERS_BUFFER_LENGTH)"
        )

    @cfunc
    @exceptval(-1)
    def next_id(self) -> int32_t:
        if self.free_list:
            deadline_ms, counter_id = self.free_list[0]
            if self.epoch_clock_ms() >= deadline_ms:
                del self.free_list[0]
                return counter_id
        if self.high_water_mark_id + 1 >= self.view.max_counter_id:
            raise self.exhausted()
        self.high_water_mark_id += 1
        return self.high_water_mark_id

    def free(self, counter_id) -> None:
        """Give a counter back. Raises ValueError when it is not allocated."""
        counter: int32_t = self.allocated_id(counter_id)
        view: pointer[CountersView] = address(self.view)
        deadline_ms: int64_t = self.epoch_clock_ms() + self.free_to_reuse_timeout_ms
        store_relaxed_i64(deadline_address(view, counter), deadline_ms)
        store_release_i32(metadata_i32(view, counter, COUNTER_STATE_OFFSET), COUNTER_RECLAIMED)
        memset(metadata_bytes(view, counter, COUNTER_KEY_OFFSET), 0, COUNTER_MAX_KEY_LENGTH)
        self.free_list.append((deadline_ms, counter))

    def set_value(self, counter_id, value: int64_t) -> None:
        """Set a value with release order."""
        store_release_i64(value_i64(address(self.view), checked_id(self, counter_id), 0), value)

    def set_registration_id(self, counter_id, registration_id: int64_t) -> None:
        """Set the registration id with release order."""
        counter: int32_t = checked_id(self, counter_id)
        store_release_i64(
            value_i64(address(self.view), counter, COUNTER_REGISTRATION_ID_OFFSET), registration_id
        )

    def set_owner_id(self, counter_id, owner_id: int64_t) -> None:
        """Set the id of the client that owns the counter."""
        counter: int32_t = checked_id(self, counter_id)
        store_release_i64(value_i64(address(self.view), counter, COUNTER_OWNER_ID_OFFSET), owner_id)

    def set_reference_id(self, counter_id, reference_id: int64_t) -> None:
        """Set the registration id of what the counter tells about."""
        counter: int32_t = checked_id(self, counter_id)
        store_release_i64(
            value_i64(address(self.view), counter, COUNTER_REFERENCE_ID_OFFSET), reference_id
        )

    def set_label(self, counter_id, label: str) -> None:
        """Replace the label. Raises CounterLimitError over 380 bytes."""
        counter: int32_t = self.allocated_id(counter_id)
        label_bytes: bytes = label.encode()
        length: int32_t = len(label_bytes)
        if length > COUNTER_MAX_LABEL_LENGTH:
            raise CounterLimitError(
                f"label of {length} bytes: at most {COUNTER_MAX_LABEL_LENGTH}, shorten it"
            )
        start: pointer[uint8_t] = metadata_bytes(address(self.view), counter, COUNTER_LABEL_OFFSET)
        memcpy(start, cast(cython.p_char, label_bytes), length)
        store_release_i32(
            metadata_i32(address(self.view), counter, COUNTER_LABEL_LENGTH_OFFSET), length
        )

    def append_to_label(self, counter_id, text: str) -> int:
        """Append to the label as much as still fits; returns the bytes appended."""
        counter: int32_t = self.allocated_id(counter_id)
        view: pointer[CountersView] = address(self.view)
        length: int32_t = label_length(view, counter)
        text_bytes: bytes = text.encode()[: COUNTER_MAX_LABEL_LENGTH - length]
        added: int32_t = len(text_bytes)
        start: pointer[uint8_t] = metadata_bytes(view, counter, COUNTER_LABEL_OFFSET)
        memcpy(start + length, cast(cython.p_char, text_bytes), added)
        store_release_i32(metadata_i32(view, counter, COUNTER_LABEL_LENGTH_OFFSET), length + added)
        return added

    @cfunc
    @exceptval(-1)
    def allocated_id(self, counter_id: object) -> int32_t:
        counter: int32_t = checked_id(self, counter_id)
        if counter_state(address(self.view), counter) != COUNTER_ALLOCATED:
            raise ValueError(f"counter {counter_id} is not allocated")
        return counter


@cclass
class AtomicCounter:
    """One counter's value, for reading and writing at memory speed.

    Parameters: ``counters``, a reader or manager over writable memory; ``counter_id``.
    ``increment`` and ``add`` are atomic among any number of writers; ``add_release`` is the
    cheaper one for a counter with a single writer. Raises IndexError, ValueError.

    Threading: any thread of any process, as the choice of writer says.
    """

    def __cinit__(self, counters: CountersReader, counter_id):
        self.id = checked_id(counters, counter_id)
        self.counters = counters
        self.value_address = counter_value_address(address(counters.view), self.id)

    @cfunc
    @exceptval(-1, check=False)
    def require_writable(self) -> cython.int:
        if self.counters.read_only:
            raise ValueError(f"counter {self.id} lies in read-only memory")
        return 0

    def get(self) -> int:
        """The value, with acquire order."""
        return load_acquire_i64(self.value_address)

    def set(self, value: int64_t) -> None:
        """Set the value, with release order."""
        self.require_writable()
        store_release_i64(self.value_address, value)

    def increment(self) -> int:
        """Add 1 atomically; returns the value before."""
        self.require_writable()
        return fetch_add_i64(self.value_address, 1)

    def add(self, delta: int64_t) -> int:
        """Add atomically; returns the value before."""
        self.require_writable()
        return fetch_add_i64(self.value_address, delta)

    def add_release(self, delta: int64_t) -> None:
        """Add without a locked instruction: for the only writer of this counter."""
        self.require_writable()
        counter_add(self.value_address, delta)

    def compare_and_set(self, expected: int64_t, value: int64_t) -> bool:
        """Set to value if it is expected; whether it was."""
        self.require_writable()
        return cas_i64(self.value_address, expected, value) == 1

    def propose_max(self, value: int64_t) -> bool:
        """Raise to value if that is larger (only writer); whether it moved."""
        self.require_writable()
        return propose_max_i64(self.value_address, value) == 1

    @property
    def value(self) -> int:
        """The value, with acquire order."""
        return load_acquire_i64(self.value_address)

    @property
    def label(self) -> str:
        """The counter's label."""
        return self.counters.label(self.id)

    def __repr__(self):
        return f"<AtomicCounter {self.id} {self.label!r} = {self.value}>"
