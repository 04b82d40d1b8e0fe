"""Hosts in network namespaces: skipped, with the reason, where none can be made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import kit
import peer


@pytest.fixture(autouse=True)
def _hosts_possible() -> None:
    reason = kit.missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def official_peer() -> str:
    """Skips where the official driver cannot be run."""
    try:
        return peer.peer_python()
    except peer.PeerUnavailable as reason:
        pytest.skip(str(reason))
