# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The sender: the agent that owns the sending sockets and the wire side of publications."""

from __future__ import annotations

import cython
from cython import address, bint, cast, cclass, cfunc, exceptval, nogil, p_void, pointer, sizeof
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.volans.agents.native import NativeAgent, make_native_agent
from cython.cimports.volans.driver.layout import (
    SYSTEM_SENDER_PROXY_FAILS,
    TO_SENDER_ADD_DESTINATION,
    TO_SENDER_ADD_ENDPOINT,
    TO_SENDER_ADD_PUBLICATION,
    TO_SENDER_CHANGE_DESTINATION,
    TO_SENDER_REMOVE_DESTINATION,
    TO_SENDER_REMOVE_ENDPOINT,
    TO_SENDER_REMOVE_PUBLICATION,
    AgentCommand,
    SenderState,
)
from cython.cimports.volans.driver.resolution_layout import (
    TO_SENDER_CHANGE_PEER,
    TO_SENDER_CHECK_RESOLUTION,
)
from cython.cimports.volans.driver.send_cycle import send_cycle, send_cycle_free
from cython.cimports.volans.driver.send_owners import SendEndpointOwner
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.driver.stream_owners import NetworkPublicationOwner
from cython.cimports.volans.memory.atomic import fetch_add_i64
from cython.cimports.volans.memory.layout import RING_OK
from cython.cimports.volans.memory.ring_buffer import mpsc_ring_write
from cython.cimports.volans.transport.registry import EngineHandle


@cfunc
@nogil
@exceptval(check=False)
def sender_do_work(state: p_void, now_ns: int64_t, now_ms: int64_t) -> int32_t:
    return send_cycle(cast(pointer[SenderState], state), now_ns, now_ms)


@cclass
class Sender:
    """The sending agent of one driver.

    Args:
        shared: what the driver's agents share.
        engine: the transport engine of the sending side; this agent's thread owns it.

    Threading: `native_agent()` (or `do_work`) runs on one thread; the other methods are the
    control plane's. They return False when the sender's command ring is full: call again later.
    An item must outlive its removal until its owner says `released`.
    """

    def __init__(self, shared: SharedState, engine: EngineHandle):
        memset(address(self.state), 0, sizeof(SenderState))
        self.state.shared = address(shared.state)
        self.state.engine = engine.engine
        self.shared_owner = shared
        self.engine_handle = engine

    def __dealloc__(self):
        send_cycle_free(address(self.state))

    def native_agent(self) -> NativeAgent:
        """The agent whose duty cycle this is."""
        return make_native_agent(sender_do_work, address(self.state), self, "sender")

    def do_work(self, now_ns: int64_t, now_ms: int64_t) -> int:
        """One duty cycle on the caller's thread (invoker mode, simulation); a work count."""
        return send_cycle(address(self.state), now_ns, now_ms)

    def add_endpoint(self, endpoint: SendEndpointOwner) -> bool:
        """Begin to poll an endpoint for control frames."""
        return self._tell(TO_SENDER_ADD_ENDPOINT, endpoint.state)

    def remove_endpoint(self, endpoint: SendEndpointOwner) -> bool:
        """Let go of an endpoint, after all its publications."""
        return self._tell(TO_SENDER_REMOVE_ENDPOINT, endpoint.state)

    def add_publication(self, publication: NetworkPublicationOwner) -> bool:
        """Begin to send a publication."""
        return self._tell(TO_SENDER_ADD_PUBLICATION, publication.state)

    def remove_publication(self, publication: NetworkPublicationOwner) -> bool:
        """Let go of a publication and of what is queued out of its log."""
        return self._tell(TO_SENDER_REMOVE_PUBLICATION, publication.state)

    def add_destination(
        self, endpoint: SendEndpointOwner, registration_id: int64_t, sockaddr: bytes
    ) -> bool:
        """Send to one more address (sockaddr bytes; empty: its name is not resolved yet)."""
        return self._tell_destination(
            TO_SENDER_ADD_DESTINATION, endpoint, registration_id, sockaddr
        )

    def change_destination(
        self, endpoint: SendEndpointOwner, registration_id: int64_t, sockaddr: bytes
    ) -> bool:
        """The name of a destination has another address now."""
        return self._tell_destination(
            TO_SENDER_CHANGE_DESTINATION, endpoint, registration_id, sockaddr
        )

    def remove_destination(self, endpoint: SendEndpointOwner, registration_id: int64_t) -> bool:
        """Send to a destination no longer."""
        return self._tell_destination(TO_SENDER_REMOVE_DESTINATION, endpoint, registration_id, b"")

    def check_resolution(self, endpoint: SendEndpointOwner) -> bool:
        """Ask which peers of an endpoint are silent; the answers come as SilentPeer messages."""
        return self._tell(TO_SENDER_CHECK_RESOLUTION, endpoint.state)

    def change_peer(self, endpoint: SendEndpointOwner, sockaddr: bytes, connect: bool) -> bool:
        """The name of an endpoint's one peer has this address now."""
        return self._tell_destination(
            TO_SENDER_CHANGE_PEER, endpoint, 1 if connect else 0, sockaddr
        )

    @cfunc
    def _tell_destination(
        self,
        msg_type_id: int32_t,
        endpoint: SendEndpointOwner,
        registration_id: int64_t,
        sockaddr: bytes,
    ) -> object:
        command: AgentCommand
        if len(sockaddr) not in (0, 16, 28):
            raise ValueError(f"socket address of {len(sockaddr)} bytes: 16 or 28 are possible")
        memset(address(command), 0, sizeof(AgentCommand))
        command.item = endpoint.state
        command.id = registration_id
        memcpy(command.address.bytes, cast(cython.p_char, sockaddr), len(sockaddr))
        command.address.length = len(sockaddr)
        return self._write(msg_type_id, address(command))

    @cfunc
    @nogil
    @exceptval(check=False)
    def _tell(self, msg_type_id: int32_t, item: p_void) -> bint:
        command: AgentCommand
        memset(address(command), 0, sizeof(AgentCommand))
        command.item = item
        return self._write(msg_type_id, address(command))

    @cfunc
    @nogil
    @exceptval(check=False)
    def _write(self, msg_type_id: int32_t, command: pointer[AgentCommand]) -> bint:
        if (
            mpsc_ring_write(
                address(self.state.shared.to_sender),
                msg_type_id,
                command,
                sizeof(AgentCommand),
            )
            == RING_OK
        ):
            return True
        fetch_add_i64(self.state.shared.system[SYSTEM_SENDER_PROXY_FAILS], 1)
        return False
