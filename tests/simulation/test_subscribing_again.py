"""A subscription closed and added again, at the worst moments, misses nothing it was promised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from volans.testing.simulator import make_plan, simulate
from volans.testing.simulator_plan import (
    MS,
    Disturbance,
    FaultPlan,
    Plan,
    PublisherPlan,
    S,
    StreamPlan,
    SubscriberPlan,
)

SEEDS = range(6)
PUBLISHER = PublisherPlan(
    client=0,
    is_exclusive=True,
    start_ns=0,
    count=200,
    shortest=1,
    longest=600,
    gap_ns=2 * MS,
    burst=1,
    way="offer",
    closes_when_done=True,
    dies_in_claim=False,
)
SUBSCRIBER = SubscriberPlan(
    client=1, is_spy=False, start_ns=0, way="poll", limit=10, gap_ns=0, absences=()
)


def plan_of(seed, subscriber, loss=0.0, disturbances=(), publisher=PUBLISHER):
    stream = StreamPlan(
        number=0,
        kind="udp",
        driver=1,
        stream_id=1001,
        channel="aeron:udp?endpoint=10.0.0.2:40123",
        options=(),
        is_reliable=True,
        publishers=(publisher,),
        subscribers=(subscriber,),
    )
    fault = FaultPlan(loss, 0.0, 0.0, 200_000, 300_000)
    return Plan(seed, 2, (0, 1), fault, (stream,), disturbances)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_gets_a_new_image_when_it_comes_back_at_once(seed):
    # Less than the driver's timer interval: the image nobody reads any more is still there.
    away = replace(SUBSCRIBER, absences=((200 * MS, 201 * MS), (300 * MS, 302 * MS)))
    report = simulate(seed, plan=plan_of(seed, away))
    assert report.delivered_count > 150


@pytest.mark.parametrize("seed", SEEDS)
def test_the_publication_lingers_for_it_although_another_had_left(seed):
    # The publisher is done soon after: what is lost then has to come by retransmits.
    away = replace(SUBSCRIBER, absences=((200 * MS, 230 * MS),), limit=1, gap_ns=3 * MS)
    rush = replace(PUBLISHER, gap_ns=0, count=400, start_ns=150 * MS, burst=4)
    report = simulate(seed, plan=plan_of(seed, away, loss=0.3, publisher=rush))
    assert report.counters["RETRANSMITS_SENT"] > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_its_address_is_free_when_the_driver_finds_both_commands_at_once(seed):
    # No image keeps the socket open, and the paused driver reads close and add together.
    away = replace(SUBSCRIBER, absences=((150 * MS, 151 * MS),))
    late = replace(PUBLISHER, start_ns=400 * MS)
    pause = Disturbance("driver_pause", 1, 0, 140 * MS, 160 * MS)
    report = simulate(seed, plan=plan_of(seed, away, disturbances=(pause,), publisher=late))
    assert report.delivered_count == PUBLISHER.count


def test_plans_of_seeds_contain_such_moments():
    absences = [
        end - begin
        for seed in range(300)
        for stream in make_plan(seed).streams
        for subscriber in stream.subscribers
        for begin, end in subscriber.absences
    ]
    assert min(absences) <= 1 * MS < 50 * MS <= max(absences) < S
