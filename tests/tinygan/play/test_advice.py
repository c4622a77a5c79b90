"""Alarms in the page: every piece of advice has a button, and what was seen is told with its step until it is over."""

import pytest
from played_sessions import session

from tinygan.measure.alarms import ADDED, READINGS
from tinygan.play.advice import CURES, Watch, advice_in


def test_every_piece_of_advice_has_a_button():
    assert set(ADDED.values()) <= set(CURES)
    assert set(CURES) - set(ADDED.values()) == {"lower --lr-d", "lower --k", "raise --k"}


@pytest.mark.parametrize("name", CURES)
def test_every_button_sets_what_the_game_can_be_set_to(name):
    game = session(k=2)
    changes = CURES[name](game.config).changes
    assert not game.change(changes) and all(getattr(game.config, option) == value for option, value in changes.items())
    game.play()


def test_advice_is_taken_from_the_line_of_an_alarm():
    assert advice_in("step 3: bad. To cure it: add --r1, lower --lr-d or lower --k") == ["add --r1", "lower --lr-d", "lower --k"]
    assert advice_in("step 3: bad") == []


def test_an_alarm_says_since_when_and_how_to_cure_it_until_it_is_over():
    game = session(r1=0.0, k=2)
    watch, step = Watch(game.run), 0

    def strong_d(v):
        """Read V as often as the alarm looks back, and return what is said of a D that is too strong."""
        nonlocal step
        for _ in range(READINGS):
            step += 10
            watch.look(game.run, {"step": step, "v": v, "d_real": 0.5, "d_fake": 0.5, "d_loss": 1.0, "g_loss": 1.0})
        return next((warned for warned in watch.said() if warned.name == "strong-d"), None)

    assert strong_d(-1.3) is None
    alarm = strong_d(-0.001)
    assert 10 * READINGS < alarm.at <= step and alarm.over_at is None and alarm.tried == []
    assert alarm.text.startswith("V has stayed near 0") and "step" not in alarm.text and "To cure it" not in alarm.text
    changes = [cure.changes for cure in alarm.cures]
    assert {"r1": 0.3} in changes and {"k": 1} in changes
    before = game.config
    game.change({"k": 1, "r1": 0.3})
    watch.changed(step, before, game.config)
    watch.changed(step, game.config, game.config)  # nothing was
    changed_at, went_off = step, alarm.at
    alarm = strong_d(-1.3)
    assert not alarm.cures and alarm.at == went_off and changed_at < alarm.over_at <= step
    assert alarm.tried == [f"step {changed_at:,}: --k 2 → 1, --r1 0 → 0.3"]
    ended = alarm.over_at
    watch.changed(step, before, game.config)  # the alarm is over: this is no attempt to cure it
    assert strong_d(-1.3).over_at == ended and len(strong_d(-1.3).tried) == 1
    again = strong_d(-0.001)
    assert again.at > ended and again.over_at is None and again.tried == []
