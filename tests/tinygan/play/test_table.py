"""A game's commands without a thread: the options that other data and addresses keep, points of the curves, and scenes."""

from types import SimpleNamespace

import numpy as np
import pytest
from played_sessions import CPU
from served_game import SMALL, new_host

from tinygan.options import OptionError
from tinygan.play.densities import chosen_options, data_of
from tinygan.play.host import Host
from tinygan.training.config import Config
from tinygan.training.presets import PRESETS, options_of_preset


@pytest.fixture
def table(tmp_path):
    """Return a game on two columns of a file of three, on the backend that is not the usual one."""
    file = tmp_path / "points.csv"
    file.write_text("a,b,c\n" + "".join(f"{i % 5},{i % 7},{i % 3}\n" for i in range(40)))
    dataset = data_of(str(file), columns="c,a")
    options = {**SMALL, "backend": "reference", "columns": "c,a"}
    return Host(Config(data=str(file), **chosen_options(dataset, options)), dataset, CPU)


def address_of(host):
    """Return what the address of a page says of a game: see described() in address.js."""
    state = host._state()
    changed = {name: value for name, value in state["settings"].items() if value != state["defaults"][name]}
    return {"data": state["data"], "settings": changed, "dabs": state["dabs"], "scene": state["scene"], "fixed": state["fixed"]}


# ---- the address ----------------------------------------------------------------------------------------------------------------

def test_a_page_that_is_reloaded_goes_on_with_the_game(table):
    table.do_step(3)
    before = table.session
    table.do_set_up(**address_of(table))
    assert table.session is before and table.session.step == 3


@pytest.mark.parametrize("change", [{}, {"seed": 5}, {"r1": 0.5}], ids=str)
def test_the_options_of_the_command_line_stay_with_its_data(table, change):
    """Through other data and back, by the button and by the address."""
    launched = table.session.config
    table.do_set(change)
    address = address_of(table)
    assert table._state()["own"] == launched.data
    table.do_data("moons")
    moons = table.session.config
    assert (moons.backend, moons.columns, moons.seed) == ("reference", Config(data="x").columns, table.session.config.seed)
    table.do_data(launched.data)
    assert table.session.config.columns == "c,a" and table.session.dataset is table._own
    table.do_data("moons")
    table.do_set_up(**address)
    config = table.session.config
    assert (config.backend, config.columns, config.data) == ("reference", "c,a", launched.data)
    assert address_of(table) == address and config.seed == change.get("seed", launched.seed)
    table.do_scene("collapse")
    assert table.session.config.backend == "reference"


def test_the_address_of_a_scene_sets_it_up(table):
    host = new_host()
    host.do_scene("constant-d")
    host.do_pause()
    host.do_set({"batch": 32})
    address = address_of(host)
    assert address["scene"] == "constant-d"
    scene = host.session
    host.do_set_up(**address)
    assert host.session is scene  # a page that is reloaded goes on
    host.do_data("moons")
    host.do_set_up(**address)
    assert (host.scene, host.session.step, host.session.config.batch) == ("constant-d", 0, 32)
    assert host.frames.views.heat() == pytest.approx(0.5, abs=1e-6)
    host.do_set_up(**{**address, "scene": ""})  # the same options, without the scene
    assert host.scene == "" and abs(host.frames.views.heat() - 0.5).max() > 1e-3
    with pytest.raises(ValueError, match="there is no scene 'x'"):
        host.do_set_up(**{**address, "scene": "x"})


WRONG = {"columns=a,b": "with --columns a,b, and this page was started with --columns c,a", "backend=cpu": "--backend cpu",
         "columns": "does not name --columns", "nothing=1": "nothing is no option"}


@pytest.mark.parametrize("change", WRONG)
def test_an_address_with_other_options_of_the_command_line_is_refused(table, change):
    address, (name, _, value) = address_of(table), change.partition("=")
    assert address["fixed"] == {"backend": "reference", "columns": "c,a"}
    fixed = {**address["fixed"], name: value} if value else {n: v for n, v in address["fixed"].items() if n != name}
    before = table.session
    with pytest.raises(OptionError) as told:
        table.do_set_up(**{**address, "fixed": fixed})
    assert WRONG[change] in told.value.with_flags and table.session is before


@pytest.mark.parametrize("command", ["do_set_up", "do_data"])
def test_dabs_are_only_of_drawn_data(command):
    host = new_host()
    before = host.session
    with pytest.raises(ValueError, match="dabs are of the data 'drawn'"):
        getattr(host, command)("moons", **({"settings": {}} if command == "do_set_up" else {}), dabs=[[0, 0]])
    assert host.session is before and host._dabs == []


# ---- points of the curves -------------------------------------------------------------------------------------------------------

MOVES = {
    "D alone": lambda host: host.do_step_d(), "G alone": lambda host: host.do_step_g(), "back": lambda host: host.do_back(0),
    "other options": lambda host: (host.do_set({"objective": "least-squares"}), host.do_pause()),
}


@pytest.mark.parametrize("move", MOVES)
def test_points_are_never_read_off_logits_of_before(move, monkeypatch):
    """Many steps, whose readings are pending, then something that is no step of both players."""
    host = new_host()
    host.do_step(30)
    host.frames.charts.points.clear()
    seen = []
    fresh = type(host.frames.views).fresh_reading
    monkeypatch.setattr(type(host.frames.views), "fresh_reading", lambda views: seen.append(fresh(views)) or seen[-1])
    host.frames._readings.append({**host.frames.views.reading(host.session.logits), "step": host.session.step})
    MOVES[move](host)
    point = host.frames.charts.points[-1]
    assert len(seen) == 1 and {name: point[name] for name in seen[0]} == seen[0] and not host.frames._readings
    host.do_step()
    assert len(seen) == 1  # a step of both players is read off its own logits
    wanted = host.session.logits.read(host.session.config.objective)
    assert host.frames.charts.points[-1]["d_loss"] == pytest.approx(wanted.d_loss, abs=1e-6)


def test_readings_of_other_options_are_not_averaged_with_those_of_now():
    host = new_host()
    host.do_step(30)
    host.frames._readings.append({**host.frames.views.reading(host.session.logits), "step": 30, "v": 1e6})
    host.do_set({"r1": 3.0})
    host.do_step()
    assert abs(host.frames.charts.points[-1]["v"]) < 100


def test_a_fresh_reading_is_what_a_step_would_read_on_many_samples():
    host = new_host(r1=0.5, batch=256)
    host.do_step(200)
    host.session.play()
    step = host.session.logits.read(host.session.config.objective)
    fresh = host.frames.views.fresh_reading()
    for name in ("v", "d_real", "d_fake", "d_loss", "g_loss"):
        assert fresh[name] == pytest.approx(getattr(step, name), abs=0.25), name
    assert fresh["d_loss"] + fresh["v"] > 1e-4  # R1


# ---- scenes ---------------------------------------------------------------------------------------------------------------------

HALF = {"value": -1.3862944, "d_real": 0.5, "d_fake": 0.5}


def test_d_is_constant_in_its_scene_from_the_first_point_on():
    host = new_host()
    host.do_scene("constant-d")
    begun = [lambda: None, lambda: host.do_set({"seed": 7}), host.do_restart, lambda: host.do_set({"hidden": [5]})]
    for begin in begun:
        begin()
        (point,) = host.frames.charts.points
        assert host.scene == "constant-d" and host.session.step == 0
        assert {name: point[name] for name in HALF} == pytest.approx(HALF, abs=1e-6)
        host.do_step(2)
        host.do_back(0)
        assert host.frames.views.heat() == pytest.approx(0.5, abs=1e-6)


def test_another_game_leaves_the_scene():
    host = new_host()
    for leave in (lambda: host.do_data("ring"), lambda: host.do_set({"hidden": [5]}),
                  lambda: host.do_set_up("ring", {"seed": 3})):
        host.do_scene("collapse")
        host.do_set({"k": 5, "seed": 4})
        assert host.scene == "collapse"
        leave()
        assert host.scene == "" and host._state()["scene"] == ""
    host.do_scene("constant-d")
    host.do_data("moons")
    assert abs(host.frames.views.heat() - 0.5).max() > 1e-3  # D is no longer constant


def test_every_preset_can_be_played():
    dataset = data_of("ring")
    games = {name: Config(data="ring", **chosen_options(dataset, options_of_preset(name, "ring"))) for name in PRESETS}
    assert (games["density"].signs, games["density"].z) == (12, 16)  # as in training: four numbers are left that have no sign alone
    assert games["best"].z == 4 and options_of_preset("best", "ring").keys().isdisjoint({"z", "signs"})


@pytest.mark.parametrize("between", [0.25, 0.002], ids=["a slow game", "a fast game"])
def test_a_tenth_of_the_time_goes_into_eigenvalues_of_a_game_that_is_played(between, monkeypatch):
    """By a clock that is set by hand; a product takes 2 ms. A slow game has idle time, which is not to be lost."""
    host, clock = new_host(), [1000.0]
    monkeypatch.setattr("tinygan.play.host.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    spectrum = SimpleNamespace(done=False, made=0, products=10_000)

    def advance():
        spectrum.made += 1
        clock[0] += 0.002

    spectrum.advance, host.frames.spectrum, host.playing = advance, spectrum, True
    while clock[0] < 1010:
        host._work_on_spectrum()
        clock[0] += between
    assert 0.05 < 0.002 * spectrum.made / 10 < 0.11


def test_g_has_next_to_no_gradient_in_its_scene_and_has_it_back_with_the_other_loss():
    host = new_host()
    host.do_scene("saturation")
    host.session.play(300)

    def arrow():
        return float(np.median(np.linalg.norm(host.frames.views.fakes(arrows=True)[1], axis=1)))

    saturating = arrow()
    host.do_set({"objective": "nonsaturating"})
    assert arrow() > 100 * saturating and arrow() > 1
