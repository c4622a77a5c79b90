"""The step that a run makes next, explained."""

from __future__ import annotations

from tinygan.engine.tensor import Tensor
from tinygan.training.run import Run

from .account import Account
from .front import step_and_account


def explain_next(run: Run, by_hand: bool = False) -> Account:
    """Make the next step of a run, on the data, noise and rates that training would take, and return its account.

    by_hand: as in `explain`. The run is one step further afterwards, bit for bit as if it had been trained.
    """
    c, accounts = run.config, []

    def play(x: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        account, logits = step_and_account(run.game, list(x), list(z), c.k, c.update == "simultaneous", by_hand)
        accounts.append(account)
        return logits.tensors

    own, eager = run.play, run.eager
    run.play, run.eager = play, True  # type: ignore[method-assign]
    try:
        run.make_step()
    finally:
        run.play, run.eager = own, eager  # type: ignore[method-assign]
    run.step += 1
    return accounts[0]
