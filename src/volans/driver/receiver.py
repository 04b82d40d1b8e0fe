# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""The receiver: the agent that owns the receive sockets and writes images."""

from __future__ import annotations

import cython
from cython import address, cast, cclass, cfunc, exceptval, nogil, p_void, pointer
from cython.cimports.libc.stdint import int32_t, int64_t
from cython.cimports.libc.stdlib import free
from cython.cimports.libc.string import memset
from cython.cimports.volans.agents.native import NativeAgent
from cython.cimports.volans.driver.layout import (
    TO_RECEIVER_ADD_DESTINATION,
    TO_RECEIVER_ADD_IMAGE,
    TO_RECEIVER_ADD_SUBSCRIPTION,
    TO_RECEIVER_ADD_SUBSCRIPTION_BY_SESSION,
    TO_RECEIVER_REMOVE_COOL_DOWN,
    TO_RECEIVER_REMOVE_DESTINATION,
    TO_RECEIVER_REMOVE_ENDPOINT,
    TO_RECEIVER_REMOVE_IMAGE,
    TO_RECEIVER_REMOVE_INIT_IN_PROGRESS,
    TO_RECEIVER_REMOVE_SUBSCRIPTION,
    TO_RECEIVER_REMOVE_SUBSCRIPTION_BY_SESSION,
    PublicationImage,
    ReceiverState,
)
from cython.cimports.volans.driver.receive_owners import (
    ReceiveDestinationOwner,
    ReceiveEndpointOwner,
)
from cython.cimports.volans.driver.receiver_commands import (
    command_receiver,
    command_receiver_destination,
)
from cython.cimports.volans.driver.receiver_cycle import receiver_cycle
from cython.cimports.volans.driver.resolution import command_receiver_control
from cython.cimports.volans.driver.resolution_layout import TO_RECEIVER_CHECK_RESOLUTION
from cython.cimports.volans.driver.shared import SharedState
from cython.cimports.volans.driver.stream_owners import PublicationImageOwner
from cython.cimports.volans.transport.registry import EngineHandle


@cfunc
@nogil
@exceptval(check=False)
def receiver_do_work(state: p_void, now_ns: int64_t, now_ms: int64_t) -> int32_t:
    return receiver_cycle(cast(pointer[ReceiverState], state), now_ns, now_ms)


@cclass
class Receiver:
    """Owner of the receiver's state; `add_...` and `remove_...` are the control plane's commands.

    Commands are done in order by the receiver's next duty cycles. Each returns False when the
    command ring is full (counted in RECEIVER_PROXY_FAILS): try again later. Keep an endpoint or
    image until its owner says `released`.

    Threading: `native_agent()` runs on one thread; commands come from the control plane.

    Args:
        shared: the driver's SharedState.
        engine: an open EngineHandle of the receiver's own.
    """

    def __init__(self, shared: SharedState, engine: EngineHandle):
        if engine.engine == cython.NULL:
            raise ValueError("the receiver's engine is closed: open a new one")
        memset(address(self.state), 0, cython.sizeof(ReceiverState))
        self.state.shared = address(shared.state)
        self.state.engine = engine.engine
        self.shared_owner = shared
        self.engine_handle = engine

    def __dealloc__(self):
        free(self.state.images)
        free(self.state.pending_setups)

    def native_agent(self) -> NativeAgent:
        """The agent whose duty cycle this is."""
        agent: NativeAgent = NativeAgent.__new__(NativeAgent)
        agent.work = receiver_do_work
        agent.state = address(self.state)
        agent.owner = self
        agent.role_name = "receiver"
        return agent

    def do_work(self, now_ns: int64_t, now_ms: int64_t) -> int:
        """One duty cycle on the caller's thread (invoker mode, simulation); the work count."""
        return receiver_do_work(address(self.state), now_ns, now_ms)

    @property
    def image_count(self) -> int:
        """Images it writes now. For the thread that runs it."""
        return self.state.image_count

    def _command(
        self,
        msg_type_id: int32_t,
        endpoint: ReceiveEndpointOwner,
        image: PublicationImageOwner | None,
        stream_id: int32_t,
        session_id: int32_t,
    ) -> bool:
        image_state: pointer[PublicationImage] = cython.NULL
        if image is not None:
            image_state = image.state
        return command_receiver(
            self.state.shared, msg_type_id, endpoint.state, image_state, stream_id, session_id
        )

    def add_destination(self, destination: ReceiveDestinationOwner) -> bool:
        """Poll one more transport of an endpoint; with explicit control, ask there for SETUPs."""
        return command_receiver_destination(
            self.state.shared,
            TO_RECEIVER_ADD_DESTINATION,
            destination.channel.state,
            destination.state,
        )

    def remove_destination(self, destination: ReceiveDestinationOwner) -> bool:
        """Let go of one transport of an endpoint; then `destination.released`."""
        return command_receiver_destination(
            self.state.shared,
            TO_RECEIVER_REMOVE_DESTINATION,
            destination.channel.state,
            destination.state,
        )

    def remove_endpoint(self, endpoint: ReceiveEndpointOwner) -> bool:
        """Let go of the endpoint, its destinations and images; then all are `released`."""
        return self._command(TO_RECEIVER_REMOVE_ENDPOINT, endpoint, None, 0, 0)

    def check_resolution(self, endpoint: ReceiveEndpointOwner) -> bool:
        """Ask whether an endpoint with explicit control heard nothing; answer: SilentPeer."""
        return self._command(TO_RECEIVER_CHECK_RESOLUTION, endpoint, None, 0, 0)

    def change_control(self, destination: ReceiveDestinationOwner, sockaddr: bytes) -> bool:
        """The name of a destination's explicit control has this address now."""
        return command_receiver_control(
            self.state.shared, destination.channel.state, destination.state.id, sockaddr
        )

    def add_subscription(self, endpoint: ReceiveEndpointOwner, stream_id: int32_t) -> bool:
        """Listen to every session of the stream."""
        return self._command(TO_RECEIVER_ADD_SUBSCRIPTION, endpoint, None, stream_id, 0)

    def remove_subscription(self, endpoint: ReceiveEndpointOwner, stream_id: int32_t) -> bool:
        """Listen only to the sessions that are subscribed to by name."""
        return self._command(TO_RECEIVER_REMOVE_SUBSCRIPTION, endpoint, None, stream_id, 0)

    def add_subscription_by_session(
        self, endpoint: ReceiveEndpointOwner, stream_id: int32_t, session_id: int32_t
    ) -> bool:
        """Listen to one session of the stream."""
        return self._command(
            TO_RECEIVER_ADD_SUBSCRIPTION_BY_SESSION, endpoint, None, stream_id, session_id
        )

    def remove_subscription_by_session(
        self, endpoint: ReceiveEndpointOwner, stream_id: int32_t, session_id: int32_t
    ) -> bool:
        return self._command(
            TO_RECEIVER_REMOVE_SUBSCRIPTION_BY_SESSION, endpoint, None, stream_id, session_id
        )

    def add_image(self, endpoint: ReceiveEndpointOwner, image: PublicationImageOwner) -> bool:
        """Write what comes for the image's session into it."""
        return self._command(
            TO_RECEIVER_ADD_IMAGE,
            endpoint,
            image,
            image.state.stream_id,
            image.state.session_id,
        )

    def remove_image(self, endpoint: ReceiveEndpointOwner, image: PublicationImageOwner) -> bool:
        """Let go of the image (its session cools down); then `image.released`."""
        return self._command(
            TO_RECEIVER_REMOVE_IMAGE,
            endpoint,
            image,
            image.state.stream_id,
            image.state.session_id,
        )

    def remove_init_in_progress(
        self, endpoint: ReceiveEndpointOwner, stream_id: int32_t, session_id: int32_t
    ) -> bool:
        """No image was made of a request: the next SETUP asks again."""
        return self._command(
            TO_RECEIVER_REMOVE_INIT_IN_PROGRESS, endpoint, None, stream_id, session_id
        )

    def remove_cool_down(
        self, endpoint: ReceiveEndpointOwner, stream_id: int32_t, session_id: int32_t
    ) -> bool:
        """The session may have an image again."""
        return self._command(TO_RECEIVER_REMOVE_COOL_DOWN, endpoint, None, stream_id, session_id)
