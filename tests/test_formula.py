"""The formula algebra: textbook layers by themselves, and the algebra against plain arithmetic."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscan.formula import Dim, Formula, Symbol, const, dim

UNITS, INPUTS = dim("units", 128), dim("inputs", 10)


def test_the_simple_rnn_formula_comes_out_of_its_three_shapes():
    formula = Formula.of([(INPUTS, UNITS), (UNITS, UNITS), (UNITS,)])
    assert formula.symbolic == "units × (inputs + units + 1)"
    assert formula.numeric == "128 × (10 + 128 + 1)"
    assert formula.value == 17_792


@pytest.mark.parametrize(
    ("shapes", "symbolic", "value"),
    [
        ([(dim("inputs", 128), dim("units", 64)), (dim("units", 64),)], "units × (inputs + 1)", 8_256),
        (
            [(dim("height", 3), dim("width", 3), dim("channels", 3), dim("filters", 32)), (dim("filters", 32),)],
            "filters × (height × width × channels + 1)",
            896,
        ),
        ([(dim("channels", 8),)] * 4, "4 × channels", 32),
        ([(INPUTS, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)], "4 × units × (inputs + units + 1)", 4 * 17_792),
        ([(INPUTS, 3 * UNITS), (UNITS, 3 * UNITS), (const(2), 3 * UNITS)], "3 × units × (inputs + units + 2)", 3 * 128 * 140),
        ([], "0", 0),
        ([(const(7),)], "7", 7),
        ([()], "1", 1),
        ([(), (dim("units", 5),)], "1 + units", 6),
    ],
)
def test_like_terms_add_up_and_the_common_factor_is_pulled_out(shapes, symbolic, value):
    formula = Formula.of(shapes)
    assert (formula.symbolic, formula.value) == (symbolic, value)


def test_one_name_with_two_values_is_told_apart():
    formula = Formula.of([(dim("units", 3), dim("inputs", 5)), (dim("units", 4), dim("inputs", 5))])
    assert formula.symbolic == "inputs × (units₁ + units₂)"
    assert formula.numeric == "5 × (3 + 4)"


def test_the_unknown_stays_unknown():
    formula = Formula.of([(dim("inputs", None), UNITS), (UNITS,)])
    assert formula.value is None
    assert formula.numeric == "128 × (? + 1)"


def test_a_single_unknown_symbol_is_solved_from_a_size():
    unknown = dim("units", None)
    assert (4 * unknown).solve(512) == ("units", 128)
    assert (4 * unknown).solve(510) is None
    assert (unknown * unknown).solve(16) is None
    assert const(0).solve(0) is None
    assert (4 * unknown).bind({"units": 128}).value == 512
    assert dim("units", 3).bind({"units": 128}).value == 3


symbols = st.builds(Symbol, st.sampled_from("abcd"), st.integers(1, 9))
dims = st.builds(Dim, st.lists(symbols, max_size=2).map(tuple), st.integers(1, 6))
shapes = st.lists(st.lists(dims, max_size=4), max_size=6)


@given(shapes)
def test_factoring_never_changes_the_number(shapes):
    formula = Formula.of(shapes)
    expected = sum(prod(d.coefficient * prod(s.value for s in d.symbols) for d in shape) for shape in shapes)
    assert formula.value == expected
    plain = formula.numeric.replace("×", "*").replace(",", "")
    assert arithmetic(plain) == expected


def arithmetic(text: str) -> int:
    """Value of `factors * (sum of products)`, the only shape that a written formula has."""
    outer = 1
    if "(" in text:
        before, text = text.rstrip(")").split("(")
        outer = prod(int(one) for one in before.split("*") if one.strip())
    return outer * sum(prod(int(one) for one in term.split("*")) for term in text.split("+"))
