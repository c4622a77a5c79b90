"""One game with the commands that the page can send, each a method `do_...`, and the messages that the page is sent.

A table has no thread and no connections: host.py adds both.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Any

from tinygan_kernels import Backend

from tinygan.data import DataError, DataOptions, Dataset
from tinygan.options import OptionError, options_of
from tinygan.training.config import Config

from .densities import DRAWN, OFFERED, chosen_options, data_of, defaults_of, has_modes, is_plane
from .frames import OF_PICTURES, ON_THE_PLANE, SHOWN_AT_FIRST, Frames
from .messages import as_base64, as_json
from .moves import SlowStep
from .scenes import SCENES, dirac, statement_of
from .session import FIXED, NEW_GAME, Session, checked, settings_of

DECIDING = {"backend", *options_of(DataOptions)}
"""The options of the command line that decide the game; the page cannot change them, and its address holds them."""


class Table(ABC):
    """A game, what of it is shown, and how it is played. config, dataset: what it begins with.

    playing: whether the game runs. speed: the most steps a second, 0 for no limit; rate: the steps a second that were measured.
    slow: the step that is shown in slow motion; move: which of its moves. rotation: whether the game's eigenvalues are computed
    again and again. note: a line that the page shows about its last command.
    """

    def __init__(self, config: Config, dataset: Dataset, backend: Backend) -> None:
        self.session = Session(config, dataset, backend)
        self.frames = Frames(self.session)
        self.playing, self.speed, self.note, self.scene = False, 0.0, "", ""
        self.slow: SlowStep | None = None
        self.move = 0
        self.rotation = False
        self.rate = 0.0
        self._own, self._first = dataset, config  # of the command line; the page can choose its data again, as they are named there
        self._dabs: list[Any] = []
        self._games = 0
        self._next_step = 0.0
        self._counted = (time.perf_counter(), 0)

    @abstractmethod
    def _tell(self, kind: str, message: str | bytes) -> None:
        """Tell everybody who watches a message."""

    @abstractmethod
    def _measure(self) -> None:
        """Measure the game at this step, and send the new point of the curves."""

    # ---- messages -------------------------------------------------------------------------------------------------------------

    def _hello(self) -> dict[str, Any]:
        known = {name: option for name, option in options_of(Config).items() if name not in FIXED}
        return {
            "kind": "hello", "live": True,
            "options": {name: {
                "help": o.help, "type": o.kind.__name__, "choices": list(o.choices), "new_game": name in NEW_GAME, "flag": o.flag,
                "at_least": o.at_least, "at_most": o.at_most} for name, o in known.items()},
            "fixed": sorted(DECIDING), "offered": {name: about for name, (_, about) in OFFERED.items()},
            "scenes": {name: {"title": s.title, "watch": s.watch, "claim": statement_of(s.claim), "then": {
                label: dict(changes) for label, changes in s.then.items()}} for name, s in SCENES.items()},
            "views": {"plane": ON_THE_PLANE, "pictures": OF_PICTURES, "first": SHOWN_AT_FIRST},
        }

    def _state(self) -> dict[str, Any]:
        session, frames = self.session, self.frames
        return {
            "kind": "state", "game": self._games, "data": session.dataset.name if self._dabs else session.config.data,
            "dabs": self._dabs, "settings": settings_of(session.config), "defaults": self._defaults(), "step": session.step,
            "playing": self.playing, "speed": self.speed, "on": sorted(frames.on), "average": frames.average,
            "plane": is_plane(session.dataset), "modes": has_modes(session.dataset), "note": self.note, "scene": self.scene,
            "levels": frames.levels(), "alarms": [warned.to_json() for warned in frames.watch.said()],
            "slow": self.slow is not None, "rotation": self.rotation, "fixed": _fixed(session.config),
            "own": self._first.data if self._first.data not in OFFERED else "",
        }

    def _defaults(self) -> dict[str, Any]:
        return settings_of(Config(data=self.session.config.data, **defaults_of(self.session.dataset)))

    def _frame(self) -> bytes:
        move = self.slow.moves[self.move] if self.slow else None
        self.frames.phase = time.perf_counter() / 12 % 1
        return self.frames.frame({"rate": round(self.rate, 1) if self.playing else 0, "playing": self.playing}, move=move)

    def _slow_message(self) -> dict[str, Any]:
        if self.slow is None:
            return {"kind": "slow", "moves": [], "at": 0}
        moves = [{"title": m.title, "text": m.text, "line": asdict(m.line), "numbers": [asdict(n) for n in m.numbers]}
                 for m in self.slow.moves]
        return {"kind": "slow", "moves": moves, "at": self.move}

    def recording(self) -> dict[str, Any]:
        """Return what an exported page holds: the recorded frames, and all other messages. Only for the host's thread."""
        frames, session = self.frames, self.session
        if not frames.recorded or frames.recorded[-1][0] != session.step:
            frames.recorded.append((session.step, frames.frame(on=ON_THE_PLANE if is_plane(session.dataset) else OF_PICTURES)))
        return {
            "hello": {**self._hello(), "live": False}, "world": as_base64(frames.world()), "state": self._state(),
            "charts": {**frames.curves(), "ghost": []},
            "frames": [as_base64(frame) for _, frame in frames.recorded], "steps": [step for step, _ in frames.recorded],
        }

    # ---- commands: moving -----------------------------------------------------------------------------------------------------

    def do_play(self) -> None:
        """Play until told otherwise. A game that has made all its steps gets twice as many first."""
        self._leave_slow_motion()
        if self.session.at_end:
            self.session.change({"steps": 2 * max(self.session.config.steps, 1)})
        self.playing, self._counted, self._next_step = True, (time.perf_counter(), self.session.step), time.perf_counter()

    def do_pause(self) -> None:
        """Stop playing, and measure what is shown: while a game plays, counts and D* may be some steps old."""
        self.playing = False
        self._measure()

    def do_step(self, n: int = 1) -> None:
        """Make n steps of both players, at most 1,000."""
        self._stop()
        for _ in range(min(_whole(n, "n"), 1000)):
            self.session.play()
            self.frames.after_step()
        self._measure()

    def do_step_d(self) -> None:
        """Move D alone."""
        self._stop()
        self.session.move_d()
        self._measure()

    def do_step_g(self) -> None:
        """Move G alone."""
        self._stop()
        self.session.move_g()
        self._measure()

    def do_move(self, by: int = 1) -> None:
        """Go on in slow motion by one move, or back by one. After the last move of a step, the next step begins."""
        way = 1 if _whole(by, "by", -1) > 0 else -1
        self.playing = False
        if self.slow is None:
            self.slow, self.move = SlowStep(self.session), 0
        else:
            self.move += way
        if self.move >= len(self.slow.moves):
            self._leave_slow_motion()
            self._measure()
            self.slow, self.move = SlowStep(self.session), 0
        self.move = max(self.move, 0)
        self.slow.show(self.move)
        self._tell("slow", as_json(self._slow_message()))

    def do_leave(self) -> None:
        """Leave slow motion: the step that was begun is finished."""
        self._leave_slow_motion()
        self._measure()

    def do_back(self, step: int) -> None:
        """Go back to a step."""
        self._stop()
        self.session.back(_whole(step, "step"))
        self._went_back()

    def _went_back(self) -> None:
        self.frames.went_back()
        self._tell("charts", self.frames.charts_message())
        self._measure()

    def _stop(self) -> None:
        self.playing = False
        self._leave_slow_motion()

    def _leave_slow_motion(self) -> None:
        if self.slow is not None:
            self.slow.finish()
            self.slow = None
            self._tell("slow", as_json(self._slow_message()))

    # ---- commands: changing ---------------------------------------------------------------------------------------------------

    def do_set(self, changes: dict[str, Any]) -> None:
        """Change options; some begin a new game."""
        self._leave_slow_motion()
        before = self.session.config
        if self.session.change(_record(changes)):
            self._leave_scene_of_other_players()
            self._new_game(self.session)
        else:
            self.frames.watch.changed(self.session.step, before, self.session.config)
            self.frames.forget_readings()
            self._tell("charts", self.frames.charts_message())

    def _leave_scene_of_other_players(self) -> None:
        """Forget the scene, if options that decide the networks are no longer as it has them."""
        wanted = SCENES[self.scene].options if self.scene else {}
        if any(getattr(self.session.config, name) != wanted[name] for name in wanted.keys() & (NEW_GAME - {"seed"})):
            self.scene = ""

    def do_restart(self) -> None:
        """Begin the same game anew."""
        self._stop()
        self.session.begin_anew(self.session.config)
        self._new_game(self.session)

    def do_set_up(self, data: str, settings: dict[str, Any], dabs: list[Any] | None = None, scene: str = "",
                  fixed: dict[str, Any] | None = None) -> None:
        """Begin the game of a page's address, unless it is played already.

        settings: its options that are not the default. scene: the scene that it was. fixed: options of the command line, which the
        page cannot change. Raises OptionError where they are not those with which this page was started.
        """
        if scene and scene not in SCENES:
            raise OptionError(f"there is no scene {scene!r}; there are {', '.join(SCENES)}")
        dataset = self._dataset(data, dabs or [])
        of_page = self._fixed_options(dataset)
        _require_same(data, _record(fixed or {}), Config(data=data, **of_page))
        config = Config(data=data, **chosen_options(dataset, {**of_page, **checked(_record(settings))}))
        if config != self.session.config or (dabs or []) != self._dabs or scene != self.scene:
            self._begin(config, dataset, dabs or [], scene)

    def do_data(self, name: str, dabs: list[Any] | None = None) -> None:
        """Take other data. The options are kept if the old and the new data are both points of the plane, or both are not."""
        dataset = self._dataset(name, dabs or [])
        same_kind = is_plane(dataset) == is_plane(self.session.dataset)
        kept = checked(settings_of(self.session.config)) if same_kind else {}
        self._begin(Config(data=name, **chosen_options(dataset, {**self._fixed_options(dataset), **kept})), dataset, dabs or [])

    def do_scene(self, name: str) -> None:
        """Set up a scene by its name, and play it."""
        if name not in SCENES:
            raise OptionError(f"there is no scene {name!r}; there are {', '.join(SCENES)}")
        scene = SCENES[name]
        dataset = self._dataset(scene.data, [])
        options = chosen_options(dataset, {**self._fixed_options(dataset), **scene.options})
        self._begin(Config(data=scene.data, **options), dataset, [], scene=name)
        self.do_play()

    def _dataset(self, name: Any, dabs: list[Any]) -> Dataset:
        """Return data by a name that the page may use: what it offers, what was drawn, or what the command line named."""
        if dabs and name != DRAWN:
            raise DataError(f"dabs are of the data {DRAWN!r}, not of {name!r}; leave them out")
        if name == self._first.data:
            return self._own
        if name == self.session.config.data and name != DRAWN:
            return self.session.dataset
        if name != DRAWN and name not in OFFERED:
            raise DataError(f"the page offers no data {name!r}; to play on them, start the page by: tinygan play {name}")
        return data_of(name, dabs)

    def _fixed_options(self, dataset: Dataset) -> dict[str, Any]:
        """Return the options of the command line that the page cannot change, as far as they hold for the data.

        All of them hold for the data of the command line. For other data the backend does, and how kernels are emulated; what says
        how a file is read does not.
        """
        kept = FIXED - {"data"} if dataset is self._own else {"backend", "emulate"}
        return {name: getattr(self._first, name) for name in sorted(kept)}

    def _begin(self, config: Config, dataset: Dataset, dabs: list[Any], scene: str = "") -> None:
        self.playing, self.slow, self.scene = False, None, scene
        session = Session(config, dataset, self.session.backend)
        self._dabs = dabs
        self._new_game(session)

    def _new_game(self, session: Session) -> None:
        self.session = self.frames.session = session
        self._games += 1
        self.slow = None
        if self.scene and SCENES[self.scene].constant_d:
            session.make_d_constant()  # before anything is measured
        self.frames.begin_anew()
        self._counted = (time.perf_counter(), 0)
        self._tell("slow", as_json(self._slow_message()))
        self._tell("world", self.frames.world())
        self.frames.measure()
        self.frames.record()
        self._tell("charts", self.frames.charts_message())

    # ---- commands: looking ----------------------------------------------------------------------------------------------------

    def do_views(self, on: list[str], average: bool = False) -> None:
        """Choose what is shown."""
        self.frames.on = set(map(str, on)) & {*ON_THE_PLANE, *OF_PICTURES}
        self.frames.average = bool(average)

    def do_view(self, name: str, on: bool) -> None:
        """Show one view, or hide it; the name "average" shows samples of the average of G."""
        if name == "average":
            self.frames.average = bool(on)
        elif name in (*ON_THE_PLANE, *OF_PICTURES):
            self.frames.on = self.frames.on | {name} if on else self.frames.on - {name}
        else:
            raise OptionError(f"there is no view {name!r}")

    def do_speed(self, steps: float) -> None:
        """Play at most so many steps a second; 0 is as many as there can be."""
        if isinstance(steps, bool) or not isinstance(steps, (int, float)) or not 0 <= steps <= 1e9:
            raise OptionError("the speed has to be a number of steps a second, or 0 for as many as there can be")
        self.speed, self._next_step = float(steps), time.perf_counter()

    def do_dirac(self, gamma: float = 0.0, alternating: bool = False) -> None:
        """Compute the paths of the Dirac-GAN for its scene, and send them."""
        self._tell("dirac", as_json({"kind": "dirac", **dirac(self.session.backend, float(gamma), bool(alternating))}))

    def do_eigenvalues(self) -> None:
        """Begin to compute the eigenvalues of the game where it is; they are sent when all products are made."""
        self.frames.begin_spectrum()

    def do_rotation(self, on: bool) -> None:
        """Compute the eigenvalues again and again while the game is played, or no longer."""
        self.rotation = bool(on)


def _fixed(config: Config) -> dict[str, str]:
    """Return the options that only the command line can set and that decide the game, as text, where they are not as usual."""
    known = options_of(Config)
    return {name: _text(getattr(config, name)) for name in sorted(DECIDING) if getattr(config, name) != known[name].default}


def _text(value: Any) -> str:
    """Return an option's value as an address holds it."""
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _require_same(data: str, wanted: dict[str, Any], config: Config) -> None:
    """Raise OptionError where an address has other options of the command line than this page was started with."""
    own = _fixed(config)
    for name in sorted({*wanted, *own}):
        if name not in DECIDING:
            raise OptionError(f"{name} is no option of the command line that an address can hold")
        option = options_of(Config)[name]
        here = _text(getattr(config, name))
        if name not in wanted:
            raise OptionError(f"the address does not name {option.flag}, with which this page was started; for the game of this "
                              f"page add {name}={here} to the address, for the other one start the page without it")
        given = _text(wanted[name])
        if given != here:
            raise OptionError(f"the address is of a game with {option.flag} {given}, and this page was started with "
                              f"{option.flag} {here or '(nothing)'}; start it by: tinygan play {data} {option.flag} {given}")


def _whole(value: Any, name: str, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{name} is {value!r}, it has to be a whole number of at least {least}")
    return value


def _record(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise OptionError(f"settings have to be a record of options, they are {value!r}")
    return value

