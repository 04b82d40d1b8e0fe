"""The command and control file: made, attached to, and refused when it is not sound."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from volans.errors import CncFormatError, CncVersionError, DriverNotRunningError
from volans.protocol.cnc import CncFile, CncLayout, create_cnc

LAYOUT = CncLayout.of_lengths(
    to_driver_buffer_length=65536 + 768,
    to_clients_buffer_length=65536 + 128,
    counters_values_buffer_length=16384,
    error_log_buffer_length=10000,
)
NOW_MS = 1_700_000_000_000


class VirtualTime:
    """Clocks that move only when someone sleeps."""

    def __init__(self) -> None:
        self.now_ns = NOW_MS * 1_000_000
        self.naps = 0

    def epoch_ms(self) -> int:
        return self.now_ns // 1_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.naps += 1
        self.now_ns += int(seconds * 1e9)


def attach(directory: Path, time: VirtualTime, timeout_s: float = 1.0, **options: bool) -> CncFile:
    return CncFile.attach(
        directory,
        timeout_s=timeout_s,
        epoch_ms=time.epoch_ms,
        monotonic_ns=time.monotonic_ns,
        sleep=time.sleep,
        **options,
    )


@pytest.fixture
def cnc(tmp_path: Path) -> Iterator[CncFile]:
    file = create_cnc(
        tmp_path, LAYOUT, client_liveness_timeout_ns=10**10, start_timestamp_ms=NOW_MS, pid=42
    )
    yield file
    file.close()


def beat(cnc: CncFile, heartbeat_ms: int) -> None:
    with cnc.mapped.view(LAYOUT.heartbeat_offset, 8) as word:
        word[:] = struct.pack("<q", heartbeat_ms)


def test_header_and_sections_lie_where_the_protocol_says(cnc: CncFile, tmp_path: Path) -> None:
    cnc.signal_ready()
    raw = (tmp_path / "cnc.dat").read_bytes()
    assert raw[:52] == struct.pack(
        "<iiiiiiqqqi", 512, 66304, 65664, 65536, 16384, 10000, 10**10, NOW_MS, 42, 4096
    )
    assert (
        len(raw)
        == LAYOUT.file_length
        == -(-(128 + 66304 + 65664 + 65536 + 16384 + 10000) // 4096) * 4096
    )
    sections = [
        (cnc.to_driver_buffer, 128, 66304),
        (cnc.to_clients_buffer, 128 + 66304, 65664),
        (cnc.counters_metadata_buffer, 128 + 66304 + 65664, 65536),
        (cnc.counters_values_buffer, 128 + 66304 + 65664 + 65536, 16384),
        (cnc.error_log_buffer, 128 + 66304 + 65664 + 65536 + 16384, 10000),
    ]
    for number, (view, _offset, length) in enumerate(sections, 1):
        assert len(view) == length
        view[0] = view[-1] = number
    raw = (tmp_path / "cnc.dat").read_bytes()
    for number, (_view, offset, length) in enumerate(sections, 1):
        assert raw[offset] == raw[offset + length - 1] == number


def test_clients_wait_for_version_and_heartbeat(cnc: CncFile, tmp_path: Path) -> None:
    time = VirtualTime()
    with pytest.raises(DriverNotRunningError, match="version is not set"):
        attach(tmp_path, time)
    cnc.signal_ready()
    with pytest.raises(DriverNotRunningError, match="has not begun"):
        attach(tmp_path, time)
    beat(cnc, time.epoch_ms())
    with attach(tmp_path, time) as client:
        assert client.pid == 42
        assert client.client_liveness_timeout_ns == 10**10
        assert client.start_timestamp_ms == NOW_MS
        assert client.layout == LAYOUT
        assert client.is_driver_active(time.epoch_ms(), 10)


def test_attaching_goes_on_once_the_driver_is_there(cnc: CncFile, tmp_path: Path) -> None:
    time = VirtualTime()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if time.naps == 3:
            beat(cnc, time.epoch_ms())
            cnc.signal_ready()

    with CncFile.attach(
        tmp_path,
        timeout_s=1,
        epoch_ms=time.epoch_ms,
        monotonic_ns=time.monotonic_ns,
        sleep=sleep,
    ):
        assert time.naps == 3


@pytest.mark.parametrize(
    ("heartbeat_ms", "reason"), [(-1, "has shut down"), (NOW_MS - 20_000, "s old")]
)
def test_a_dead_driver_is_told(
    cnc: CncFile, tmp_path: Path, heartbeat_ms: int, reason: str
) -> None:
    time = VirtualTime()
    cnc.signal_ready()
    beat(cnc, heartbeat_ms)
    with pytest.raises(DriverNotRunningError, match=reason):
        attach(tmp_path, time)
    with attach(tmp_path, time, read_only=True) as tool:
        assert tool.driver_heartbeat_ms == heartbeat_ms
        assert tool.error_log_buffer.readonly


def test_no_driver_at_all(tmp_path: Path) -> None:
    time = VirtualTime()
    with pytest.raises(DriverNotRunningError, match=r"no cnc\.dat.*volansmd.*AERON_DIR"):
        attach(tmp_path, time, timeout_s=0.5)
    assert 0.5 <= (time.now_ns - NOW_MS * 1_000_000) / 1e9 < 0.6


def test_another_major_version_is_refused_at_once(cnc: CncFile, tmp_path: Path) -> None:
    time = VirtualTime()
    with cnc.mapped.view(0, 4) as word:
        word[:] = struct.pack("<i", 0x010203)
    with pytest.raises(CncVersionError, match=r"1\.2\.3.*0\.2\.0"):
        attach(tmp_path, time)
    assert time.naps == 0


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [
        (4, -1, "to-driver"),
        (4, 0, "to-driver"),
        (4, 65536, "to-driver"),
        (4, 0x7FFFFFFF, "to-driver"),
        (4, (1 << 30) + 768, "truncated"),
        (8, 128, "to-clients"),
        (8, -65664, "to-clients"),
        (12, 65535, "metadata"),
        (12, -65536, "metadata"),
        (16, -16384, "values"),
        (16, 127, "values"),
        (16, 32768, "metadata"),
        (20, -1, "error log"),
        (20, 0x7FFFFFFF, "more than"),
        (20, 1 << 20, "truncated"),
        (48, 5000, "page size"),
        (48, -4096, "page size"),
    ],
)
def test_hostile_headers_are_format_errors(
    cnc: CncFile, tmp_path: Path, offset: int, value: int, what: str
) -> None:
    cnc.signal_ready()
    beat(cnc, NOW_MS)
    with cnc.mapped.view(offset, 4) as word:
        word[:] = struct.pack("<i", value)
    with pytest.raises(CncFormatError, match=what):
        attach(tmp_path, VirtualTime())


def test_truncated_files(cnc: CncFile, tmp_path: Path) -> None:
    cnc.signal_ready()
    whole = (tmp_path / "cnc.dat").read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    for length in (0, 1, 128, 129, 4096, len(whole) - 4096):
        (other / "cnc.dat").write_bytes(whole[:length])
        expected = DriverNotRunningError if length <= 128 else CncFormatError
        with pytest.raises(expected):
            attach(other, VirtualTime())


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "cnc.dat").mkdir()
    with pytest.raises((CncFormatError, OSError)):
        attach(tmp_path, VirtualTime())
    (tmp_path / "cnc.dat").rmdir()
    os.mkfifo(tmp_path / "cnc.dat")
    with pytest.raises(CncFormatError, match="regular file"):
        attach(tmp_path, VirtualTime(), read_only=True)


def test_failed_attempts_leave_no_descriptors(cnc: CncFile, tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    mappings = Path("/proc/self/maps").read_text().count("cnc.dat")
    for _ in range(20):
        with pytest.raises(DriverNotRunningError):
            attach(tmp_path, VirtualTime(), timeout_s=0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert Path("/proc/self/maps").read_text().count("cnc.dat") == mappings


def test_a_second_driver_cannot_make_the_same_file(cnc: CncFile, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        create_cnc(tmp_path, LAYOUT, client_liveness_timeout_ns=1, start_timestamp_ms=1, pid=1)


def test_layouts_that_cannot_be() -> None:
    with pytest.raises(CncFormatError, match="power of two"):
        CncLayout.of_lengths(
            to_driver_buffer_length=65536,
            to_clients_buffer_length=65664,
            counters_values_buffer_length=16384,
            error_log_buffer_length=0,
        )
