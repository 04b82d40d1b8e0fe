"""Which process a client is in, told in the label of its heartbeat counter.

Behind what official clients write there (``name=… version=… commit=…``) stands
``pid=<n> pidns=<n>``: the process id and the pid namespace it is valid in. Official tools show the
label as it is, official drivers ignore it; a Volans driver of the same machine need not wait for
the liveness time-out when the process has died.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# At the end only: the client's name stands before it and may hold anything.
_MARK: Final = re.compile(r" pid=([0-9]{1,10}) pidns=([0-9]{1,20})\Z")


class ClientProcess(NamedTuple):
    """A process id and the namespace (inode number of ``/proc/<pid>/ns/pid``) it is valid in."""

    pid: int
    namespace_id: int


def client_process_mark(pid: int, namespace_id: int | None) -> str:
    """What a client appends to its label; the namespace is left out when it is not known."""
    return f" pid={pid}" + ("" if namespace_id is None else f" pidns={namespace_id}")


def client_process_of(label: str) -> ClientProcess | None:
    """The process a label names; None when it names none whose namespace is known."""
    found = _MARK.search(label.rstrip("\0"))
    return None if found is None else ClientProcess(int(found[1]), int(found[2]))
