"""The GIL-free map against a dict."""

from hypothesis import given
from hypothesis import strategies as st

from volans.memory.int64_map import exercise_int64_map

keys = st.one_of(st.integers(-8, 40), st.integers(-(2**63), 2**63 - 1))
operations = st.lists(
    st.tuples(st.sampled_from(["put", "get", "remove"]), keys, st.integers(1, 2**62))
)


@given(operations)
def test_behaves_like_a_dict(script):
    model: dict[int, int] = {}
    expected: list[int | None] = []
    for name, key, value in script:
        if name == "put":
            model[key] = value
            expected.append(None)
        elif name == "get":
            expected.append(model.get(key, 0))
        else:
            expected.append(model.pop(key, 0))
    assert exercise_int64_map(script) == [*expected, len(model)]
