# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Engines by name. A new network API is one module with `create_engine`, named here."""

from __future__ import annotations

import importlib

import cython
from cython import cclass, cfunc, exceptval, pointer
from cython.cimports.volans.transport.contract import Engine

from volans.transport.errors import EngineClosedError, UnknownTransportError

ROLES = ("sender", "receiver")

# Modules are imported when first asked for: an API nobody uses costs nothing and may be absent.
_factories = {
    "sockets": "volans.transport.sockets",
    "mmsg": "volans.transport.mmsg",
    "simulated": "volans.transport.simulated",
}


@cython.no_gc_clear  # the engine may need keep_alive until its close
@cclass
class EngineHandle:
    """Owns one transport engine.

    Made by :func:`create`, by ``SimulatedNetwork.engine`` or by a wrapper (``LossEngine``,
    ``CaptureEngine``). Closing a wrapper closes what it wraps. Endpoints must be closed
    before their engine. Attributes: ``name``, ``is_wrapped``.

    Threading: one thread owns the engine; ``stats`` may be read by others.
    """

    def __dealloc__(self):
        if self.engine is not cython.NULL:
            self.engine.ops.close(self.engine)
            self.engine = cython.NULL

    @cfunc
    @exceptval(-1, check=False)
    def adopt(self, engine: pointer[Engine], name: str, keep_alive: object) -> cython.int:
        if engine is cython.NULL:
            raise MemoryError(f"no memory for a {name} engine: choose smaller buffers")
        self.engine = engine
        self.name = name
        self.keep_alive = keep_alive
        return 0

    def close(self) -> None:
        """Free the engine, and the one it wraps; may be called again.

        Raises ValueError when a wrapper uses this engine: close the wrapper instead.
        """
        if self.is_wrapped:
            raise ValueError(f"the {self.name} engine is wrapped: close its wrapper instead")
        if self.engine is not cython.NULL:
            self.engine.ops.close(self.engine)
            self.engine = cython.NULL
        inner = self.keep_alive
        self.keep_alive = None
        if isinstance(inner, EngineHandle):
            unwrap(inner)

    @property
    def closed(self) -> bool:
        """Whether the engine is gone."""
        return self.engine is cython.NULL

    @property
    def stats(self) -> dict:
        """The engine's counts: datagrams, bytes, errors, system calls, the last errno."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        return self.engine.stats

    @property
    def caps(self) -> dict:
        """What the engine can do: burst, segments of a run, datagram length, time stamps."""
        if self.engine is cython.NULL:
            raise EngineClosedError(f"the {self.name} engine is closed")
        return self.engine.caps

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __repr__(self):
        state = "closed" if self.engine is cython.NULL else "open"
        return f"<{type(self).__name__} {self.name} {state}>"


@cfunc
def unwrap(inner: EngineHandle) -> object:
    inner.is_wrapped = False
    inner.close()
    return None


@cfunc
def wrap_engine(engine: pointer[Engine], name: str, keep_alive: object) -> EngineHandle:
    handle: EngineHandle = EngineHandle.__new__(EngineHandle)
    handle.adopt(engine, name, keep_alive)
    return handle


@cfunc
@exceptval(-1, check=False)
def engine_to_wrap(handle: EngineHandle, engine: pointer[pointer[Engine]]) -> cython.int:
    if handle.engine is cython.NULL:
        raise EngineClosedError(f"the {handle.name} engine is closed: it cannot be wrapped")
    if handle.is_wrapped:
        raise ValueError(f"the {handle.name} engine is wrapped already: wrap its wrapper")
    handle.is_wrapped = True
    engine[0] = handle.engine
    return 0


def names() -> tuple:
    """The registered transports."""
    return tuple(_factories)


def register(name: str, factory) -> None:
    """Add a transport: ``factory(role, **options) -> EngineHandle``, or its module's name.

    Raises ValueError when the name is taken.
    """
    if name in _factories:
        raise ValueError(f"transport {name!r} is registered already: choose another name")
    _factories[name] = factory


def create(name: str, *, role: str, **options) -> EngineHandle:
    """An engine of the named transport for the "sender" or the "receiver" agent.

    Raises UnknownTransportError, ValueError and TypeError for bad options, MemoryError.
    """
    if role not in ROLES:
        raise ValueError(f"role {role!r} is unknown: choose from {', '.join(ROLES)}")
    factory = _factories.get(name)
    if factory is None:
        raise UnknownTransportError(
            f"transport {name!r} is unknown: choose from {', '.join(sorted(_factories))}"
        )
    if isinstance(factory, str):
        factory = importlib.import_module(factory).create_engine
    return factory(role, **options)
