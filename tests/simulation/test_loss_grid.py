"""What loss costs, as golden text: 9 loss rates by 8 windows and terms; and how far it may go.

A change of these numbers is a change of behaviour: look at it, then write the grid anew by the
command it names.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from volans.testing import loss_grid

GOLDEN = Path(__file__).with_name("loss_grid.txt")
# A NAK is repeated while its answer is on the way, and its answer or the NAK itself may get lost.
MAX_NAKS_PER_LOSS = 12.0
# Each byte is sent 1 / (1 - loss) times until it arrives; datagrams sent again by a NAK that was
# not needed any more, and streams of few datagrams, take the rest.
RETRANSMIT_FACTOR = 2.0
RETRANSMIT_ALLOWANCE = 0.05


@pytest.mark.parametrize("loss_percent", loss_grid.LOSS_PERCENTS)
def test_the_grid_is_as_written(loss_percent: int) -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    cells = loss_grid.cells([loss_percent])

    assert text.startswith(loss_grid.heading())
    assert [line for line in text.splitlines() if line.startswith(f"{loss_percent:4}%")] == [
        loss_grid.line(cell) for cell in cells
    ]

    loss = loss_percent / 100
    for cell in cells:
        assert cell.naks <= MAX_NAKS_PER_LOSS * cell.datagrams_lost, cell
        share = RETRANSMIT_FACTOR * loss / (1 - loss)
        assert cell.retransmit_share <= share + (RETRANSMIT_ALLOWANCE if loss else 0), cell


def test_the_grid_is_whole() -> None:
    rows = [
        row for row in GOLDEN.read_text(encoding="utf-8").splitlines() if not row.startswith("#")
    ]
    assert len(rows) == 1 + len(loss_grid.LOSS_PERCENTS) * len(loss_grid.WINDOWS_AND_TERMS)
