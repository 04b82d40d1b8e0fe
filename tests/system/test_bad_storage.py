"""A file system that is too small: refused with the bytes and the setting, never a SIGBUS.

Each test mounts a small tmpfs where only its own process and children see it.
"""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest
from bad_input import SETTINGS, peer

SMALL_CNC = {
    "AERON_COUNTERS_BUFFER_LENGTH": "1m",
    "AERON_ERROR_BUFFER_LENGTH": "4m",
    "AERON_LOSS_REPORT_BUFFER_LENGTH": "1m",
}
CNC_NEEDS = 12 << 20  # about: counters 1m + 4m, errors 4m, two rings of 1m, loss report 1m

MOUNT_AND_RUN = 'mount -t tmpfs -o size="$1" tmpfs "$2" && exec "$3" "$4"'

# A driver in a child and clients in the process, as they would be on a small machine.
PRELUDE = """
import os, sys, time
sys.path[:0] = [{tests!r}]
from bad_input import *
import volans
directory = {mount!r} + "/d"
def wait(condition, timeout_s=20.0):
    return await_that(condition, timeout_s)
"""


@functools.cache
def no_namespaces() -> str:
    """Why no file system can be mounted here, or nothing."""
    try:
        answer = subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except OSError as error:
        return f"unshare cannot be run: {error}"
    return answer.stderr.strip() if answer.returncode else ""


def run_on_small_file_system(
    tmp_path, size_bytes: int, script: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a Python script with a tmpfs of that size at ``mount``."""
    if no_namespaces():
        pytest.skip(f"no mount namespace with a small tmpfs: {no_namespaces()}")
    mount = tmp_path / "small"
    mount.mkdir()
    tests = str(peer.ROOT / "tests" / "system")
    file = tmp_path / "script.py"
    file.write_text(PRELUDE.format(tests=tests, mount=str(mount)) + script)
    return subprocess.run(
        [
            *("unshare", "-m", "sh", "-c", MOUNT_AND_RUN, "sh"),
            *map(str, (size_bytes, mount, sys.executable, file)),
        ],
        env={**peer.volans_environment(), **SETTINGS, **SMALL_CNC, **settings},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_driver_refuses_to_start_and_names_what_it_needs(tmp_path):
    script = """
import subprocess
ended = subprocess.run([sys.executable, "-m", "volans.driver.volansmd"],
    env={**os.environ, "AERON_DIR": directory}, capture_output=True, text=True)
print(ended.returncode, len(ended.stderr.splitlines()))
print(ended.stderr)
try:
    volans.MediaDriver.launch(directory)
except OSError as error:
    print(type(error).__name__, error.needed_bytes, error.available_bytes)
assert not os.path.exists(directory)
"""
    answer = run_on_small_file_system(tmp_path, 4 << 20, script)
    assert answer.returncode == 0, answer.stderr
    first, line, _, last = answer.stdout.splitlines()
    assert first == "1 1"
    assert "AERON_COUNTERS_BUFFER_LENGTH" in line
    assert "cnc.dat" in line
    name, needed, available = last.split()
    assert name == "StorageSpaceError"
    assert needed in line
    assert available in line
    assert int(needed) > int(available) > 1 << 20


PUBLICATIONS = """
from volans.protocol.error_codes import ErrorCode
with peer.Driver("volans", directory) as driver:
    with volans.connect(directory, resource_linger=0.2) as client:
        subscription = client.add_subscription(CHANNEL, 1)
        publications, refusal = [], None
        while refusal is None:
            try:
                publications.append(client.add_exclusive_publication(CHANNEL, 1))
            except volans.RegistrationError as error:
                refusal = error
        assert refusal.code == ErrorCode.STORAGE_SPACE, refusal
        print(refusal)
        wait(lambda: len(subscription.images) == len(publications))
        # Every page that was promised is written, by publishers here and the driver there.
        def all_written():
            for publication in publications:
                publication.offer(b"x" * 1000)
            subscription.poll(lambda _buffer, _header: None, 1000)
            return all(publication.position > 4 * 65536 for publication in publications)
        wait(all_written, 40)
        status = os.statvfs(directory)
        print(len(publications), status.f_bavail * status.f_frsize, error_texts(driver.directory))
        # A smaller stream may still fit; what was given back can be promised again.
        for publication in publications[1:]:
            publication.close()
        def fits():  # once the images have been let go, which lingers
            try:
                return client.add_exclusive_publication(CHANNEL, 2)
            except volans.RegistrationError:
                return None
        wait(fits)
        publications[0].publish(b"goes on", timeout=20)
    assert driver.process.poll() is None
print("well")
"""


def test_ipc_publications_are_promised_only_what_is_there(tmp_path):
    script = 'CHANNEL = "aeron:ipc"\n' + PUBLICATIONS
    answer = run_on_small_file_system(tmp_path, CNC_NEEDS + (2 << 20), script)
    assert answer.returncode == 0, (answer.returncode, answer.stdout, answer.stderr)
    refusal, numbers, well = answer.stdout.splitlines()
    assert well == "well"
    assert "STORAGE_SPACE" in refusal
    assert "needs 200704 bytes" in refusal
    assert "term-length" in refusal
    assert int(numbers.split()[0]) >= 3


def test_images_that_find_no_room_are_told_in_the_error_log(tmp_path):
    """The publications' logs take all there is: the images get none, nobody dies."""
    script = """
CHANNEL = "aeron:udp?endpoint=127.0.0.1:%d" % free_port()
with peer.Driver("volans", directory) as driver:
    with volans.connect(directory) as client:
        filler = []
        try:
            while True:
                filler.append(client.add_exclusive_publication("aeron:ipc", 1))
        except volans.RegistrationError as error:
            print(error)
        filler.pop().close()
        wait(lambda: len(log_files(driver.directory)) == len(filler))
        publication = client.add_publication(CHANNEL, 2)
        subscription = client.add_subscription(CHANNEL, 2)
        def image_texts():
            return [text for text in error_texts(driver.directory) if "make an image" in text]
        wait(image_texts)
        time.sleep(0.5)  # the sender asks again and again: not a distinct error each time
        assert not subscription.images
        assert len(image_texts()) <= 3, image_texts()
        print(image_texts()[0])
        for _ in range(3):
            filler.pop().close()
        publication.publish(b"room now", timeout=20)
        wait(lambda: subscription.poll(lambda _buffer, _header: None))
    assert driver.process.poll() is None
print("well")
"""
    answer = run_on_small_file_system(tmp_path, CNC_NEEDS + (2 << 20), script)
    assert answer.returncode == 0, (answer.returncode, answer.stdout, answer.stderr)
    _, text, well = answer.stdout.splitlines()
    assert well == "well"
    assert "image" in text
    assert "needs 200704 bytes" in text
    assert "available" in text
    assert "127.0.0.1" in text
