"""What `volans.memory` and `volans.agents` offer: every public name, loaded lazily, documented."""

import subprocess
import sys

import pytest

import volans.agents
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


@pytest.mark.parametrize("package", [volans.memory, volans.agents], ids=lambda each: each.__name__)
def test_every_public_class_says_what_it_is_and_which_threads_may_use_it(package):
    silent = []
    for name in package.__all__:
        public = getattr(package, name)
        if isinstance(public, type) and issubclass(public, BaseException):
            continue
        # A class with nothing of its own to say about threads shares what its base says.
        told = [each.__doc__ or "" for each in public.__mro__ if each is not object]
        if not told[0] or not any("thread" in text.lower() for text in told):
            silent.append(name)
    assert silent == []


@pytest.mark.parametrize("package", [volans.memory, volans.agents], ids=lambda each: each.__name__)
def test_every_public_method_is_documented(package):
    bare = [
        f"{name}.{member}"
        for name in package.__all__
        for member, value in vars(getattr(package, name)).items()
        if not member.startswith("_")
        and callable(getattr(value, "__func__", value))
        and not getattr(value, "__doc__", None)
    ]
    assert bare == []
