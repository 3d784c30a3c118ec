"""Names that are given once."""

import pytest

from modelscan.naming import free


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a", "a"], ["a", "a_2", "a_3"]),
        (["a_2", "a", "a", "a"], ["a_2", "a", "a_3", "a_4"]),
        (["a", "a", "a_2", "a_2"], ["a", "a_2", "a_2_2", "a_2_3"]),
        (["a_3", "a", "a", "a", "a_3"], ["a_3", "a", "a_2", "a_4", "a_3_2"]),
    ],
)
def test_the_first_free_number(asked, given):
    taken = {}
    assert [free(one, taken) for one in asked] == given
    assert set(taken) == set(given)


def test_another_mark():
    taken = {}
    assert [free("f", taken, "#") for _ in range(3)] == ["f", "f#2", "f#3"]
    assert [free("g", taken, first=1) for _ in range(3)] == ["g", "g_1", "g_2"]
