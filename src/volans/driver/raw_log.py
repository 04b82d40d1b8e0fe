# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Making log-buffer files: storage check, mapping, metadata (PROTOCOL.md section 3.1). Slow work:
not for data-path threads.
"""

from __future__ import annotations

import dataclasses

import cython
from cython import address, cast, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.volans.log.buffers import (
    log_buffers_wrap,
    log_file_length,
    log_init_image,
    log_init_publication,
    log_metadata_at,
)
from cython.cimports.volans.log.layout import (
    LOG_TYPE_IMAGE,
    LogBuffers,
    LogMetadata,
)
from cython.cimports.volans.memory.mapped import MappedFile
from cython.cimports.volans.protocol.layout import DATA_HEADER_LENGTH

from volans.memory.mapped import MappedFile as MappedFileFactory


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogParameters:
    """What a new log file says about its stream. Lengths in bytes, times in nanoseconds."""

    correlation_id: int
    session_id: int
    stream_id: int
    initial_term_id: int
    term_length: int
    mtu_length: int
    page_size: int
    type: int
    start_term_id: int | None = None
    start_term_offset: int = 0
    publication_window_length: int = 0
    receiver_window_length: int = 0
    socket_sndbuf_length: int = 0
    os_default_socket_sndbuf_length: int = 0
    os_max_socket_sndbuf_length: int = 0
    socket_rcvbuf_length: int = 0
    os_default_socket_rcvbuf_length: int = 0
    os_max_socket_rcvbuf_length: int = 0
    max_resend: int = 0
    entity_tag: int = -1
    response_correlation_id: int = -1
    linger_timeout_ns: int = 0
    untethered_window_limit_timeout_ns: int = 0
    untethered_linger_timeout_ns: int = 0
    untethered_resting_timeout_ns: int = 0
    group: bool = False
    is_response: bool = False
    rejoin: bool = True
    reliable: bool = True
    sparse: bool = True
    signal_eos: bool = True
    spies_simulate_connection: bool = False
    tether: bool = True


def log_length(term_length: int64_t, page_size: int64_t) -> int:
    """Bytes of the file for a term length and page size."""
    return log_file_length(cast(int32_t, term_length), cast(int32_t, page_size))


def create_log_file(path, parameters, pre_touch=False, check_storage=True):
    """Create, map and initialise a log-buffer file.

    Args:
        path: where; must not exist.
        parameters: a `LogParameters`.
        pre_touch: take all blocks and fault every page in now instead of at first use, even of a
            sparse log: touching pages that have no blocks could end in SIGBUS.
        check_storage: refuse when the file system lacks the bytes.

    Returns:
        The MappedFile.

    Raises:
        volans.memory.errors.StorageSpaceError: not enough space; names needed and available bytes.
        OSError: the file cannot be made.
    """
    length: int64_t = log_file_length(parameters.term_length, parameters.page_size)
    file: MappedFile = MappedFileFactory.create(
        path,
        length,
        sparse=parameters.sparse and not pre_touch,
        pre_touch=pre_touch,
        check_storage=check_storage,
    )
    initialise(file, parameters)
    return file


@cython.cfunc
def initialise(file: MappedFile, parameters) -> object:
    log: LogBuffers
    metadata: pointer[LogMetadata] = log_metadata_at(file.memory, file.length)
    metadata.term_length = parameters.term_length
    metadata.page_size = parameters.page_size
    metadata.mtu_length = parameters.mtu_length
    metadata.initial_term_id = parameters.initial_term_id
    metadata.default_frame_header_length = DATA_HEADER_LENGTH
    metadata.correlation_id = parameters.correlation_id
    metadata.publication_window_length = parameters.publication_window_length
    metadata.receiver_window_length = parameters.receiver_window_length
    metadata.socket_sndbuf_length = parameters.socket_sndbuf_length
    metadata.os_default_socket_sndbuf_length = parameters.os_default_socket_sndbuf_length
    metadata.os_max_socket_sndbuf_length = parameters.os_max_socket_sndbuf_length
    metadata.socket_rcvbuf_length = parameters.socket_rcvbuf_length
    metadata.os_default_socket_rcvbuf_length = parameters.os_default_socket_rcvbuf_length
    metadata.os_max_socket_rcvbuf_length = parameters.os_max_socket_rcvbuf_length
    metadata.max_resend = parameters.max_resend
    metadata.entity_tag = parameters.entity_tag
    metadata.response_correlation_id = parameters.response_correlation_id
    metadata.linger_timeout_ns = parameters.linger_timeout_ns
    metadata.untethered_window_limit_timeout_ns = parameters.untethered_window_limit_timeout_ns
    metadata.untethered_resting_timeout_ns = parameters.untethered_resting_timeout_ns
    metadata.untethered_linger_timeout_ns = parameters.untethered_linger_timeout_ns
    metadata.group = parameters.group
    metadata.is_response = parameters.is_response
    metadata.rejoin = parameters.rejoin
    metadata.reliable = parameters.reliable
    metadata.sparse = parameters.sparse
    metadata.signal_eos = parameters.signal_eos
    metadata.spies_simulate_connection = parameters.spies_simulate_connection
    metadata.tether = parameters.tether
    metadata.type = parameters.type
    metadata.is_connected = 0
    metadata.active_transport_count = 0
    if log_buffers_wrap(address(log), file.memory, file.length) < 0:
        file.close()
        raise ValueError(
            f"term length {parameters.term_length} or page size {parameters.page_size} is not valid"
        )
    start_term_id: int32_t
    if parameters.type == LOG_TYPE_IMAGE:
        log_init_image(
            address(log), parameters.session_id, parameters.stream_id, parameters.initial_term_id
        )
    else:
        start_term_id = (
            parameters.initial_term_id
            if parameters.start_term_id is None
            else parameters.start_term_id
        )
        log_init_publication(
            address(log),
            parameters.session_id,
            parameters.stream_id,
            parameters.initial_term_id,
            start_term_id,
            parameters.start_term_offset,
        )
    return None
