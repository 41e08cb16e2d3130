"""When two answers are the same answer: the value counts, however it is spelled."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder import protocol
from autograder.answers import IMAGE_TOLERANCE, agree, describe, difference

NAN, INF = float("nan"), float("inf")


class TestNumbers:
    """A count is a count whatever type it has, and nothing else is a number."""

    @pytest.mark.parametrize(
        "got",
        [
            7,
            7.0,
            7 + 0j,
            np.int64(7),
            np.uint8(7),
            np.float16(7),
            np.complex64(7),
            np.array(7),
            np.array(7.0),
        ],
    )
    def test_a_whole_number_has_many_spellings(self, got):
        assert agree(got, 7)
        assert agree(got, 7.0)

    @pytest.mark.parametrize(
        ("got", "words"),
        [
            ("7", "a string"),
            (b"7", "a bytes object"),
            ([7], "a list"),
            ((7,), "a tuple"),
            (np.array([7]), "an array with 1 axis"),
            (np.zeros((1, 1)), "an array with 2 axes"),
            ({7: 7}, "a dict"),
            (True, "a truth value"),
            (np.bool_(True), "a truth value"),
            (np.array(True), "a truth value"),
            (None, "None (is a return missing?)"),
        ],
    )
    def test_what_is_no_number(self, got, words):
        """The student reads what it is, and what was expected."""
        assert difference(got, 7) == f"it is {words}, where a number is expected"

    @pytest.mark.parametrize("want", [2**53 + 1, 2**64, 10**400, -(10**400), 16_777_217, 100_000, 70_000])
    @pytest.mark.parametrize(
        "near",
        [
            lambda n: n + 1,
            lambda n: np.float16(np.inf),
            lambda n: np.float32(np.inf),
            lambda n: -n,
            lambda n: complex(n % 1000, 1),
            lambda n: np.float32(n % 2**40 - 1),
        ],
    )
    def test_counts_are_exact(self, want, near):
        """Neither a small numpy type nor a float rounds an expected count to itself."""
        assert agree(want, want)
        assert not agree(near(want), want)

    @pytest.mark.parametrize("want", [16_777_217, 2**53 + 1])
    def test_a_rounded_count_is_another(self, want):
        """A float that cannot hold the count is not the count."""
        assert not agree(np.float32(want), want)
        assert not agree(float(2**53), 2**53 + 1)

    @pytest.mark.parametrize(
        ("got", "want", "same"),
        [
            (1 / 3, 0.333333333, True),
            (0.333, 1 / 3, False),
            (1e-7, 0.0, True),
            (1e-5, 0.0, False),
            (1e9 + 100, 1e9, True),
            (1e9 + 10_000, 1e9, False),
            (np.float32(0.1), 0.1, True),
            (1 / 3 + 0j, 1 / 3, True),
            (1 / 3 + 1e-3j, 1 / 3, False),
            (1e-7j, 0j, True),
        ],
    )
    def test_floats_agree_to_a_millionth(self, got, want, same):
        """Relative to large numbers, absolute near zero."""
        assert agree(got, want) is same

    def test_a_wider_tolerance(self):
        assert not agree(0.50005, 0.5)
        assert agree(0.50005, 0.5, IMAGE_TOLERANCE)
        assert not agree(0.502, 0.5, IMAGE_TOLERANCE)

    @pytest.mark.parametrize("want", [NAN, INF, -INF, np.float32(NAN), complex(NAN, 0), np.complex64(INF)])
    def test_nan_and_infinity_are_met_only_by_themselves(self, want):
        assert agree(want, want)
        for other in (0, 1.0, 1e308, 10**400, -INF if want != -INF else INF, 1 + 1j):
            assert not agree(other, want)
            assert not agree([other], np.array([want]))
        assert agree([want], np.array([want]))

    @pytest.mark.parametrize("got", [10**400, -(10**400), 1e308, complex(1.7e308, 1.7e308), INF, NAN])
    @pytest.mark.parametrize("want", [1.0, 1, 1j, np.float32(1), np.complex64(1), 1e300])
    def test_numbers_beyond_every_float_are_only_wrong(self, got, want):
        assert difference(got, want) == "a different number is expected"


class TestTruth:
    """Truth values are no numbers, and numbers no truth values."""

    @pytest.mark.parametrize("got", [True, np.True_, np.array(True)])
    def test_spellings_of_true(self, got):
        assert agree(got, True)
        assert agree(got, np.True_)
        assert difference(got, False) == "the other truth value is expected"

    @pytest.mark.parametrize("got", [1, 1.0, "True", [True], None, np.array([True])])
    def test_what_is_not_true(self, got):
        found = difference(got, True)
        assert found == f"it is {describe(got)}, where True or False is expected"


class TestTextAndNone:
    """Strings and None are themselves only."""

    def test_strings(self):
        assert agree("conv", "conv")
        assert agree("conv", np.str_("conv"))
        assert difference("Conv", "conv") == "a different value is expected"
        assert not agree(b"conv", "conv")
        assert not agree(["conv"], "conv")

    def test_none(self):
        assert agree(None, None)
        assert not agree(0, None)
        assert not agree(np.zeros(2), None)
        assert not agree(None, 0)


class TestArrays:
    """Where an array is described, nested lists do too."""

    WANT = np.arange(6.0).reshape(2, 3)

    @pytest.mark.parametrize(
        "got",
        [
            WANT,
            WANT.astype("float32"),
            WANT.astype(int),
            np.asfortranarray(WANT),
            WANT.tolist(),
            [tuple(row) for row in WANT.tolist()],
            tuple(WANT),
            [list(map(np.float32, row)) for row in WANT],
            WANT + 0j,
            WANT + 1e-8,
        ],
    )
    def test_spellings_of_an_array(self, got):
        assert agree(got, self.WANT)

    @pytest.mark.parametrize(
        ("got", "words"),
        [
            (3.0, "it is a number, where an array is expected"),
            (None, "it is None (is a return missing?), where an array is expected"),
            (WANT[0], "it has 1 axis, where 2 axes are expected"),
            (WANT[..., None], "it has 3 axes, where 2 axes are expected"),
            (WANT.T, "a different shape is expected"),
            ([[0, 1, 2], [3, 4]], "its rows have different lengths"),
            ([[0, 1, 2], [3, 4, "5"]], "it holds something else than numbers"),
            ([[0, 1, 2], [3, 4, None]], "it holds something else than numbers"),
            ([[0, 1, 2], [3, 4, 2**70]], "it holds something else than numbers"),
            (WANT.astype(str), "it holds something else than numbers"),
            (WANT.astype(object), "it holds something else than numbers"),
            ([WANT, WANT], "it holds more numbers than expected"),
            (WANT.astype(bool), "it holds truth values"),
            (WANT + 1e-3, "some of its values should be different"),
            (np.where(WANT == 4, NAN, WANT), "some of its values should be different"),
            (np.where(WANT == 4, INF, WANT), "some of its values should be different"),
        ],
    )
    def test_how_an_array_differs(self, got, words):
        assert difference(got, self.WANT) == words

    def test_one_axis_is_one(self):
        assert difference(self.WANT, np.zeros(6)) == "it has 2 axes, where 1 axis is expected"

    def test_truth_values(self):
        mask = self.WANT > 2
        assert agree(mask.tolist(), mask)
        assert difference(self.WANT, mask) == "it holds numbers, not truth values"
        assert difference(~mask, mask) == "some of its values should be different"

    @pytest.mark.parametrize("dtype", ["int64", "uint8", "int16"])
    def test_whole_numbers_are_exact(self, dtype):
        want = np.array([[1, 0], [200, 3]]).astype(dtype)
        assert agree(want.astype("float16") if dtype == "uint8" else want.astype("float64"), want)
        assert not agree(want + 1e-7, want)

    @pytest.mark.parametrize("want", [np.zeros((0, 4)), np.zeros((0, 4), bool), np.zeros((3, 0), int)])
    def test_nothing_has_many_spellings(self, want):
        """Nested lists cannot say how long an axis beside an empty one is; an array can, and must."""
        assert agree(want, want)
        assert agree([], want)
        assert agree([[], [], []], want)
        assert not agree([[0.0]], want)
        assert not agree(None, want)
        assert difference(np.zeros((0, 5)), np.zeros((0, 4))) == "a different shape is expected"

    def test_an_array_without_axes_is_a_number(self):
        """A reference may answer with one; students need not."""
        assert agree(3, np.array(3.0))
        assert agree(True, np.array(True))
        assert not agree([3.0], np.array(3.0))

    def test_nested_lists_of_large_arrays_are_not_put_together(self):
        """Lists of arrays would fill the memory that an array of the larger type needs."""
        large = np.zeros(10**6, np.int8)
        tracemalloc.start()
        found = difference([large, large, np.zeros(10**6, complex)], np.zeros((3, 5)))
        text = difference(["x" * 10**6, *[0.0] * 20], np.zeros(21))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == "it holds more numbers than expected"
        assert text == "it holds something else than numbers"
        assert peak < 25e6


class TestSequences:
    """Lists and tuples are the same sequence, item by item."""

    @pytest.mark.parametrize(
        "got", [[1, 2, 3], (1, 2, 3), np.array([1, 2, 3]), [1.0, np.int8(2), np.array(3)]]
    )
    @pytest.mark.parametrize("want", [[1, 2, 3], (1, 2, 3)])
    def test_spellings_of_a_sequence(self, got, want):
        assert agree(got, want)

    @pytest.mark.parametrize(
        ("got", "words"),
        [
            ([1, 2], "a different length is expected"),
            (np.arange(5), "a different length is expected"),
            ([1, 2, 4], "item 3: a different number is expected"),
            ([1, "2", 3], "item 2: it is a string, where a number is expected"),
            ({1, 2, 3}, "it is a set, where a list or tuple is expected"),
            (np.array(3), "it is a number, where a list or tuple is expected"),
            ("123", "it is a string, where a list or tuple is expected"),
        ],
    )
    def test_how_a_sequence_differs(self, got, words):
        assert difference(got, [1, 2, 3]) == words

    def test_the_only_item_needs_no_number(self):
        assert difference([2], [1]) == "a different number is expected"

    def test_shapes_and_pairs_nest(self):
        want = ([(2, 3), np.zeros(2)], None)
        assert agree([((2.0, 3), [0, 0]), None], want)
        assert (
            difference([((2, 4), [0, 0]), None], want)
            == "item 1: item 1: item 2: a different number is expected"
        )

    def test_a_large_array_is_not_made_a_list(self):
        large = np.zeros(10**6, bool)
        tracemalloc.start()
        assert difference(large, [1, 2]) == "a different length is expected"
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10**5


class TestDicts:
    """Dicts have the same keys, in any order, and answers that agree."""

    def test_same(self):
        assert agree({"b": 2.0, "a": np.int8(1)}, {"a": 1, "b": 2})

    @pytest.mark.parametrize(
        ("got", "words"),
        [
            ({"a": 1}, "different keys are expected"),
            ({"a": 1, "c": 2}, "different keys are expected"),
            ({"a": 1, "b": 2, "c": 3}, "different keys are expected"),
            ({"a": 1, "b": 3}, "under 'b': a different number is expected"),
            ([1, 2], "it is a list, where a dict is expected"),
        ],
    )
    def test_how_a_dict_differs(self, got, words):
        assert difference(got, {"a": 1, "b": 2}) == words


def test_answers_without_a_convention_are_refused():
    """A reference that answers with something else is the grader's fault, and says so."""
    for want in ({1, 2}, b"bytes", object(), (n for n in [1])):
        with pytest.raises(TypeError, match="cannot be compared"):
            difference(1, want)
    with pytest.raises(TypeError, match="set cannot be compared"):
        difference([1, 2], [1, {2}])


comparable_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**600),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=5),
    st.builds(np.float16, st.floats(width=16)),
    st.builds(np.float32, st.floats(width=32)),
    st.builds(np.int8, st.integers(-128, 127)),
    st.booleans().map(np.bool_),
    hnp.arrays(
        st.sampled_from(["?", "i1", "u8", "f2", "f4", "f8", "c8", "c16"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
)
odd_scalars = st.binary(max_size=3) | st.just(protocol.Opaque("generator")) | st.just({1})


def nested(scalars):
    """Return values that lists, tuples and dicts make of `scalars`."""
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3),
        ),
        max_leaves=6,
    )


@settings(deadline=None)
@given(nested(comparable_scalars | odd_scalars), nested(comparable_scalars))
def test_any_answer_can_be_compared(got, want):
    """Whatever a student answers, there is one line of words for it."""
    found = difference(got, want)
    assert found is None or (found and "\n" not in found)
    assert agree(got, want) == (found is None)


@settings(deadline=None)
@given(nested(comparable_scalars))
def test_every_answer_agrees_with_itself(value):
    """Also with nan and infinity in it."""
    assert agree(value, value)


@settings(deadline=None)
@given(hnp.arrays("f4", hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-1e6, 1e6, width=32)))
def test_an_array_agrees_with_its_lists(array):
    """Spelled as nested lists or in double precision it is the same answer."""
    assert agree(array.tolist(), array)
    assert agree(array.astype(float), array)
    assert not agree(array.tolist(), np.asarray(array + np.float32(1 + 1e-3) * (1 + abs(array))))
