"""The examples of docs/guide.md are one program, and it runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide.md"

pytest.importorskip("numpy", reason="the guide shows batches as NumPy arrays")


def test_the_examples_run_from_top_to_bottom(tmp_path):
    text = GUIDE.read_text()
    examples = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 10
    assert len(examples) == text.count("```") // 2  # nothing that looks like code is left out
    program = tmp_path / "guide.py"
    program.write_text("\n".join(examples))
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(program)],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
