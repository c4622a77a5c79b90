"""Small sessions of `tinygan play`, and the runs of training that they have to equal to the bit."""

from tinygan_kernels import load as load_backend

from tinygan.play.densities import chosen_options, data_of
from tinygan.play.session import Session
from tinygan.training.config import Config
from tinygan.training.run import Run

CPU = load_backend("cpu")
SMALL = {"hidden": (6, 5), "hidden_d": (7,), "z": 2, "batch": 8}


def session(data="ring", **options):
    dataset = data_of(data)
    return Session(Config(data=data, **chosen_options(dataset, {**SMALL, **options})), dataset, CPU)


def bits(run):
    """Return all that a run's course depends on, to the bit."""
    return {name: array.tobytes() for name, array in run.saved_arrays().items()}, run.course()


def trained(config, dataset, steps, start=None):
    """Return a run of training with these options after so many steps in all; start: the (arrays, course) from which it goes on."""
    run = Run(config, dataset, CPU, None)
    if start:
        run.restore(*start)
    while run.step < steps:
        run.make_step()
        run.step += 1
    return run


def kept(run):
    return {name: array.copy() for name, array in run.saved_arrays().items()}, run.course()
