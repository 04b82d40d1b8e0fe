"""Shared files cut off, overwritten or not what their name says: tools, clients, drivers."""

from __future__ import annotations

import mmap
import os
import random
import shutil
import struct
import subprocess
import sys

import pytest
from bad_input import (
    await_that,
    driver_fixture,
    error_texts,
    free_port,
    hostile,
    log_files,
    peer,
    run_driver,
    stream_id,
)
from client_driver import connected_pair
from typer.testing import CliRunner

import volans
from volans.cli.main import app
from volans.client.log_file import CorruptLogError, LogFile, LogFileError

__all__ = ["stream_id"]

TERM_LENGTH = 65536
TOOLS = (
    ("stat", "--once", "--json"),
    ("errors",),
    ("loss",),
    ("streams",),
    ("backlog",),
)
SMALL = {"AERON_COUNTERS_BUFFER_LENGTH": "1m", "AERON_DIR_DELETE_ON_SHUTDOWN": "false"}

driver = driver_fixture()


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory):
    """A driver's directory as a crash leaves it: counters, errors, logs, losses."""
    directory = tmp_path_factory.mktemp("left") / "d"
    with run_driver(**SMALL) as running, volans.connect(running.directory) as client:
        for channel in ("aeron:ipc", f"aeron:udp?endpoint=127.0.0.1:{free_port()}"):
            publication, _ = connected_pair(client, 7, channel)
            publication.publish(b"left" * 100)
        with pytest.raises(volans.RegistrationError):
            client.add_publication("aeron:ipc?mtu=1", 7)
        shutil.copytree(running.directory, directory)
        running.process.kill()
        client.close()
    return directory


def run_tools(directory, log_file) -> list[int]:
    """All read-only tools on a directory: each ends with a word and a code, never a traceback."""
    codes = []
    for arguments in (
        *((*tool, "--directory", str(directory)) for tool in TOOLS),
        ("log", log_file),
    ):
        if arguments[0] == "log":
            arguments = ("log", "inspect", str(log_file))
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"{arguments}: {result.output}") from result.exception
        assert result.exit_code in (0, 1), (arguments, result.output)
        assert result.exit_code == 0 or result.output.strip() or result.stderr.strip()
        codes.append(result.exit_code)
    return codes


def test_tools_read_what_a_crash_left(left_behind):
    log_file = left_behind / log_files(left_behind)[0]
    assert run_tools(left_behind, log_file) == [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_tools_on_mutated_files_end_with_a_word(left_behind, tmp_path, seed):
    rng = random.Random(seed)
    sources = [left_behind / name for name in ("cnc.dat", "loss-report.dat")]
    log_source = left_behind / log_files(left_behind)[0]
    originals = {path: path.read_bytes() for path in (*sources, log_source)}
    outcomes = set()
    for _ in range(12):
        for source, original in originals.items():
            content = bytearray(original)
            # Mostly where something stands: a change of empty pages changes nothing.
            used = [at for at in range(0, len(content), 512) if any(content[at : at + 512])]
            for _ in range(rng.choice((1, 5, 200))):
                at = rng.choice(used or [0]) + rng.randrange(128) * 4
                if at + 4 <= len(content) and (source.name != "cnc.dat" or at > 52):
                    struct.pack_into("<i", content, at, rng.choice(hostile.EXTREMES))
            if rng.random() < 0.3:
                at = rng.randrange(0, 13) * 4
                struct.pack_into("<i", content, at, rng.choice(hostile.EXTREMES))
            if rng.random() < 0.2:
                del content[rng.choice((0, 1, 127, 128, 4096, rng.randrange(len(content)))) :]
            (tmp_path / source.name).write_bytes(content)
        outcomes.update(run_tools(tmp_path, tmp_path / log_source.name))
    assert outcomes == {0, 1}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 10),
        lambda path: path.write_bytes(b"\xff" * 100_000),
        lambda path: path.write_bytes(struct.pack("<i", 512) + b"\x7f" * 60_000),
        lambda path: path.write_bytes(bytes(1 << 20)),
        lambda path: path.mkdir(),
        os.mkfifo,
        lambda path: path.symlink_to("/nonexistent/cnc.dat"),
        lambda path: path.symlink_to("/dev/zero"),
    ],
    ids=["empty", "short", "noise", "version", "zeros", "directory", "fifo", "dangling", "device"],
)
def test_clients_refuse_and_a_driver_takes_over(make, tmp_path):
    directory = tmp_path / "d"
    (directory / "publications" / "nested").mkdir(parents=True)
    (directory / "publications" / "1.logbuffer").write_bytes(b"garbage")
    make(directory / "cnc.dat")
    with pytest.raises((volans.VolansError, OSError)) as refused:
        volans.connect(directory, driver_timeout=0.05)
    assert str(directory) in str(refused.value)
    settings = {"dir_delete_on_start": False, "counters_values_buffer_length": "1m"}
    with volans.connect(directory, embedded=True, driver_options=settings) as client:
        publication, subscription = connected_pair(client, 1)
        publication.publish(b"taken over")
        await_that(lambda: subscription.poll(lambda _buffer, _header: None))
        assert error_texts(directory) == []


def test_a_live_driver_keeps_its_directory(driver):
    ended = subprocess.run(
        [sys.executable, "-m", "volans.driver.volansmd"],
        env={**peer.volans_environment(), "AERON_DIR": str(driver.directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "active driver" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("seed", range(2))
def test_any_log_file_is_mapped_safely_or_refused(left_behind, tmp_path, seed):
    rng = random.Random(seed)
    original = (left_behind / log_files(left_behind)[0]).read_bytes()
    path = tmp_path / "1.logbuffer"
    outcomes = set()
    for _ in range(150):
        content = bytearray(original)
        at = 3 * TERM_LENGTH + rng.choice((264, 268, 272, 276, 280, rng.randrange(0, 128) * 4))
        struct.pack_into("<i", content, at, rng.choice((1408, *hostile.EXTREMES)))
        if rng.random() < 0.2:
            del content[rng.choice((0, 1, 4095, 4096, TERM_LENGTH, len(content) - 1)) :]
        path.write_bytes(content)
        try:
            LogFile(str(path))
            outcomes.add("mapped")
        except LogFileError as error:
            assert str(path) in str(error)  # noqa: PT017
            outcomes.add("refused")
        except OSError as error:
            assert str(path) in str(error)  # noqa: PT017
            outcomes.add("too short")
    assert outcomes == {"mapped", "refused", "too short"}


@pytest.mark.parametrize("mtu_length", [0, 32, 33, 65536, (1 << 31) - 32, -1408])
def test_a_log_with_an_impossible_mtu_is_refused(left_behind, tmp_path, mtu_length):
    """A claim reaches as far as the mtu says."""
    content = bytearray((left_behind / log_files(left_behind)[0]).read_bytes())
    struct.pack_into("<i", content, 3 * TERM_LENGTH + 272, mtu_length)
    path = tmp_path / "1.logbuffer"
    path.write_bytes(content)
    with pytest.raises(LogFileError, match=f"invalid mtu {mtu_length}"):
        LogFile(str(path))


POLLS = {
    "poll": lambda image: image.poll(lambda buffer, _header: bytes(buffer)),
    "controlled": lambda image: image.controlled_poll(lambda buffer, _header: None),
    "batch": lambda image: [bytes(message) for message in image.poll_batch(100)],
    "block": lambda image: image.block_poll(lambda buffer, _session, _term: bytes(buffer)),
    "raw": lambda image: image.raw_poll(lambda *_arguments: None),
}


@pytest.mark.parametrize("media", ["ipc", "udp"])
def test_frames_overwritten_in_a_live_log_stop_their_reader_only(driver, stream_id, media):
    """Lengths no frame can have, in what the subscriber reads and in what the driver sends."""
    channel = "aeron:ipc" if media == "ipc" else f"aeron:udp?endpoint=127.0.0.1:{free_port()}"
    lengths = (0x7FFFFFFF, 0x7FFFFFE0, TERM_LENGTH, TERM_LENGTH + 1, 31, 1)
    stream = stream_id
    with volans.connect(driver.directory) as client:
        healthy_publication, healthy = connected_pair(client, stream + 3000, channel)
        for name, poll in POLLS.items():
            for frame_type in (0, 1):
                for length in lengths[:: 1 if media == "ipc" else 3]:
                    stream += 1
                    publication, subscription = connected_pair(client, stream, channel)
                    [image] = subscription.images
                    publication.publish(b"good")
                    await_that(lambda: subscription.poll(lambda _b, _h: None))  # noqa: B023
                    header = struct.pack("<ibBh", length, 0, 0xC0, frame_type)
                    for folder in ("publications", "images"):
                        for path in (driver.directory / folder).iterdir():
                            scribble(path, image, stream, publication.position, header)
                    try:
                        outcome = poll(image)
                        assert outcome in (0, [], None) or length < 32, (name, length, outcome)
                    except CorruptLogError as error:
                        assert error.frame_length == length  # noqa: PT017
                    assert image.position <= publication.position + TERM_LENGTH
                    publication.close()
                    subscription.close()
        healthy_publication.publish(b"unharmed")
        await_that(lambda: healthy.poll(lambda _buffer, _header: None))
    assert driver.process.poll() is None


def scribble(path, image, stream: int, position: int, header: bytes) -> None:
    """Put a frame header at a stream position of the log, if it is that stream's."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return  # of a stream before, which has just ended
    with file, mmap.mmap(file.fileno(), 0) as log:
        session, of_stream = struct.unpack_from("<ii", log, 3 * TERM_LENGTH + 320 + 12)
        if (session, of_stream) == (image.session_id, stream):
            at = position % (3 * TERM_LENGTH)
            log[at : at + len(header)] = header


def scribble_everywhere(rng: random.Random, path) -> None:
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        for _ in range(20_000):
            at = rng.randrange(32, len(memory) // 4) * 4
            struct.pack_into("<i", memory, at, rng.choice(hostile.EXTREMES))


def test_noise_in_the_buffers_between_client_and_driver(stream_id):
    """Anything may stand in the shared buffers of a dead driver; its clients end with an error."""
    rng = random.Random(stream_id)
    for _ in range(3):
        with run_driver(**SMALL) as running:
            errors = []
            with volans.connect(
                running.directory, driver_timeout=1.0, error_handler=errors.append
            ) as client:
                publication, subscription = connected_pair(client, stream_id)
                running.process.kill()
                running.process.wait(20)
                scribble_everywhere(rng, running.directory / "cnc.dat")
                await_that(lambda: client.is_closed)
                with pytest.raises(volans.VolansError):
                    publication.offer(b"x")
                subscription.close()
            assert errors
