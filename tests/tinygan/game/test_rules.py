"""The rules of the game as options: which of them do not go together."""

import pytest

from tinygan.game.rules import Rules
from tinygan.options import OptionError


@pytest.mark.parametrize("k", [2, 3, 1000])
def test_players_that_move_simultaneously_take_one_step_each(k):
    with pytest.raises(OptionError, match=f"k is {k}, but players that move simultaneously take one step each"):
        Rules(update="simultaneous", k=k)
    assert Rules(update="alternating", k=k).k == k


def test_one_step_each_goes_with_both_ways_to_update():
    assert [Rules(update=update, k=1).k for update in ("alternating", "simultaneous")] == [1, 1] and Rules().k == 1
