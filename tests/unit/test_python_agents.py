"""Python agents: runner and invoker life cycles, errors, termination, groups."""

import threading

import pytest

from volans.agents import (
    Agent,
    AgentBase,
    AgentCloseTimeoutError,
    AgentInvoker,
    AgentRunner,
    AgentTerminationException,
    CompositeAgent,
    DynamicCompositeAgent,
    YieldingIdleStrategy,
)


class Recorder:
    """Notes every call; `script` holds what each duty cycle returns or raises."""

    def __init__(self, role_name="recorder", script=(), on_start_error=None, on_close_error=None):
        self.role_name = role_name
        self.script = list(script)
        self.errors = {"start": on_start_error, "close": on_close_error}
        self.calls = []
        self.threads = set()

    def note(self, call):
        self.calls.append(call)
        self.threads.add(threading.current_thread().name)
        if self.errors.get(call) is not None:
            raise self.errors[call]

    def on_start(self):
        self.note("start")

    def do_work(self):
        self.note("work")
        result = self.script.pop(0) if self.script else AgentTerminationException()
        if isinstance(result, BaseException):
            raise result
        return result

    def on_close(self):
        self.note("close")


class Counter:
    value = 0

    def increment(self):
        self.value += 1


def run_to_the_end(agent, error_counter=None):
    errors = []
    runner = AgentRunner(agent, YieldingIdleStrategy(), errors.append, error_counter).start()
    runner.thread.join(20)
    assert runner.is_closed
    runner.close()
    return errors


def test_a_runner_starts_works_and_closes_its_agent_on_one_named_thread():
    agent = Recorder("worker", [1, 0])
    assert isinstance(agent, Agent)
    assert run_to_the_end(agent) == []
    assert agent.calls == ["start", "work", "work", "work", "close"]
    assert agent.threads == {"worker"}


def test_errors_are_counted_and_handled_and_the_agent_goes_on():
    failure = ValueError("once")
    counter = Counter()
    agent = Recorder(script=[failure, 1])
    assert run_to_the_end(agent, counter) == [failure]
    assert counter.value == 1
    assert agent.calls.count("work") == 3


def test_only_an_unexpected_termination_is_reported():
    unexpected = AgentTerminationException("lost the disk", expected=False)
    assert run_to_the_end(Recorder(script=[unexpected])) == [unexpected]
    assert run_to_the_end(Recorder()) == []


def test_a_failed_start_closes_the_agent_without_a_duty_cycle():
    failure = OSError("no port")
    agent = Recorder(on_start_error=failure)
    assert run_to_the_end(agent) == [failure]
    assert agent.calls == ["start", "close"]


def test_a_failed_close_is_reported():
    failure = OSError("busy")
    assert run_to_the_end(Recorder(on_close_error=failure)) == [failure]


def test_system_exit_ends_the_agent_but_closes_it():
    agent = Recorder(script=[SystemExit(3)])
    (error,) = run_to_the_end(agent)
    assert isinstance(error, SystemExit)
    assert agent.calls[-1] == "close"


def test_closing_a_runner_never_started_closes_the_agent_once():
    agent = Recorder()
    runner = AgentRunner(agent, YieldingIdleStrategy(), pytest.fail)
    runner.close()
    runner.close()
    assert agent.calls == ["close"]
    with pytest.raises(RuntimeError, match="make a new one"):
        runner.start()


def test_close_is_bounded_and_can_be_repeated():
    entered, release = threading.Event(), threading.Event()

    class Blocked(AgentBase):
        role_name = "blocked"

        def do_work(self):
            entered.set()
            release.wait(20)
            return 1

    runner = AgentRunner(Blocked(), YieldingIdleStrategy(), pytest.fail).start()
    assert entered.wait(20)
    with pytest.raises(AgentCloseTimeoutError, match="'blocked' did not end within"):
        runner.close(timeout_s=0.01)
    release.set()
    runner.close(timeout_s=20)
    assert runner.is_closed


def test_an_agent_may_close_its_own_runner():
    class Quitter(AgentBase):
        def do_work(self):
            runner.close()
            return 0

    runner = AgentRunner(Quitter(), YieldingIdleStrategy(), pytest.fail)
    runner.start()
    runner.thread.join(20)
    assert runner.is_closed


def test_an_agent_may_close_its_runner_while_it_is_closed():
    class Quitter(AgentBase):
        closes_count = 0

        def on_close(self):
            self.closes_count += 1
            runner.close()

    agent = Quitter()
    runner = AgentRunner(agent, YieldingIdleStrategy(), pytest.fail)
    runner.close()
    assert agent.closes_count == 1


def test_an_invoker_runs_cycles_on_the_callers_thread():
    agent = Recorder(script=[3, 0])
    invoker = AgentInvoker(agent, pytest.fail)
    assert invoker.invoke() == 0
    invoker.start()
    invoker.start()
    assert (invoker.invoke(), invoker.invoke()) == (3, 0)
    assert invoker.is_running
    invoker.invoke()
    assert invoker.is_closed
    assert invoker.invoke() == 0
    assert agent.calls == ["start", "work", "work", "work", "close"]
    assert agent.threads == {threading.current_thread().name}


def test_an_invoker_reports_errors_and_goes_on():
    errors, counter, failure = [], Counter(), ValueError("once")
    with AgentInvoker(Recorder(script=[failure, 5]), errors.append, counter) as invoker:
        assert (invoker.invoke(), invoker.invoke()) == (0, 5)
    assert (errors, counter.value) == ([failure], 1)


def test_an_invoker_whose_start_fails_closes():
    errors = []
    agent = Recorder(on_start_error=OSError("no"))
    invoker = AgentInvoker(agent, errors.append).start()
    assert invoker.is_closed
    assert len(errors) == 1
    assert agent.calls == ["start", "close"]


def test_a_composite_goes_on_behind_the_agent_that_raised():
    failing = Recorder("b", [ValueError("b"), 10])
    others = Recorder("a", [1, 2]), Recorder("c", [100, 200])
    composite = CompositeAgent(others[0], failing, others[1])
    assert composite.role_name == "[a,b,c]"
    with pytest.raises(ValueError, match="b"):
        composite.do_work()
    assert composite.do_work() == 100
    assert composite.do_work() == 212


def test_a_composite_starts_and_closes_all_even_when_some_fail():
    agents = [
        Recorder("a", on_start_error=OSError("1"), on_close_error=OSError("2")),
        Recorder("b"),
    ]
    composite = CompositeAgent(*agents)
    with pytest.raises(ExceptionGroup, match="1 agents failed on start"):
        composite.on_start()
    with pytest.raises(ExceptionGroup, match="1 agents failed on close"):
        composite.on_close()
    assert [agent.calls for agent in agents] == [["start", "close"]] * 2
    with pytest.raises(ValueError, match="give at least one"):
        CompositeAgent()


def test_a_dynamic_composite_adds_and_removes_in_its_duty_cycle():
    first, second = Recorder("first", [1] * 5), Recorder("second", [10] * 5)
    group = DynamicCompositeAgent("group", first)
    with pytest.raises(RuntimeError, match="status INIT"):
        group.try_add(second)
    group.on_start()
    assert group.try_add(second)
    assert not group.try_add(Recorder())
    assert not group.has_add_completed()
    assert second.calls == []
    assert group.do_work() == 11
    assert group.has_add_completed()
    assert group.try_remove(first)
    assert group.do_work() == 10
    assert group.has_remove_completed()
    assert first.calls == ["start", "work", "close"]
    group.on_close()
    assert second.calls[-1] == "close"
    with pytest.raises(RuntimeError, match="status CLOSED"):
        group.try_remove(second)


def test_a_dynamic_composite_survives_an_agent_that_cannot_start():
    group = DynamicCompositeAgent("group")
    group.on_start()
    bad = Recorder("bad", on_start_error=OSError("no"))
    group.try_add(bad)
    with pytest.raises(OSError, match="no"):
        group.do_work()
    assert bad.calls == ["start", "close"]
    assert group.agents == ()
    assert group.do_work() == 0
