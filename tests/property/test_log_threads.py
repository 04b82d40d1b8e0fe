"""Producers and a consumer without the GIL: order, content, tripping at the end of terms."""

from __future__ import annotations

import threading

import pytest

from volans.testing.log_kit import LogKit
from volans.testing.log_stress import consume, produce


@pytest.mark.parametrize(
    ("producer_count", "exclusive", "count", "max_length"),
    [(1, False, 4000, 8192), (3, False, 3000, 8192), (4, False, 4000, 64), (1, True, 5000, 8192)],
)
def test_messages_of_concurrent_producers_arrive_whole_and_in_order(
    producer_count, exclusive, count, max_length
):
    kit = LogKit(65536, 1408)
    kit.is_connected = True
    kit.position_limit = 0
    results: dict[int, dict] = {}

    def run(key, function, *arguments):
        results[key] = function(kit, *arguments)

    threads = [
        threading.Thread(target=run, args=(i, produce, i, count, max_length, exclusive))
        for i in range(producer_count)
    ]
    threads.append(
        threading.Thread(target=run, args=("in", consume, count * producer_count, 32768))
    )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    kit.stopped = True
    for thread in threads:
        thread.join(10)
    assert results["in"]["failure"] == 0
    assert results["in"]["received"] == count * producer_count
    for index in range(producer_count):
        assert results[index]["failure"] == 0
        assert results[index]["sent"] == count
    assert results["in"]["position"] <= kit.producer_position
    terms = results["in"]["position"] // 65536
    assert terms >= 3, "no partition was used twice"
    # Every end of a term tripped somebody.
    assert sum(results[i]["admin_actions"] for i in range(producer_count)) >= terms
