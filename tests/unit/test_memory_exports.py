"""What `volans.memory` offers: every public name, loaded only when it is asked for."""

import subprocess
import sys

import pytest

import volans.memory


def test_every_public_name_is_there():
    for name in volans.memory.__all__:
        assert getattr(volans.memory, name).__name__ == name
    assert set(volans.memory.__all__) <= set(dir(volans.memory))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = volans.memory.Nothing


def test_import_alone_loads_no_structure():
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; import volans.memory; "
        "print([m for m in sys.modules if m.startswith('volans.memory.')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"
