"""What a checkpoint's state may say, to the last number: what is taken at the edge, what is refused behind it, and how."""

import numpy as np
import pytest
from tiny_runs import after, dataset, refusal, start

from tinygan.data import load
from tinygan.data.kinds import Images
from tinygan.training import state as states
from tinygan.training.checkpoint import CheckpointError
from tinygan.training.state import RunState, check_weights, checksum_of


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """What a run at step 7 of 12 says of itself."""
    run = start(tmp_path_factory.mktemp("limits") / "run")
    run.train(stopping=after(7))
    return run.state()


def said(record, **parts):
    """Return the words after the common beginning with which a state with other parts is refused."""
    return refusal(RunState.from_json, {**record, **parts}).removeprefix("the checkpoint's state is damaged: ")


# ---- whole numbers --------------------------------------------------------------------------------------------------------------

WHOLE = "it has to be a whole number from 0 to"


def test_the_largest_and_the_smallest_numbers_are_taken(record):
    taken = {"step": (0, 12), "data": (0, 2**32 - 1, None), "sampler": ({"epoch": 0}, {"epoch": 2**63 - 1}, {})}
    for name, values in taken.items():
        for value in values:
            assert getattr(RunState.from_json({**record, name: value}), name) == value


@pytest.mark.parametrize(("parts", "words"), [
    ({"step": -1}, f"step is -1, {WHOLE} 1,000,000,000,000"), ({"step": 10**12 + 1}, f"step is 1000000000001, {WHOLE} 1,"),
    ({"step": 10**12}, "step is 1,000,000,000,000, which lies past the 12 steps of the run"),
    ({"step": 13}, "step is 13, which lies past the 12 steps"),
    ({"data": 2**32}, f"data is 4294967296, {WHOLE} 4,294,967,295"), ({"data": -1}, f"data is -1, {WHOLE}"),
    ({"sampler": {"epoch": 2**63}}, f"sampler: epoch is 9223372036854775808, {WHOLE} 9,223,372,036,854,775,807"),
], ids=str)  # fmt: skip
def test_the_next_number_is_refused(record, parts, words):
    assert said(record, **parts).startswith(words)


# ---- how values are shown -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "shown"), [
    ({"a": 1, "b": 2}, "a record of 2"), ([1, 2, 3], "a list of 3"), (10**40, "a whole number of more than 40 digits"),
    (10**40 - 1, "9" * 40), (-(10**40), "a whole number of more than 40 digits"), (1 - 10**40, "-" + "9" * 40), (1.5, "1.5"),
    ("x" * 58, f"'{'x' * 58}'"), ("x" * 59, f"'{'x' * 55} ..."), (True, "True"), (None, "None"),
], ids=lambda value: str(value)[:30])  # fmt: skip
def test_a_wrong_value_is_shown_and_not_at_length(record, value, shown):
    assert said(record, step=value).startswith(f"step is {shown}, it has to")


@pytest.mark.parametrize("part", ["rngs", "sampler", "config", "codec", "networks"])
def test_a_part_that_is_no_record_is_named(record, part):
    assert said(record, **{part: 3}) == f"{part} is 3, it has to be a record"


# ---- networks of a user's own ---------------------------------------------------------------------------------------------------

FINE = {"reason": "G holds a function", "reason of D": "D too",
        "optimisers": [{"kind": "adam", "rate": 0.1}, {"kind": "sgd", "rate": 1}]}


def test_networks_without_blueprints_are_taken(record):
    assert RunState.from_json({**record, "networks": FINE}).networks == FINE
    assert RunState.from_json({**record, "networks": None}).networks is None


@pytest.mark.parametrize(("change", "words"), [
    ({"reason": 3}, "networks: 'reason' is 3, which is not known here"), ({"colour": "red"}, "networks: 'colour' is 'red', which"),
    ({"optimisers": [{"kind": "adam"}, 3]}, "networks: an optimiser is 3, it has to be a record"),
    ({"optimisers": [{"kind": "adam"}]}, "networks: optimisers has to be a list of two"),
    ({"optimisers": [{"kind": "adam"}, {"kind": 3}]}, "networks: an optimiser has to be its kind"),
    ({"optimisers": [{"kind": "adam"}, {}]}, "networks: an optimiser has to be its kind"),
    ({"optimisers": [{"kind": "adam", "rate": "0.1"}, {"kind": "sgd"}]}, "networks: an optimiser has to be its kind, a text, and"),
    ({"optimisers": [{"kind": "adam"}, {"kind": "sgd", "rate": True}]}, "networks: an optimiser has to be its kind, a text, and"),
    ({"G": {}}, "networks: it has to have either G or 'reason'"),
], ids=str)  # fmt: skip
def test_what_is_said_of_networks_is_checked(record, change, words):
    assert said(record, networks={**FINE, **change}).startswith(words)


@pytest.mark.parametrize("missing", ["reason", "reason of D", "optimisers"])
def test_what_is_not_said_of_networks_is_named(record, missing):
    words = {"reason": "either G or 'reason'", "reason of D": "either D or 'reason of D'", "optimisers": "has to be a list of two"}
    assert words[missing] in said(record, networks={name: part for name, part in FINE.items() if name != missing})


# ---- data -----------------------------------------------------------------------------------------------------------------------


def test_data_are_those_of_a_run_by_units_and_contents(record):
    run, codec = RunState.from_json(record), Images((12, 12, 1))
    pictures = dataset("pictures")
    same, other = (type(pictures)("another name", codec, x) for x in (pictures.x.copy(), pictures.x[::-1].copy()))
    wider = type(pictures)("wider", Images((6, 24, 1)), pictures.x.reshape(-1, 6, 24, 1))
    assert [run.is_of(data) for data in (pictures, same, other, wider)] == [True, True, False, False]
    assert checksum_of(load("ring")) is None and checksum_of(pictures) == record["data"]


# ---- sizes ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_d", [True, False])
def test_networks_may_have_no_more_weights_than_a_file_has_numbers_and_a_margin(record, monkeypatch, of_d):
    run = RunState.from_json(record)
    weights = run.config.architecture(run.codec).weights
    wanted, given = (sum(weights[:2]), {}) if of_d else (weights[0], {"of_d": False})
    assert 0 < weights[0] < sum(weights[:2])
    for margin in (0, 100):
        monkeypatch.setattr(states, "WORTH_BUILDING", margin)
        check_weights(run.config, run.codec, {"a": np.zeros(wanted - margin - 3), "b": np.zeros((1, 3))}, **given)
        fewer = wanted - margin - 1
        with pytest.raises(CheckpointError, match=f"describe networks of {wanted:,} weights, and it holds {fewer:,} numbers"):
            check_weights(run.config, run.codec, {"a": np.zeros(fewer)}, **given)
