"""An operator that raises costs the proposals that it was drawn for, and nothing else."""

from types import MappingProxyType
from unittest.mock import patch

import numpy as np
import pytest

from hwnas.errors import OperatorError
from hwnas.morphism import OPERATORS, morph
from hwnas.objective import Limit
from hwnas.search.shrink import SHRINKING
from tests.search.test_lemonade import INITIAL, cheap, lemonade, outcome, run
from tests.toy_operators import WIDEN, RaisesInApply, RaisesInSites, searching_with

RAISING = [(RaisesInApply(), "ZeroDivisionError: no channels left"), (RaisesInSites(), "KeyError")]


@pytest.mark.parametrize(("operator", "said"), RAISING)
def test_whatever_an_operator_raises_names_it(operator, said):
    with pytest.raises(OperatorError, match=f"{operator.name} failed: {said}") as caught:
        morph(INITIAL[0], np.random.default_rng(0), [operator])
    assert caught.value.operator == operator.name
    assert caught.value.__cause__ is not None


def test_proposals_of_other_operators_are_accepted_and_failures_are_reported():
    with searching_with(WIDEN, RaisesInApply(), RaisesInSites()):
        first, *asked = run(lemonade(max_operators=1), 4)
    assert first.failures == ()
    for ask in asked:
        assert len(ask.candidates) == 4
        assert {candidate.operator for candidate in ask.candidates} == {"widen"}
        assert 0 < len(ask.failures) < ask.proposed
        assert len(ask.candidates) + ask.duplicates + len(ask.failures) <= ask.proposed
    failures = [failure for ask in asked for failure in ask.failures]
    assert {failure.operator for failure in failures} == {"raises_in_apply", "raises_in_sites"}
    assert all("toy_operators.py" in failure.traceback for failure in failures)


def test_where_every_operator_fails_nothing_is_proposed():
    with searching_with(RaisesInApply()):
        failing = lemonade()
    for candidate in failing.ask().candidates:
        failing.tell(outcome(candidate))
    ask = failing.ask()
    assert ask.candidates == ()
    assert len(ask.failures) == ask.proposed > 0


@pytest.mark.parametrize("broken", SHRINKING)
def test_the_way_back_to_the_limits_does_without_an_operator_that_fails(broken):
    limit = Limit(objective="parameters", maximum=min(values["parameters"] for values in cheap(INITIAL)) - 1)
    failing = RaisesInApply()
    operators = MappingProxyType({**OPERATORS, broken: failing})
    with patch("hwnas.search.shrink.OPERATORS", operators):
        ask = lemonade(limits=[limit]).ask()
    assert {failure.operator for failure in ask.failures} == {failing.name}
    assert ask.candidates or ask.nearest is not None
