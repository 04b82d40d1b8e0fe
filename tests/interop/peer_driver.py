"""Official C driver as an ``aeronmd``: no arguments, AERON_* environment, ends on SIGTERM.

The wheel's extension module exports the whole C API, so the driver is run as its own executable
would: the context reads the environment, the driver starts its threads, and this process waits.
Runs under the peer's Python. Importing it from a benchmark gives an embedded official driver.
"""

from __future__ import annotations

import ctypes
import signal
import sys

import pyaeron._pyaeron


def load_library() -> ctypes.CDLL:
    """The C API, its symbols visible to libraries loaded later (the benchmarks' C loops)."""
    library = ctypes.CDLL(pyaeron._pyaeron.__file__, mode=ctypes.RTLD_GLOBAL)
    library.aeron_errmsg.restype = ctypes.c_char_p
    return library


class OfficialDriver:
    """A driver in this process, configured by the environment at the moment of its start."""

    def __init__(self) -> None:
        self._library = load_library()
        self._context = ctypes.c_void_p()
        self._driver = ctypes.c_void_p()
        self._check("context_init", ctypes.byref(self._context))
        self._check("init", ctypes.byref(self._driver), self._context)
        self._check("start", self._driver, ctypes.c_bool(False))

    def _check(self, name: str, *arguments: object) -> None:
        if getattr(self._library, f"aeron_driver_{name}")(*arguments) < 0:
            message = self._library.aeron_errmsg().decode(errors="replace")
            raise RuntimeError(f"aeron_driver_{name}: {message}")

    def close(self) -> None:
        self._check("close", self._driver)
        self._check("context_close", self._context)


def main() -> None:
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    driver = OfficialDriver()
    signal.sigwait(signals)
    driver.close()


if __name__ == "__main__":
    sys.exit(main())
