"""Engines by name, their options, and who closes what."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from volans import transport
from volans.testing.transport_kit import EngineDriver
from volans.transport.capture import CaptureEngine
from volans.transport.loss import LossEngine


def test_names_and_roles():
    assert {"sockets", "mmsg", "simulated"} <= set(transport.names())
    for role in ("sender", "receiver"):
        with transport.create("mmsg", role=role) as handle:
            assert handle.name == "mmsg"
            assert handle.caps["max_segments"] == 1
            assert handle.caps["max_datagram_length"] == 65507
            assert handle.stats["datagrams_sent"] == 0


def test_unknown_names_say_what_there_is():
    with pytest.raises(transport.UnknownTransportError, match=r"'carrier pigeon'.*mmsg.*sockets"):
        transport.create("carrier pigeon", role="sender")
    with pytest.raises(ValueError, match=r"'king'.*sender, receiver"):
        transport.create("mmsg", role="king")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("tx_queue_count", 0),
        ("tx_queue_count", 1025),
        ("rx_burst_count", -1),
        ("rx_buffer_length_bytes", 65537),
        ("epoll_above_count", -1),
    ],
)
def test_option_out_of_range(option, value):
    for name in ("sockets", "mmsg"):
        with pytest.raises(ValueError, match=rf"{option} is {value}: choose from"):
            transport.create(name, role="sender", **{option: value})


def test_unknown_option():
    with pytest.raises(TypeError, match="warp"):
        transport.create("mmsg", role="sender", warp=9)


def test_a_registered_transport_can_be_made(monkeypatch):
    made = []

    def factory(role, **options):
        made.append((role, options))
        return transport.create("sockets", role=role)

    name = "registered by a test"
    transport.register(name, factory)
    assert name in transport.names()
    with transport.create(name, role="sender", colour="blue") as handle:
        assert handle.name == "sockets"
    assert made == [("sender", {"colour": "blue"})]
    with pytest.raises(ValueError, match="registered already"):
        transport.register(name, factory)


def test_closed_engine():
    handle = transport.create("mmsg", role="sender")
    handle.close()
    handle.close()
    assert handle.closed
    for use in (lambda: handle.stats, lambda: handle.caps, lambda: LossEngine(handle)):
        with pytest.raises(transport.EngineClosedError, match="mmsg engine is closed"):
            use()


def test_a_wrapper_closes_what_it_wraps(tmp_path):
    inner = transport.create("mmsg", role="sender")
    loss = LossEngine(inner, rate=0.5, seed=1)
    capture = CaptureEngine(loss, tmp_path / "capture.pcapng")
    assert capture.name == "capture(loss(mmsg))"
    for wrapped in (inner, loss):
        with pytest.raises(ValueError, match="close its wrapper"):
            wrapped.close()
        with pytest.raises(ValueError, match="wrapped already"):
            LossEngine(wrapped)
        with pytest.raises(ValueError, match="wrapped already"):
            CaptureEngine(wrapped, tmp_path / "none.pcapng")
    assert not (tmp_path / "none.pcapng").exists()
    capture.close()
    assert inner.closed
    assert loss.closed
    assert capture.closed


def open_descriptor_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_dropped_wrappers_free_everything(tmp_path):
    gc.collect()
    before = open_descriptor_count()
    for _ in range(20):
        handle = transport.create("mmsg", role="sender")
        cycle = [CaptureEngine(LossEngine(handle), tmp_path / "capture.pcapng")]
        cycle.append(cycle)
        del handle, cycle
    gc.collect()
    assert open_descriptor_count() == before


def test_wrapper_arguments(tmp_path):
    with transport.create("sockets", role="sender") as handle:
        for rate in (-0.1, 1.1, float("nan")):
            with pytest.raises(ValueError, match="rate is"):
                LossEngine(handle, rate=rate)
        with pytest.raises(ValueError, match="direction 'up'"):
            LossEngine(handle, direction="up")
        with pytest.raises(ValueError, match="direction 'up'"):
            CaptureEngine(handle, tmp_path / "x", direction="up")
        with pytest.raises(ValueError, match="snap_length_bytes"):
            CaptureEngine(handle, tmp_path / "x", snap_length_bytes=-1)
        with pytest.raises(ValueError, match="interface_name"):
            CaptureEngine(handle, tmp_path / "x", interface_name="")
        with pytest.raises(FileNotFoundError):
            CaptureEngine(handle, tmp_path / "absent" / "x")
        assert not handle.is_wrapped


def test_kit_refuses_misuse():
    with EngineDriver(transport.create("sockets", role="sender")) as driver:
        with pytest.raises(IndexError):
            driver.send_copy(0, ("127.0.0.1", 1), b"")
        with pytest.raises(ValueError, match="not numeric"):
            driver.open("localhost")
        with pytest.raises(ValueError, match="port 65536"):
            driver.open("127.0.0.1", 65536)
        x = driver.open("127.0.0.1")
        driver.close_endpoint(x)
        with pytest.raises(ValueError, match="closed"):
            driver.local(x)
