"""Ranges of versions against the `packaging` library, and what is no range."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelscan.errors import ConfigError
from modelscan.versions import Versions, version, version_text

specifiers = pytest.importorskip("packaging.specifiers")
numbers = st.lists(st.integers(0, 20), min_size=1, max_size=3)


def text_of(parts):
    return ".".join(map(str, parts))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([">=", "<", "~=", ">", "<="]), numbers, numbers)
def test_ranges_mean_what_package_managers_mean(operator, bound, one):
    if operator == "~=" and len(bound) == 1:
        bound = [*bound, 0]
    if operator in (">", "<="):
        bound = [*bound, 0, 0][:3]  # shorter ones stand for all their corrections here; see below
    assume(operator != "<" or any(bound))
    mine = tuple(one) in Versions.parse(operator + text_of(bound))
    assert mine == specifiers.SpecifierSet(operator + text_of(bound)).contains(text_of(one), prereleases=True)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([">=", "<", "~=", ">", "<=", "==", "!="]), st.lists(st.integers(0, 3), min_size=2, max_size=2)),
        max_size=4,
        min_size=1,
    )
)
def test_a_range_that_allows_nothing_is_none(clauses):
    text = ",".join(operator + text_of(bound) for operator, bound in clauses)
    allowed = [(major, minor, patch) for major in range(6) for minor in range(6) for patch in (0, 1)]
    try:
        found = Versions.parse(text)
    except ConfigError:
        lenient = [Versions.parse(operator + text_of(bound)) for operator, bound in clauses if (operator, bound) != ("<", [0, 0])]
        assert len(lenient) < len(clauses) or not [one for one in allowed if all(one in each for each in lenient)]
    else:
        within = [one for one in allowed if one in found]
        assert within[0][: len(found.lowest())] == found.lowest() or within[0] == (*found.lowest(), 0, 0)[:3]


@pytest.mark.parametrize("text", [">=17,<13", ">=1.17,<1.10", "<3,>4", "==1,==2", ">2.5,<2.6", "~=1.15,<1.15", "<0", "==1.2,!=1.2"])
def test_ranges_that_allow_nothing(text):
    with pytest.raises(ConfigError, match="allows no version"):
        Versions.parse(text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["==", "!="]), numbers, numbers)
def test_equality_is_about_all_corrections(operator, bound, one):
    """`onnxruntime==1.17` is what people write for 1.17.x; package managers spell it `==1.17.*`."""
    mine = tuple(one) in Versions.parse(operator + text_of(bound))
    assert mine == (tuple(one) in Versions.parse(f"{operator}{text_of(bound)}.*"))
    padded = text_of([*one, 0, 0, 0][:6])
    assert mine == specifiers.SpecifierSet(f"{operator}{text_of(bound)}.*").contains(padded, prereleases=True)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.15,<2", ["1.15", "1.99"], ["1.14.9", "2.0", "2"]),
        ("1.17", ["1.17", "1.17.3"], ["1.16", "1.18"]),
        ("=17", ["17"], ["18"]),
        (">1.17", ["1.18"], ["1.17", "1.17.3"]),
        ("<=1.17", ["1.17.9", "1.0"], ["1.18"]),
        (">=3,<4,!=3.4", ["3.3", "3.5"], ["3.4", "3.4.1", "4"]),
        ("~=1.15", ["1.15", "1.99"], ["2.0", "1.14"]),
        (" >= 13 , <= 17 ", ["13", "17"], ["18"]),
    ],
)
def test_examples(text, inside, outside):
    found = Versions.parse(text)
    assert all(version(one) in found for one in inside)
    assert not any(version(one) in found for one in outside)


@pytest.mark.parametrize("text", ["", "x", ">=", ">=1,,<2", "~=1", ">=1.*", "1.2.3.4.5.6.7", ">= 1 2", "=>1", "1" * 20])
def test_what_is_no_range(text):
    with pytest.raises(ConfigError):
        Versions.parse(text)


def test_versions_as_programs_write_them():
    assert version("2.4.0-tf") == (2, 4, 0)
    assert version("v3.1") == (3, 1)
    assert version("nightly") is None
    assert version_text((3, 1)) == "3.1"
