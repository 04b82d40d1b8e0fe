"""Room for logs: the warning when it runs low, and blocks taken before they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_input import error_texts

import volans
from volans.driver.media_driver import MediaDriver


def logs_of(**settings) -> tuple[list[Path], list[str]]:
    """The logs of two sparse publications (blocks taken or not), and the errors logged."""
    with MediaDriver.launch(**settings) as driver, volans.connect(driver.directory) as client:
        for stream_id in (1, 2):
            client.add_publication("aeron:ipc?term-length=64k|sparse=true", stream_id)
        logs = sorted(Path(driver.directory).rglob("*.logbuffer"))
        taken = [log.stat().st_blocks * 512 >= log.stat().st_size for log in logs]
        return taken, error_texts(driver.directory)


def test_low_space_is_told_once_in_the_official_words():
    threshold_bytes = 1 << 60
    _, texts = logs_of(low_file_store_warning_threshold=threshold_bytes)
    (text,) = texts
    assert text.startswith(f"WARNING: space is running low: threshold={threshold_bytes} usable=")
    assert logs_of(low_file_store_warning_threshold=0)[1] == []
    unchecked = {"perform_storage_checks": False}
    assert logs_of(low_file_store_warning_threshold=threshold_bytes, **unchecked)[1] == []


@pytest.mark.parametrize("pre_touch", [False, True])
def test_pre_touched_logs_have_all_their_blocks(pre_touch):
    taken, _ = logs_of(pre_touch_mapped_memory=pre_touch)
    assert taken == [pre_touch] * 2
