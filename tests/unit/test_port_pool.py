"""Wildcard ports out of a range."""

import pytest

from volans.driver.conductor.errors import CommandRefusedError
from volans.driver.conductor.port_pool import PortPool


def test_without_a_range_the_system_chooses():
    pool = PortPool(0, 0)
    assert pool.is_the_systems
    assert [pool.take(0), pool.take(0), pool.take(4000)] == [0, 0, 4000]


def test_ports_are_handed_out_one_after_the_other_and_again_when_given_back():
    pool = PortPool(5000, 5002)
    assert [pool.take(0) for _ in range(3)] == [5000, 5001, 5002]
    pool.give_back(5001)
    assert pool.take(0) == 5001
    pool.give_back(5000)
    pool.give_back(5002)
    assert [pool.take(0), pool.take(0)] == [5002, 5000]


def test_a_used_up_range_is_told():
    pool = PortPool(5000, 5000)
    pool.take(0)
    with pytest.raises(CommandRefusedError, match="no available ports in range 5000 5000"):
        pool.take(0)


def test_ports_that_channels_name_are_not_handed_out():
    pool = PortPool(5000, 5001)
    pool.take(5000)
    pool.take(5000)
    assert pool.take(0) == 5001
    pool.give_back(5000)
    with pytest.raises(CommandRefusedError):
        pool.take(0)
    pool.give_back(5000)
    assert pool.take(0) == 5000


def test_who_may_not_choose_gets_any_port():
    assert PortPool(5000, 5001).take(0, may_choose=False) == 0
