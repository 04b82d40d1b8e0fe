"""Native agents: life cycle, stall counters, composites, and life beside a held GIL."""

import gc
import subprocess
import sys
import threading
import time

import pytest

from volans.agents import (
    AgentCloseTimeoutError,
    BackoffIdleStrategy,
    NativeAgent,
    NativeAgentRunner,
    NativeComposite,
    NoOpIdleStrategy,
    SleepingIdleStrategy,
    YieldingIdleStrategy,
)
from volans.testing.counting_agent import CountingAgent, run_native_cycle


def wait_until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0)


def test_a_runner_runs_names_its_thread_and_ends():
    agent = CountingAgent("sender-under-test")
    runner = NativeAgentRunner(agent, YieldingIdleStrategy())
    assert not runner.is_running
    runner.start()
    wait_until(lambda: agent.cycles_count >= 100)
    assert runner.is_running
    assert any(thread.name == "sender-under-test" for thread in threading.enumerate())
    runner.close()
    cycles_count = agent.cycles_count
    assert not runner.is_running
    assert all(thread.name != "sender-under-test" for thread in threading.enumerate())
    runner.close()
    assert agent.cycles_count == cycles_count


def test_duty_cycles_go_on_while_the_main_thread_holds_the_gil():
    agent = CountingAgent()
    with NativeAgentRunner(agent, BackoffIdleStrategy()):
        wait_until(lambda: agent.cycles_count > 0)
        before = agent.cycles_count
        interval_s = sys.getswitchinterval()
        # No thread is offered the GIL: one that needed it could not move.
        sys.setswitchinterval(1_000)
        try:
            deadline = time.monotonic() + 20
            while agent.cycles_count < before + 1_000 and time.monotonic() < deadline:
                pass
            after = agent.cycles_count
        finally:
            sys.setswitchinterval(interval_s)
    assert after >= before + 1_000


def test_the_clocks_are_read_once_a_cycle_and_handed_in():
    agent = CountingAgent()
    before_ns, before_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
    with NativeAgentRunner(agent, YieldingIdleStrategy()):
        wait_until(lambda: agent.cycles_count > 2)
    assert before_ns <= agent.last_now_ns <= time.monotonic_ns()
    assert before_ms <= agent.last_now_ms <= time.time_ns() // 1_000_000


def test_nothing_holds_on_to_a_closed_runner():
    agent = CountingAgent()
    alone = sys.getrefcount(agent)
    runner = NativeAgentRunner(agent, YieldingIdleStrategy())
    runner.start()
    runner.close()
    del runner
    gc.collect()
    # An exit handler left behind would still hold the runner, and that the agent.
    assert sys.getrefcount(agent) == alone


def test_a_negative_result_ends_the_loop():
    agent = CountingAgent(end_after_cycles=3, end_result=-7)
    runner = NativeAgentRunner(agent, NoOpIdleStrategy())
    runner.start()
    wait_until(lambda: not runner.is_running)
    assert agent.cycles_count == 3
    assert runner.exit_result == -7
    runner.close()


def test_work_keeps_the_idle_strategy_from_sleeping():
    agent = CountingAgent(work_count=1)
    with NativeAgentRunner(agent, SleepingIdleStrategy(sleep_ns=3_000_000_000)) as runner:
        # One idle call would take three seconds; work does none.
        wait_until(lambda: agent.cycles_count > 1_000)
        assert runner.is_running


def test_cycles_are_measured_from_start_to_start():
    agent = CountingAgent(stall_ns=2_000_000, end_after_cycles=5)
    runner = NativeAgentRunner(agent, NoOpIdleStrategy())
    agent.measure(runner, cycle_threshold_ns=1_000_000)
    runner.start()
    wait_until(lambda: not runner.is_running)
    runner.close()
    assert agent.max_cycle_time_ns >= 2_000_000
    assert agent.slow_cycles_count == 4


def test_closing_a_stuck_agent_is_bounded_in_time_and_may_be_repeated():
    agent = CountingAgent("stuck-agent", stall_ns=500_000_000)
    runner = NativeAgentRunner(agent, NoOpIdleStrategy())
    runner.start()
    wait_until(lambda: agent.last_now_ns > 0)
    with pytest.raises(AgentCloseTimeoutError, match=r"'stuck-agent' .* timeout_s=0\.001"):
        runner.close(timeout_s=0.001)
    runner.close(timeout_s=20)
    assert not runner.is_running


def test_a_runner_starts_once_and_not_after_close():
    runner = NativeAgentRunner(CountingAgent(), NoOpIdleStrategy())
    runner.start()
    with pytest.raises(RuntimeError, match="make a new one"):
        runner.start()
    runner.close()
    with pytest.raises(RuntimeError, match="make a new one"):
        runner.start()
    unused = NativeAgentRunner(CountingAgent(), NoOpIdleStrategy())
    unused.close()
    with pytest.raises(RuntimeError, match="make a new one"):
        unused.start()


def test_what_cannot_be_run_is_refused():
    with pytest.raises(ValueError, match="no work function"):
        NativeAgentRunner(NativeAgent(), NoOpIdleStrategy())
    with pytest.raises(TypeError):
        NativeAgentRunner(None, NoOpIdleStrategy())
    with pytest.raises(TypeError):
        NativeAgentRunner(CountingAgent(), object())


def test_a_composite_runs_its_agents_in_turn_and_adds_up_their_work():
    agents = [CountingAgent(name, work_count=n) for n, name in enumerate("abc", start=1)]
    composite = NativeComposite(agents)
    assert composite.role_name == "[a,b,c]"
    assert NativeComposite(agents, "shared").role_name == "shared"
    assert run_native_cycle(composite, 11, 22) == 6
    assert [(a.cycles_count, a.last_now_ns, a.last_now_ms) for a in agents] == [(1, 11, 22)] * 3
    nested = NativeComposite([composite, CountingAgent("d", work_count=10)])
    assert run_native_cycle(nested, 12, 23) == 16


def test_a_composite_ends_with_the_first_agent_that_does():
    last = CountingAgent("last")
    composite = NativeComposite([CountingAgent("ends", end_after_cycles=1, end_result=-3), last])
    assert run_native_cycle(composite, 1, 1) == -3
    assert last.cycles_count == 0


def test_a_composite_of_nothing_or_of_an_empty_agent_is_refused():
    with pytest.raises(ValueError, match="give at least one"):
        NativeComposite([])
    with pytest.raises(ValueError, match="no work function"):
        NativeComposite([NativeAgent()])
    with pytest.raises(TypeError):
        NativeComposite([object()])


def test_a_process_that_forgets_to_close_still_ends():
    program = (
        "from volans.agents import NativeAgentRunner, YieldingIdleStrategy\n"
        "from volans.testing.counting_agent import CountingAgent\n"
        "NativeAgentRunner(CountingAgent(), YieldingIdleStrategy()).start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=60, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
