"""Pairs of bit-widths as text and as a choice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spos import UserError
from spos.nn import BitPair, Bits, bit_pair

bits = st.integers(1, 8)


@given(pair=st.builds(BitPair, bits, bits))
def test_a_pair_is_read_as_it_is_written(pair):
    assert bit_pair(str(pair)) == pair


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("w0a2", "bits 'w0a2': .* each 1 to 8; nearest w1a2"),
        ("w2a16", "bits 'w2a16': .*; nearest w2a8"),
        ("a2w2", "bits 'a2w2': write w2a4"),
        ("2/2", "bits '2/2': write w2a4"),
        ("w2a2 ", "bits 'w2a2 ': write w2a4"),
        ("w²a2", "bits 'w²a2': write w2a4"),
        ("", "bits '': write w2a4"),
    ],
)
def test_what_is_not_a_pair_is_refused_in_one_line(text, says):
    with pytest.raises(UserError, match=says) as raised:
        bit_pair(text)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=says):
        Bits(["w2a2", text])
    with pytest.raises(UserError, match="pairs of bits 4: must be a list"):
        Bits(4)


def test_a_choice_of_bits_reads_its_active_option():
    choice = Bits(["w1a2", "w4a4"], name="block.bits")
    assert choice.option_names == ("w1a2", "w4a4") and not choice.ordered
    for option, pair in (("w4a4", (4, 4)), ("w1a2", (1, 2))):
        choice.activate(option)
        assert choice.current == pair == choice.plain(lambda module: module).current
    with pytest.raises(UserError, match=r"choice 'block.bits' has no option 'w3a4': did you mean"):
        choice.activate("w3a4")


@pytest.mark.parametrize("pairs", [[], ["w2a2", "w2a2"]])
def test_a_choice_has_options_that_differ(pairs):
    with pytest.raises(UserError, match="option"):
        Bits(pairs)
