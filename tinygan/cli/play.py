"""`tinygan play`: the game in a page of the browser, or written to a file that replays it anywhere."""

from __future__ import annotations

import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tinygan_kernels.child_process import only_installed_programs
from tinygan_kernels.extras import install

from tinygan.data import NAMES, DataOptions
from tinygan.options import OptionError, options_of, require_effect
from tinygan.play.densities import OF_THE_PLANE
from tinygan.training.config import Config

from .console import err, load_backend, out, require_page, tell
from .flags import shown_value, takes_options

if TYPE_CHECKING:
    from tinygan.play.host import Host
    from tinygan.play.past_run import PastRun

PANEL = "The page"
LOCAL = "127.0.0.1"
INSTALL = f"tinygan play needs a small web server: {install('play')}"
EXAMPLES = (
    "Examples:  tinygan play   |   tinygan play moons --k 5 --r1 0   |   tinygan play heights.csv   |   tinygan play runs/digits   "
    "|   tinygan play ring --steps 5000 --export ring.html"
)


# The page begins with options of its own: see chosen_options().
DEFAULTS = {name: f"Default: {shown_value(value)} for points of the plane, else what suits the data."
            for name, value in OF_THE_PLANE.items()}
DEFAULTS |= {name: f"Default: {shown_value(OF_THE_PLANE[name])}." for name in ("steps", "decay")}


def _flag(name: str, help: str) -> Any:
    return typer.Option(name, help=help, rich_help_panel=PANEL, show_default=False)


@takes_options(Config, DEFAULTS)
def play(
    *,
    data: Annotated[str, typer.Argument(metavar="[DATA]", help=(
        "ring, wide-ring, grid, line, moons, circle, digits; a CSV of two columns, a folder of pictures, or other data that train "
        "takes and a page can show; or the folder of a run that was trained with --snapshots, which is replayed. Default: ring."),
        show_default=False)] = "ring",
    given: dict[str, Any],
    preset: Annotated[str | None, _flag("--preset", "A named set of options; others come on top. See `tinygan presets`. Default: "
                                                      "none.")] = None,
    port: Annotated[int, _flag("--port", "Where the page is served. Default: a free port.")] = 0,
    host: Annotated[str, _flag("--host", "The address to listen at: one by which browsers ask for it, so not 0.0.0.0. Default: "
                                              "127.0.0.1, which only this machine reaches.")] = LOCAL,
    no_open: Annotated[bool, _flag("--no-open", "Print the address, and leave the browser alone. Default: off.")] = False,
    export: Annotated[Path | None, _flag("--export", "Play all --steps (3,000 if not given) without a page, and write one that "
                                                     "replays them to this file. Default: nothing is written.")] = None,
) -> int:
    """Play the game in a page: watch it, take its steps apart, change it while it runs, go back and fork.

    The page begins with small players, so that thousands of steps a second can be watched, and with rates that do not fall; every
    option of train can be given. It is served on this machine alone, under an address with a token that nobody else knows.
    Ctrl-C ends it.
    """
    if not 0 <= port <= 65535:
        raise typer.BadParameter(f"{port} is no port, it has to be between 0 and 65535", param_hint="--port")
    require_page(export, "--export")
    game = _past_or_game(data, given, preset, bool(export))
    if export:
        return _export(game, export)
    try:
        import starlette  # noqa: F401  the server needs all three of them
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ModuleNotFoundError as error:
        raise OptionError(f"{INSTALL} ({error.name} is missing)") from None
    return _serve(game, host, port, not no_open)


def _past_or_game(data: str, given: dict[str, Any], preset: str | None, exporting: bool) -> Host | PastRun:
    from tinygan.play.densities import OFFERED, chosen_options, data_of
    from tinygan.play.host import Host
    from tinygan.play.past_run import PastRun
    from tinygan.training.checkpoint import CHECKPOINT
    from tinygan.training.presets import options_of_preset

    path = Path(data)
    if data not in OFFERED and data not in NAMES and (path.name == CHECKPOINT or (path / CHECKPOINT).is_file()):
        if given or preset:
            name = next(iter(given), "preset").replace("_", "-")
            raise OptionError(f"{data} is a finished run, which is replayed as it was; leave out --{name}")
        return PastRun(path)
    options = {**(options_of_preset(preset, data) if preset else {}), **given}
    if exporting and "steps" not in options:
        options["steps"] = 3000
    dataset = data_of(data, (), **{name: options[name] for name in options_of(DataOptions) if name in options})
    config = Config(data=data, **chosen_options(dataset, options))
    require_effect(config, given)
    return Host(config, dataset, load_backend(config.backend, config.emulate))


def _export(game: Host | PastRun, path: Path) -> int:
    """Play all steps, and write the page that replays them. Raises OSError."""
    from tinygan.atomic_files import write_atomically
    from tinygan.play.export import exported_page
    from tinygan.play.past_run import PastRun

    if not isinstance(game, PastRun):
        game.play_all()
    write_atomically(path, exported_page(game.recording()).encode())
    tell(out, f"{path}: open it in a browser, no server is needed")
    return 0


def open_browser(address: str) -> None:
    """Open an address in the browser. No program of the working directory is run, whatever PATH says."""
    with only_installed_programs():
        webbrowser.open(address)


def _serve(game: Host | PastRun, host: str, port: int, opening: bool) -> int:
    """Serve the page until Ctrl-C."""
    from tinygan.play.past_run import PastRun
    from tinygan.play.safety import LOOPBACK, Door, new_token
    from tinygan.play.server import listening_socket, server_of

    with listening_socket(host, port) as listening:
        door = Door(new_token(), host, listening.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{door.port}/{door.token}/"
        if shown not in LOOPBACK:
            tell(err, f"tinygan: {host} can be reached from other machines; whoever knows the address can change this game")
        server = server_of(game, door)
        if not isinstance(game, PastRun):
            game.start()
        tell(out, address)
        sys.stdout.flush()
        if opening:
            threading.Thread(target=open_browser, args=(address,), daemon=True).start()
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            game.close()
    if not isinstance(game, PastRun) and game.failed is not None:
        raise game.failed
    return 0
