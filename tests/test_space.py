"""Search spaces as plain data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spos import Architecture, Choice, SearchSpace, UserError

names = st.text(min_size=1, max_size=8)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    choices = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    return SearchSpace(
        Choice(name, tuple(draw(st.lists(names, min_size=1, max_size=5, unique=True))))
        for name in choices
    )


@st.composite
def points(draw: st.DrawFn) -> tuple[SearchSpace, Architecture]:
    space = draw(spaces())
    return space, Architecture(draw(st.integers(0, n - 1)) for n in space.option_counts)


def uniform_space(*counts: int) -> SearchSpace:
    return SearchSpace(
        Choice(f"c{number}", tuple(f"o{option}" for option in range(count)))
        for number, count in enumerate(counts)
    )


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace([Choice("stem", ("conv3x3", "conv5x5")), Choice("body", ("a", "b", "c"))])


def test_the_size_is_an_exact_integer():
    assert uniform_space(*[4] * 20).size == 4**20
    size = uniform_space(*[7] * 60).size
    assert isinstance(size, int)
    assert size == 7**60


@settings(max_examples=100)
@given(spaces())
def test_iteration_gives_every_architecture_once_in_order(space):
    if space.size > 500:
        return
    everything = list(space)
    assert len(set(everything)) == len(everything) == space.size
    assert everything == sorted(everything)
    assert all(isinstance(one, Architecture) and one in space for one in everything)


@settings(max_examples=100)
@given(points())
def test_both_texts_read_back_to_the_same_architecture(point):
    space, architecture = point
    assert space.parse(str(architecture)) == architecture
    assert space.parse(space.to_json(architecture)) == architecture
    assert space.from_names(space.names(architecture)) == architecture
    assert Architecture.from_text(str(architecture)) == architecture


@settings(max_examples=100)
@given(points())
def test_json_names_every_choice_in_order(point):
    space, architecture = point
    read = json.loads(space.to_json(architecture))
    assert list(read) == [choice.name for choice in space.choices]
    expected = [c.options[i] for c, i in zip(space.choices, architecture, strict=True)]
    assert list(read.values()) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1", "architecture 1 has 1 options, this space has 2 choices"),
        ("1,2,0", "has 3 options, this space has 2 choices"),
        ("1,3", "option 3 of choice 'body' (position 2) is out of range, allowed: 0 (a), 1 (b)"),
        ("-1,0", "option -1 of choice 'stem' (position 1) is out of range"),
        ("1;2", "'1;2' is not option indices joined by commas, such as 2,1,0"),
        ("", "'' is not option indices"),
        ("1,2.0", "is not option indices"),
        ('{"stem": "conv5x5"}', "lacks the choice 'body'"),
        (
            '{"stme": "conv5x5", "body": "a"}',
            "no choice 'stme': did you mean 'stem'? allowed: stem",
        ),
        (
            '{"stem": "conv5", "body": "a"}',
            "'stem' has no option 'conv5': did you mean 'conv5x5'? allowed: conv3x3, conv5x5",
        ),
        ('{"stem": [1], "body": "a"}', "choice 'stem': [1] is not an option name"),
        ('{"stem": true, "body": "a"}', "choice 'stem': true is not an option name"),
        ('{"stem": "conv5x5", ', "not valid JSON"),
        ('{"stem": ' + "[" * 100_000, "not valid JSON: it is nested too deeply"),
        ('{"stem": "a", "stem": "b"}', "not valid JSON: 'stem' appears twice in one object"),
    ],
)
def test_a_wrong_architecture_is_refused_in_one_line(space, text, says):
    with pytest.raises(UserError) as raised:
        space.parse(text)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_options_that_are_numbers_may_be_written_as_numbers():
    widths = SearchSpace([Choice("width", ("0.4", "0.6", "8"))])
    assert widths.parse('{"width": 0.4}') == widths.parse('{"width": "0.4"}') == (0,)
    for wrong, close in [("0.5", "0.4"), ("5", "8"), ("80", "8"), ("0.59", "0.6")]:
        with pytest.raises(UserError, match=f"no option '{wrong}': did you mean '{close}'"):
            widths.parse(f'{{"width": {wrong}}}')


def test_indices_may_come_from_numpy_and_become_plain_integers(space):
    architecture = space.validate(np.array([1, 2]))
    assert json.dumps(architecture) == "[1, 2]"
    assert architecture == Architecture((1, 2))


@pytest.mark.parametrize("indices", [[1.0, 2.0], [0.5, 1], ["1", "2"], "12", [None, 0]])
def test_indices_that_are_not_integers_are_refused(space, indices):
    with pytest.raises(UserError, match="whole numbers"):
        space.validate(indices)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Choice("stem", ()), "choice 'stem' has no option"),
        (lambda: Choice("stem", ("a", "b", "a")), "choice 'stem' names an option twice: a, b, a"),
        (lambda: SearchSpace([]), "a search space needs at least one choice"),
        (
            lambda: SearchSpace([Choice("a", ("x",)), Choice("b", ("x",)), Choice("a", ("y",))]),
            "two choices of a search space are named 'a'",
        ),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(make, says):
    with pytest.raises(UserError, match=says):
        make()


@pytest.mark.parametrize("unordered", [{0, 1}, {0: 1, 1: 0}, {1: "a", 0: "b"}.keys()])
def test_options_without_the_order_of_the_choices_are_refused(unordered):
    with pytest.raises(UserError, match="give whole numbers, one option index per choice"):
        uniform_space(2, 2).validate(unordered)


def test_spaces_are_equal_by_their_choices(space):
    same = SearchSpace(space.choices)
    assert same == space
    assert hash(same) == hash(space)
    assert SearchSpace(reversed(space.choices)) != space
    assert space != "space"


@settings(max_examples=100)
@given(spaces(), st.integers(0, 2**32))
def test_samples_are_points_of_the_space(space, seed):
    random = np.random.default_rng(seed)
    mother, father = space.sample(random), space.sample(random)
    mutated = space.mutate(mother, random, 0.5)
    child = space.crossover(mother, father, random)
    for architecture in (mother, father, mutated, child, *space.sample_many(3, random).tolist()):
        space.validate(architecture)
    assert all(c in (m, f) for c, m, f in zip(child, mother, father, strict=True))


@settings(max_examples=100)
@given(points(), st.integers(0, 2**32))
def test_a_mutation_of_probability_0_changes_nothing(point, seed):
    space, architecture = point
    assert space.mutate(architecture, np.random.default_rng(seed), 0.0) == architecture


def test_a_sample_is_the_same_for_the_same_seed():
    space = uniform_space(*[4] * 20)
    first, second = (space.sample(np.random.default_rng(3)) for _ in range(2))
    assert first == second != space.sample(np.random.default_rng(4))


def test_sample_many_is_uniform():
    space = uniform_space(2, 3, 7)
    rows = space.sample_many(20_000, np.random.default_rng(0))
    for count, column in zip(space.option_counts, rows.T, strict=True):
        assert stats.chisquare(np.bincount(column, minlength=count)).pvalue > 0.001


def test_a_mutation_redraws_each_option_uniformly_with_its_probability():
    space = uniform_space(4)
    random = np.random.default_rng(0)
    drawn = [space.mutate(Architecture((1,)), random, 0.4)[0] for _ in range(10_000)]
    # 0.6 stay; the redrawn 0.4 go to all four options, the parent's own included.
    expected = np.array([0.1, 0.7, 0.1, 0.1]) * len(drawn)
    assert stats.chisquare(np.bincount(drawn, minlength=4), expected).pvalue > 0.001


def test_a_crossover_takes_either_parent_as_likely_and_independently():
    space = uniform_space(2, 2)
    random = np.random.default_rng(0)
    mother, father = Architecture((0, 0)), Architecture((1, 1))
    children = [space.crossover(mother, father, random) for _ in range(10_000)]
    counts = [children.count(Architecture(c)) for c in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert stats.chisquare(counts).pvalue > 0.001


def test_a_space_too_large_to_go_through_knows_its_points():
    space = SearchSpace([Choice(str(number), ("a", "b", "c", "d")) for number in range(20)])
    assert Architecture([3] * 20) in space
    assert [3] * 20 in space
    assert Architecture([3] * 19) not in space
    assert Architecture([4] * 20) not in space
    assert 7 not in space
    assert "abc" not in space


@pytest.mark.parametrize("given", ["abc", None, 3, [3], ["abc"], [Choice("a", ("x", "y")), None]])
def test_what_is_no_choice_is_refused(given):
    with pytest.raises(UserError, match=r"choice of a search space .*: must be a spos\.Choice"):
        SearchSpace(given)


def test_a_text_is_not_taken_for_its_letters():
    with pytest.raises(UserError, match=r"choice of a search space 'abc'"):
        SearchSpace("abc")


@pytest.mark.parametrize("options", ["abc", None, 3, (1, 2), [None]])
def test_options_that_are_no_names_are_refused(options):
    with pytest.raises(UserError, match=r"choice 'a': options .* must be names, such as"):
        Choice("a", options)
    with pytest.raises(UserError, match="the name of a choice None: must be a text"):
        Choice(None, ("x", "y"))


@pytest.mark.parametrize("given", [None, 3, [1.5], object()])
def test_what_is_no_text_is_no_architecture(given):
    space = SearchSpace([Choice("a", ("x", "y"))])
    for read in (space.parse, space.from_json, space.from_names):
        with pytest.raises(UserError, match=r"architecture .*: must be"):
            read(given)
