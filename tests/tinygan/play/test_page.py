"""The page in a real Chromium: every control, forks, drawing, the address, the exported page, lost connections, memory."""

import json
import re
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

pytest.importorskip("starlette", reason="the page needs the extra [play]")
pytest.importorskip("uvicorn", reason="the page needs the extra [play]")
pytest.importorskip("websockets", reason="the page needs the extra [play]")

from browser import Browser, browser_path, wait_for
from played_sessions import bits, kept, trained
from quick_endings import measure_less
from served_game import SMALL, Served, new_host, served
from tinygan_kernels import load as load_backend

from tinygan.cli.main import run
from tinygan.play.densities import chosen_options, data_of
from tinygan.play.export import exported_page
from tinygan.play.host import Host
from tinygan.play.past_run import PastRun
from tinygan.play.scenes import SCENES
from tinygan.training.config import Config

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium is installed; on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def game():
    with served() as found:
        yield found


@pytest.fixture
def page(browser, game):
    """The page of a game at step 0 with the usual options."""
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in SMALL.items()}
    game.host.ask({"do": "set_up", "data": "ring", "settings": settings})
    game.host.ask({"do": "restart"})
    game.host.ask({"do": "rotation", "on": False})
    game.host.ask({"do": "views", "on": ["data", "fakes", "heat"]})
    game.host.ask({"do": "speed", "steps": 0})
    with opened(browser, game.address) as found:
        yield found


@contextmanager
def opened(browser, address, **size):
    """Open a page, wait until it shows the game, and look afterwards that it complained of nothing."""
    page = browser.open(address, **size)
    page.until("document.querySelectorAll('#settings .setting').length > 10 && !document.querySelector('#plane-box').hidden")
    yield page
    page.run("1")
    errors = page.errors
    page.close()
    assert errors == []


def step_of(page):
    return int(page.text("#step-number").replace(",", ""))


def session_of(game, question):
    return game.host.within(lambda: question(game.host.session))


def until_step(page, game, step):
    page.until(f"document.querySelector('#step-number').textContent === '{step:,}'")
    assert session_of(game, lambda s: s.step) == step


# ---- controls -------------------------------------------------------------------------------------------------------------------

def test_the_buttons_move_the_players(page, game):
    page.click("#step")
    until_step(page, game, 1)
    for button, player in (("#step-d", "D."), ("#step-g", "G.")):
        before, step = session_of(game, lambda s: bits(s.run)[0]), step_of(page)
        page.click(button)
        until_step(page, game, step + 1)
        after = session_of(game, lambda s: bits(s.run)[0])
        moved = {name[:2] for name in after if after[name] != before[name]}
        assert moved - {"av"} == {player}
    page.click("#play")
    page.until("document.querySelector('#play').getAttribute('aria-label') === 'Pause'")
    page.until("document.querySelector('#rate').textContent")
    page.click("#play")
    page.until("document.querySelector('#play').getAttribute('aria-label') === 'Play'")
    stopped = session_of(game, lambda s: s.step)
    assert game.host.within(lambda: game.host.frames.measured_at) == stopped
    assert stopped > 20
    until_step(page, game, stopped)
    page.click("#restart")
    until_step(page, game, 0)
    assert session_of(game, lambda s: bits(s.run) == bits(trained(s.config, s.dataset, 0)))


def test_keys_do_what_the_buttons_do(page, game):
    for key, step in (("s", 1), ("d", 2), ("g", 3), ("ArrowRight", 4), ("ArrowLeft", 3)):
        page.press(key)
        until_step(page, game, step)
    page.press(" ")
    page.until("document.querySelector('#play').getAttribute('aria-pressed') === 'true'")
    wait_for(lambda: session_of(game, lambda s: s.step) > 20, "playing")
    page.press(" ")
    page.until("document.querySelector('#play').getAttribute('aria-pressed') === 'false'")
    page.press("r")
    until_step(page, game, 0)


def test_everything_can_be_reached_by_the_keyboard(page):
    seen = set()
    for _ in range(70):
        page.press("Tab")
        seen.add(page.run("(({id, dataset}) => id || dataset.name || dataset.scene || dataset.view)(document.activeElement)"))
    wanted = {"restart", "play", "step", "step-d", "step-g", "slow", "speed", "timeline", "goto", "ring", "moons", "draw",
              "dirac-open", "collapse", "set-k", "set-objective", "set-seed", "plane", "heat", "arrows", "export", "theme"}
    assert wanted <= seen


def test_back_to_any_step_and_the_fork_is_the_run_from_there(page, game):
    """Back by the field, by the slider and by the key; then on with the same options, and a fork with others."""
    game.host.ask({"do": "step", "n": 90})
    until_step(page, game, 90)
    page.enter("#goto", "60")
    until_step(page, game, 60)
    assert session_of(game, lambda s: bits(s.run) == bits(trained(s.config, s.dataset, 60)))
    page.click("#step")
    page.click("#step")
    until_step(page, game, 62)
    assert session_of(game, lambda s: bits(s.run) == bits(trained(s.config, s.dataset, 62)))
    page.enter("#timeline", "41")
    until_step(page, game, 41)
    page.press("ArrowLeft")
    until_step(page, game, 40)
    start = session_of(game, lambda s: kept(s.run))
    page.enter("#set-r1", "1.5")
    page.until("document.querySelector('#set-r1').value === '1.5'")
    wait_for(lambda: session_of(game, lambda s: s.config.r1) == 1.5, "R1")
    for _ in range(3):
        page.click("#step")
    until_step(page, game, 43)
    assert session_of(game, lambda s: bits(s.run) == bits(trained(s.config, s.dataset, 43, start)))


MORE = [
    ("beta1", "0.5", 0.5), ("beta2", "0.9", 0.9), ("decay", "0.25", 0.25), ("gp", "0.5", 0.5), ("smooth", "0.1", 0.1),
    ("unroll", "2", 2), ("unroll_rate", "0.2", 0.2), ("steps", "5000", 5000), ("init", "he_normal", "he_normal"),
    ("decay_power", "2", 2), ("penalty_fall", "4", 4), ("fourier", "8", 8), ("frequency", "20", 20), ("signs", "1", 1),
    ("dropout", "0.25", 0.25), ("batch_norm", True, True), ("spectral", True, True), ("spectral", False, False), ("maxout", "3", 3),
]
CHANGES = [
    ("k", "3", 3), ("objective", "hinge", "hinge"), ("lr_d", "0.004", 0.004), ("lr_g", "0.002", 0.002), ("r1", "0.2", 0.2),
    ("r2", "0.1", 0.1), ("pack", "2", 2), ("ema", "0.9", 0.9), ("noise", "0.3", 0.3), ("update", "simultaneous", "simultaneous"),
    ("batch", "32", 32),
]
RESTARTS = [("hidden", "5, 6", (5, 6)), ("hidden_d", "7", (7,)), ("z", "3", 3), ("seed", "11", 11)]


def test_every_option_changes_while_the_game_runs(page, game):
    page.click("#step")
    for name, text, value in CHANGES:
        if name == "update":
            page.enter("#set-k", "1")
        page.enter(f"#set-{name}", text)
        wait_for(lambda name=name, value=value: session_of(game, lambda s: getattr(s.config, name)) == value, name)
        page.click("#step")
    until_step(page, game, 1 + len(CHANGES))
    for name, text, value in RESTARTS:
        page.enter(f"#set-{name}", text)
        wait_for(lambda name=name, value=value: session_of(game, lambda s: (getattr(s.config, name), s.step)) == (value, 0), name)
        until_step(page, game, 0)
        page.click("#step")
        until_step(page, game, 1)


def test_everything_under_more_options_is_set_and_stands_in_the_address(page, game):
    """Each control by hand: the session has the value and the address names it. They can all be together, and are played."""
    page.click("#more-settings summary")
    for name, text, value in MORE:
        assert page.run(f"document.querySelector('#settings-more #set-{name}').offsetWidth") > 0
        page.click(f"#set-{name}") if isinstance(value, bool) else page.enter(f"#set-{name}", text)
        wait_for(lambda name=name, value=value: session_of(game, lambda s: getattr(s.config, name)) == value, name)
        there = f"new URLSearchParams(location.hash.slice(1)).get('{name}')"
        page.until(f"{there} === {json.dumps(str(text).lower())}" if value else f"{there} === null")
    page.click("#step")
    until_step(page, game, 1)
    on_page = page.run("[...document.querySelectorAll('.setting')].filter(s => !s.hidden).map(s => s.dataset.help)")
    assert sorted(on_page) == sorted({name for name, _, _ in (*CHANGES, *RESTARTS, *MORE)})


def test_what_cannot_be_is_told_in_words_and_put_back(page, game):
    """Every option that is typed: a value below what it may be, or of another kind."""
    page.click("#more-settings summary")
    before = session_of(game, lambda s: s.config)
    fields = "[...document.querySelectorAll('.setting input:not([type=checkbox])')]"
    typed = page.run(f"{fields}.filter(e => e.offsetWidth).map(e => e.id)")
    assert len(typed) > 20
    for field in typed:
        old = page.run(f"document.querySelector('#{field}').value")
        page.enter(f"#{field}", "x" if field.startswith("set-hidden") else "-1")
        flag = "--" + field.removeprefix("set-").replace("_", "-")
        page.until(f"document.querySelector('#note').textContent.includes('{flag} ')")
        page.until(f"document.querySelector('#{field}').value === {json.dumps(old)}")
    assert session_of(game, lambda s: s.config) == before
    page.click("#step")
    page.until("document.querySelector('#note').hidden")


def shows_all_of_the_host(page, game):
    """Wait until the page has drawn a frame that was made after all that was asked so far."""
    number = game.host.within(lambda: game.host.frames.numbers)
    page.until(f"Number(document.body.dataset.frame) >= {number}")


def test_every_view_is_drawn_and_hidden(page, game):
    """Each view changes what the canvas shows, and switched off again it shows what it did before."""
    game.host.ask({"do": "step", "n": 30})
    until_step(page, game, 30)
    for box in page.run("[...document.querySelectorAll('[data-view]:checked')].map(i => i.dataset.view)"):
        page.click(f"[data-view={box}]")
    wait_for(lambda: not game.host.frames.on, "the host shows nothing")
    shows_all_of_the_host(page, game)
    shot = ("document.querySelector('#plane').toDataURL() + "
            "['star', 'difference'].map(name => document.getElementById(name + '-box').hidden)")
    empty = page.run(shot)
    for view in ("data", "fakes", "heat", "levels", "map", "modes", "optimum", "difference"):
        page.click(f"[data-view={view}]")
        page.until(f"({shot}) !== {json.dumps(empty)}")
        page.click(f"[data-view={view}]")
        page.until(f"({shot}) === {json.dumps(empty)}")
    page.click("[data-view=fakes]")
    page.until(f"({shot}) !== {json.dumps(empty)}")
    fakes = page.run(shot)
    page.click("[data-view=arrows]")
    page.until(f"({shot}) !== {json.dumps(fakes)}")


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_slow_motion_shows_the_six_moves_with_their_lines(page, game, update):
    page.enter("#set-update", update)
    page.click("#slow")
    titles = []
    for i in range(6):
        page.until(f"document.querySelector('#motion [aria-current=step]').textContent.startsWith('{i + 1}.')")
        titles.append(page.text("#motion [aria-current=step]"))
        assert re.search(r"tinygan/\w+/\w+\.py, line \d+", page.text("#motion .code")) and page.text("#motion table")
        page.press("m")
    assert "z" in titles[0] and titles[3].endswith("D judges both")
    page.until("document.querySelector('#motion [aria-current=step]').textContent.startsWith('1.')")  # of the next step
    page.press("m")
    page.until("document.querySelector('#motion [aria-current=step]').textContent.startsWith('2.')")
    page.press("ArrowLeft")
    page.until("document.querySelector('#motion [aria-current=step]').textContent.startsWith('1.')")
    page.click("#slow")
    page.until("document.querySelector('#motion').hidden")
    until_step(page, game, 2)
    assert session_of(game, lambda s: bits(s.run) == bits(trained(s.config, s.dataset, 2)))


def test_speed_is_kept(page, game):
    page.enter("#speed", "10")
    begun = time.monotonic()  # before the click, which the game may see long before this test goes on
    page.click("#play")
    wait_for(lambda: session_of(game, lambda s: s.step) >= 4, "4 steps")
    page.click("#play")
    page.until("document.querySelector('#play').getAttribute('aria-pressed') === 'false'")
    passed = time.monotonic() - begun
    assert session_of(game, lambda s: s.step) <= 10 * passed + 3


def test_pointing_reads_the_plane_and_hovering_explains(page):
    page.move("#plane")
    page.until("/x = .*y = .*D = 0\\.\\d+/.test(document.querySelector('#readout').textContent)")
    page.move("[data-help=value]")
    page.until("document.querySelector('#tip').textContent.includes('E log D(x)') && !document.querySelector('#tip').hidden")


def test_dark_and_light(page):
    before = page.run("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") != before


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_sticks_out_or_overlaps(browser, game, width):
    with opened(browser, game.address, width=width) as page:
        assert page.run("document.documentElement.scrollWidth") <= width
        parts = "header button, header select, header input, #views .view, #views legend, .choices button"
        boxes = page.run(f"[...document.querySelectorAll('{parts}')]"
                         ".map(e => e.getBoundingClientRect()).filter(b => b.width).map(b => [b.left, b.top, b.right, b.bottom])")
        assert len(boxes) > 20
        for i, a in enumerate(boxes):
            assert a[0] >= 0 and a[2] <= width + 0.5
            for b in boxes[:i]:
                assert a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] + 1 or b[3] <= a[1] + 1, (a, b)
        selects = "[...document.querySelectorAll('#settings select')]"
        assert page.run(f"{selects}.filter(s => s.scrollWidth > s.clientWidth + 1).length") == 0


# ---- data, address --------------------------------------------------------------------------------------------------------------

def test_data_by_button(page, game, browser, tmp_path):
    for name in ("moons", "circle", "grid", "line", "wide-ring"):
        page.click(f"[data-name={name}]")
        page.until(f"document.querySelector('[data-name={name}]').getAttribute('aria-pressed') === 'true'")
        page.click("#step")
        until_step(page, game, 1)
        assert session_of(game, lambda s: s.dataset.name) == name
    page.click("[data-name=digits]")
    page.until("!document.querySelector('#pictures-box').hidden && document.querySelector('#tiles').width > 40")
    file = tmp_path / "digits.html"
    file.write_text(exported_page(game.host.within(game.host.recording)))
    with without_a_net(browser, file) as replayed:
        replayed.until("document.querySelector('#tiles').width > 40 && document.querySelector('#walk').width > 40")
        assert replayed.run("document.querySelector('#plane-box').hidden")
    page.click("#draw")
    assert page.run("document.querySelector('#plane').getBoundingClientRect().width") > 100  # where pictures were
    page.click("#drawing-cancel")
    page.until("document.querySelector('#plane-box').hidden && !document.querySelector('#pictures-box').hidden")
    page.click("[data-name=ring]")
    page.until("!document.querySelector('#plane-box').hidden")


def test_data_that_are_drawn_by_hand(page, game):
    page.click("#draw")
    page.until("!document.querySelector('#drawing').hidden")
    box = page.run("(b => [b.left, b.top, b.width, b.height])(document.querySelector('#plane').getBoundingClientRect())")

    def at(x, y):  # in [-2, 2]^2
        return box[0] + box[2] * (x + 2) / 4, box[1] + box[3] * (2 - y) / 4

    page.drag([at(x / 10, 1) for x in range(-10, 11)])
    for _ in range(5):
        page.press("ArrowDown")
    page.press("Enter")
    page.click("#drawing-use")
    wait_for(lambda: session_of(game, lambda s: s.dataset.name) == "drawn", "drawn data")
    centres = session_of(game, lambda s: s.dataset.centres)
    assert len(centres) > 12 and abs(centres[:-1, 1] - 1).max() < 0.03 and abs(centres[-1] - [1, 0.5]).max() < 0.03
    wait_for(lambda: session_of(game, lambda s: s.step) > 10, "playing")
    page.click("#play")
    page.until("location.hash.includes('data=drawn&dabs=')")
    address = page.run("location.href")
    game.host.ask({"do": "data", "name": "ring"})
    with opened_again(page, address):
        wait_for(lambda: session_of(game, lambda s: s.dataset.name) == "drawn", "the drawing comes back")
        assert abs(session_of(game, lambda s: s.dataset.centres) - centres).max() < 1e-12


@contextmanager
def opened_again(page, address):
    """Have a tab leave the page and open an address."""
    page.do("Page.navigate", url="about:blank")
    page.until("location.href === 'about:blank'")
    page.do("Page.navigate", url=address)
    page.until("document.querySelectorAll('#settings .setting').length > 10")
    yield


def test_the_address_restores_all_settings(page, game):
    page.click("[data-name=moons]")
    page.until("document.querySelector('[data-name=moons]').getAttribute('aria-pressed') === 'true'")
    for name, text in (("hidden", "5, 4"), ("k", "2"), ("objective", "least-squares"), ("lr_d", "0.003"),
                       ("seed", "5"), ("r1", "0.3")):
        page.enter(f"#set-{name}", text)
    page.enter("#speed", "100")
    page.click("[data-view=map]")
    wait_for(lambda: session_of(game, lambda s: s.config.r1) == 0.3 and "map" in game.host.frames.on, "the settings")
    page.until("location.hash.includes('map') && location.hash.includes('speed=100') && location.hash.includes('r1=0.3')")
    address, config = page.run("location.href"), session_of(game, lambda s: s.config)
    game.host.ask({"do": "data", "name": "ring"})
    game.host.ask({"do": "set", "changes": {"k": 1, "objective": "minimax", "hidden": [3], "seed": 0, "lr_d": 0.01, "r1": 0.0}})
    game.host.ask({"do": "views", "on": ["data"]})
    game.host.ask({"do": "speed", "steps": 0})
    with opened_again(page, address):
        wait_for(lambda: session_of(game, lambda s: s.config) == config, "the options")
        wait_for(lambda: "map" in game.host.frames.on and game.host.speed == 100, "views and speed")
        page.until(f"location.href === {json.dumps(address)}")


def test_the_address_restores_a_file_and_how_it_was_read(browser, tmp_path):
    """A page that is opened anew goes on with the game; the address leads back to the file after other data were chosen."""
    file = tmp_path / "three columns.csv"
    file.write_text("a,b,c\n" + "".join(f"{i % 5},{i % 7},{i % 3}\n" for i in range(40)))
    dataset = data_of(str(file), columns="c,a")
    options = chosen_options(dataset, {**SMALL, "columns": "c,a", "backend": "reference"})
    host = Host(Config(data=str(file), **options), dataset, load_backend("reference"))
    host.start()
    server = Served(host)
    try:
        with opened(browser, server.address) as page:
            page.click("#step")
            until_step(page, server, 1)
            address = page.run("location.href")
            assert page.text("[data-own]") == "three columns.csv"
            with opened_again(page, address):
                until_step(page, server, 1)
                page.until(f"location.href === {json.dumps(address)}")
                assert session_of(server, lambda s: s.step) == 1
            page.click("[data-name=moons]")
            page.until("location.hash.includes('data=moons')")
            with opened_again(page, address):
                page.until("document.querySelector('[data-own]').getAttribute('aria-pressed') === 'true'")
                config = session_of(server, lambda s: s.config)
                assert (config.data, config.columns, config.backend) == (str(file), "c,a", "reference")
    finally:
        server.stop()
        host.close()


def test_the_address_restores_a_scene_the_theme_an_orbit_and_what_is_followed(page, game):
    page.click("[data-scene=constant-d]")
    wait_for(lambda: session_of(game, lambda s: s.step) > 3, "the scene plays")
    page.click("#play")
    page.click("#theme")
    page.click("#follow")
    page.click("#dirac-open")
    page.click("#orbit-4")
    page.until("location.hash.includes('dirac=0.3%2Cin-turn')")
    dark = page.run("document.documentElement.classList.contains('dark')")
    for part in ("scene=constant-d", "rotation=1", f"theme={'dark' if dark else 'light'}"):
        assert part in page.run("location.hash")
    address, config = page.run("location.href"), session_of(game, lambda s: s.config)
    page.run("document.querySelector('#dirac').close()")
    page.until("!location.hash.includes('dirac')")
    for command in ({"do": "data", "name": "moons"}, {"do": "rotation", "on": False}, {"do": "speed", "steps": 0}):
        game.host.ask(command)
    with opened_again(page, address):
        wait_for(lambda: session_of(game, lambda s: s.config) == config and game.host.scene == "constant-d", "the scene")
        assert abs(game.host.within(game.host.frames.views.heat) - 0.5).max() < 1e-6 and session_of(game, lambda s: s.step) == 0
        page.until("document.querySelector('#dirac').open")
        page.until("document.querySelector('#orbit-4').getAttribute('aria-pressed') === 'true'")
        assert page.run("document.documentElement.classList.contains('dark')") == dark
        page.until(f"document.querySelector('#follow').checked && location.href === {json.dumps(address)}")
    game.host.ask({"do": "rotation", "on": False})


def test_an_address_that_says_nonsense_is_told(page, game):
    with opened_again(page, game.address + "#data=ring&kk=3&speed=10&dirac=0,in-turn"):  # nothing that follows puts the line away
        page.until("document.querySelector('#dirac').open")
        page.until("document.querySelector('#note').textContent.startsWith('kk is no option')")
        page.run("location.hash = '#data=drawn&dabs=%'")
        page.until("document.querySelector('#note').textContent.startsWith('data are drawn by hand')")
        page.until("location.hash.startsWith('#data=ring')")
        page.run("location.hash = '#k=7'")
        wait_for(lambda: session_of(game, lambda s: s.config.k) == 7, "the option alone")
        assert game.host.within(lambda: game.host.speed) == 0
    with opened_again(page, game.address + "#data=ring&k=0&hidden=x&nothing=1"):
        page.until("!document.querySelector('#note').hidden")


# ---- several pages, a lost connection, memory -----------------------------------------------------------------------------------

def test_a_second_tab_watches_the_same_run(page, browser, game):
    with opened(browser, game.address) as other:
        page.click("#step")
        for tab in (page, other):
            tab.until("document.querySelector('#step-number').textContent === '1'")
        other.click("#step")
        page.until("document.querySelector('#step-number').textContent === '2'")


def test_a_lost_connection_is_told_and_found_again(browser):
    host = new_host()
    server = Served(host)
    try:
        page = browser.open(server.address)
        page.until("document.querySelector('#waiting').offsetHeight > 0")  # as while kernels are compiled
        host.start()
        page.until("document.querySelector('#waiting').hidden")
        page.until("document.querySelectorAll('#settings .setting').length > 10")
        page.click("#step")
        page.until("document.querySelector('#step-number').textContent === '1'")
        server.stop()
        page.until("!document.querySelector('#banner').hidden && document.querySelector('#banner').textContent.includes('lost')")
        server = Served(host, server.port, server.door.token)
        page.until("document.querySelector('#banner').hidden")
        page.click("#step")
        page.until("document.querySelector('#step-number').textContent === '2'")
        page.close()
    finally:
        server.stop()
        host.close()
    assert host.failed is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_game_that_an_error_has_ended_is_told_now_and_to_whoever_comes_later(browser):
    host = new_host()
    host.start()
    server = Served(host)
    try:
        with opened(browser, server.address) as page:
            host._asked.put(lambda: 1 / 0)
            page.until("document.querySelector('#banner').textContent.includes('ZeroDivisionError: division by zero')")
            assert not page.run("document.querySelector('#banner').hidden")
        later = browser.open(server.address)
        later.until("document.querySelector('#banner').textContent.includes('An error has ended the game')")
        assert later.errors == []
        later.close()
    finally:
        server.stop()
    assert isinstance(host.failed, ZeroDivisionError)


def test_the_page_counts_the_frames_that_it_has_drawn_not_those_that_the_game_has_made(page, game):
    """The game makes frames that no page gets to draw; the benchmark counts by this number."""
    page.until("Number(document.body.dataset.drawn) >= 1")
    before = page.run("({ ...document.body.dataset })")
    assert game.host.within(lambda: [game.host._frame() for _ in range(50)])  # as for a page that is slow
    page.click("#step")
    page.until(f"Number(document.body.dataset.frame) > {int(before['frame']) + 50}")
    assert 1 <= int(page.run("document.body.dataset.drawn")) - int(before["drawn"]) < 10


def objects_of(page):
    """Return how many objects the page's scripts hold, after V8 has collected what they do not; strings and numbers are none."""
    every = page.do("Runtime.evaluate", expression="Object.prototype")["result"]["objectId"]
    found = page.do("Runtime.queryObjects", prototypeObjectId=every)["objects"]["objectId"]
    count = page.do("Runtime.callFunctionOn", objectId=found, functionDeclaration="function() { return this.length }",
                    returnByValue=True)
    for name in (every, found):
        page.do("Runtime.releaseObject", objectId=name)
    return count["result"]["value"]


def bytes_of_buffers(page):
    """Return how many bytes the page's ArrayBuffers hold, which lie beside V8's heap; 0 where the browser is too old to tell."""
    return page.do("Runtime.getHeapUsage").get("backingStorageSize", 0)


def test_frames_leave_no_objects_in_the_page(page, game, monkeypatch):
    """A page that kept each frame would hold some twenty objects more for each: its message, its arrays and their shapes.
    One that kept the bytes alone in which a frame comes would hold 25 kB more for each, in one object that is not counted.

    Objects are counted, as the bytes of the heap say little: over 2,000 frames they stay at 1.3 MB, but for a while there are up to
    1.1 MB of machine code more, which V8 makes of the page's functions and throws away again.
    """
    monkeypatch.setattr("tinygan.play.host.FRAME", 0.012)  # about as many frames a second as the page can draw
    monkeypatch.setattr("tinygan.play.host.MEASURE", 1e9)  # no points of curves, of which the page keeps up to 1,200
    page.do("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=1, mobile=False)
    for view in ("map", "optimum"):
        page.click(f"[data-view={view}]")

    def objects_after(frames):
        drawn = "Number(document.body.dataset.drawn)"
        wanted = page.run(drawn) + frames
        page.click("#play")
        page.until(f"{drawn} >= {wanted}", progress=lambda: page.run(drawn))
        page.click("#play")
        page.until("document.querySelector('#play').getAttribute('aria-pressed') === 'false'")
        return objects_of(page), bytes_of_buffers(page)

    before, then = objects_after(20), objects_after(150)
    assert then[0] < before[0] + 150, (before, then)  # some 80 come and go with the arrays of a frame that is not drawn yet
    assert then[1] < before[1] + 1e6, (before, then)


def test_the_page_keeps_a_bounded_number_of_points(page, game):
    """It drops every other one where there are too many; those that are left reach from the first to the newest."""
    tell = "import(new URL('state.js', location.href)).then(state => {{ {} }})"
    points = "Array.from({ length: 200 }, (_, i) => ({ step: n + i }))"
    page.run(tell.format(f"for (let n = 0; n < 3000; n += 200) state.tell({{ kind: 'points', points: {points} }})"))
    steps = page.run(tell.format("return state.game.points.map(point => point.step)"))
    assert 500 < len(steps) <= 1200 and steps == sorted(steps) and steps[0] == 0 and steps[-1] >= 2990


# ---- alarms, scenes, eigenvalues ------------------------------------------------------------------------------------------------

def test_a_collapse_is_seen_and_the_button_cures_it(page, game, monkeypatch):
    """A G that learns too fast, until the alarm goes off; after one click the alarm says what was done, and when it was over.

    The game stops by itself at a step where the alarm is on, and at one where it is over: a page that was kept waiting on a busy
    machine finds the same text as any other.
    """
    def step():
        return session_of(game, lambda s: s.step)

    ends = "document.querySelector('#play').getAttribute('aria-pressed') === 'false'"
    scene = SCENES["collapse"]
    monkeypatch.setitem(SCENES, "collapse", replace(scene, options={**scene.options, "steps": 1500}))
    game.host.ask({"do": "views", "on": ["modes"]})
    page.click("[data-scene=collapse]")
    page.until("document.querySelector('[data-alarm=collapse]').textContent.startsWith('Seen at step ')", progress=step)
    told = page.text("[data-alarm=collapse]")
    seen = int(re.match(r"Seen at step ([\d,]+)Mode collapse, since step [\d,]+ at least: G stays away from regions with \d+%",
                        told)[1].replace(",", ""))
    wait_for(lambda: step() == 1500, "the end of the first steps", progress=step)
    page.until(ends)
    assert 800 <= seen <= 1500
    page.run("[...document.querySelectorAll('[data-alarm=collapse] button')].find(b => b.textContent === 'k = 5').click()")
    wait_for(lambda: session_of(game, lambda s: s.config.k) == 5, "the cure")
    game.host.ask({"do": "set", "changes": {"steps": 6000}})
    page.click("#play")
    over = r"/Over at step [\d,]+.*Changed since: step 1,500: --k 1 → 5; step 1,500: --steps 1500 → 6000\./"
    page.until(f"{over}.test(document.querySelector('[data-alarm=collapse]').textContent)", progress=step)
    wait_for(lambda: step() == 6000, "the end of the steps", progress=step)
    assert page.run("document.querySelectorAll('[data-alarm=collapse] button').length") == 0
    page.until(ends)
    assert game.host.within(lambda: game.host.frames.charts.points[-1]["modes"]) == 8


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_set_and_played_and_its_buttons_change_it(page, game, name):
    scene = SCENES[name]
    page.click(f"[data-scene={name}]")
    page.until(f"document.querySelector('#scene-text .claim').textContent.includes('Claim {scene.claim}:')")
    wait_for(lambda: session_of(game, lambda s: s.step) > 3, "the scene plays")
    page.click("#play")
    page.until("document.querySelector('#play').getAttribute('aria-pressed') === 'false'")
    given = {option: tuple(v) if isinstance(v, list) else v for option, v in scene.options.items()}
    assert session_of(game, lambda s: {option: getattr(s.config, option) for option in given}) == given
    for number, changes in enumerate(scene.then.values()):
        page.run(f"document.querySelectorAll('#scene-text button')[{number}].click()")
        wait_for(lambda c=changes: session_of(game, lambda s: {o: getattr(s.config, o) for o in c}) == dict(c), "the button")
    page.click("[data-name=ring]")
    page.until("document.querySelector('#scene-text').hidden")


def test_the_constant_d_says_one_half_everywhere(page, game):
    page.click("[data-scene=constant-d]")
    wait_for(lambda: session_of(game, lambda s: s.step) > 3, "the scene plays")
    assert abs(game.host.within(game.host.frames.views.heat) - 0.5).max() < 1e-6
    page.until("document.querySelector('.chart header').textContent.includes('V -1.386')")


def test_the_dirac_orbit_and_its_cure(page):
    page.click("#dirac-open")
    page.until("document.querySelector('#dirac-text').textContent.includes('dirac-simultaneous')")
    assert "from 1.414 to 2.658" in page.text("#dirac-text")
    page.click("#orbit-2")
    page.until("document.querySelector('#dirac-text').textContent.includes('dirac-r1')")
    assert "from 1.414 to 0.001" in page.text("#dirac-text") and "0.150" in page.text("#dirac-text")
    page.run("document.querySelector('#dirac').close()")


def test_eigenvalues_of_small_and_of_large_players_once_and_while_the_game_is_played(page, game, monkeypatch):
    monkeypatch.setattr("tinygan.play.host.FOLLOWED", 0.8)  # of the time, to wait less
    page.click("#rotation summary")
    page.click("#eigenvalues")
    page.until("document.querySelector('#eigen-text').textContent.includes('At step 0: all 219 eigenvalues')")
    page.enter("#set-hidden", "30, 30")
    page.enter("#speed", "100")
    page.until("document.querySelector('#eigen-text').textContent === '' && document.querySelector('#eigen').hidden")
    page.click("#eigenvalues")
    page.until("/At step 0: the \\d+ outermost of 1,1\\d\\d eigenvalues/.test(document.querySelector('#eigen-text').textContent)")
    page.click("#play")
    page.click("#follow")
    page.until("[...document.querySelectorAll('.chart')].pop().textContent.startsWith('Rotation')")
    wait_for(lambda: len(game.host.within(lambda: list(game.host.frames.rotation.points))) > 2, "the curve of the eigenvalues")
    page.click("#follow")
    page.click("#play")
    page.until("document.querySelector('#play').getAttribute('aria-pressed') === 'false'")
    points = game.host.within(lambda: list(game.host.frames.rotation.points))
    assert [p["step"] for p in points] == sorted({p["step"] for p in points}) and points[0]["step"] == 0 < points[-1]["step"]


def test_numbers_that_are_not_finite_have_no_eigenvalues(page, game):
    game.host.within(lambda: game.host.session.run.game.optim_g.parameters[0].array.fill(float("nan")))
    page.click("#eigenvalues")
    page.until("document.querySelector('#note').textContent.includes('no eigenvalues')")


# ---- exported pages, runs of the past -------------------------------------------------------------------------------------------

@contextmanager
def without_a_net(browser, file):
    """Open a file in a tab that has no network, and look afterwards that it asked for nothing and complained of nothing."""
    page = browser.open("about:blank")
    page.do("Network.enable")
    page.do("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    page.do("Page.navigate", url=file.as_uri())
    page.until("document.readyState === 'complete' && location.protocol === 'file:'")
    yield page
    assert page.run("performance.getEntriesByType('resource').map(entry => entry.name)") == [] and page.errors == []
    page.close()


def test_the_button_saves_a_page_that_replays_from_the_disk(page, game, browser, tmp_path):
    page.click("[data-name=moons]")
    page.until("document.querySelector('[data-name=moons]').getAttribute('aria-pressed') === 'true'")
    for n in range(10, 41, 10):
        game.host.ask({"do": "step", "n": 10})
        until_step(page, game, n)
        game.host.within(game.host.frames.record)
    page.do("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.click("#export")
    file = tmp_path / "tinygan-play.html"
    wait_for(file.exists, "the download")
    with without_a_net(browser, file) as replayed:
        replayed.until("document.querySelector('#step-number').textContent === '40'")  # it plays by itself
        replayed.until("document.querySelector('#play').getAttribute('aria-pressed') === 'false'")
        replayed.click("#restart")
        replayed.until("document.querySelector('#step-number').textContent === '0'")
        first = replayed.run("document.querySelector('#plane').toDataURL()")
        replayed.enter("#timeline", "31")
        replayed.until("document.querySelector('#step-number').textContent === '30'")
        assert replayed.run("document.querySelector('#plane').toDataURL()") != first
        replayed.click("[data-view=fakes]")
        assert replayed.run("document.querySelector('#step').offsetWidth > 0 && document.querySelector('#slow').offsetWidth === 0")
        assert replayed.run("[...document.querySelectorAll('.setting input, .setting select')].every(e => e.disabled)")
        for key in "dgm":
            replayed.press(key)
        assert replayed.text("#step-number") == "30"
        assert "moons" in file.read_text() and game.door.token not in file.read_text()


def test_a_page_written_by_the_command_line_replays(browser, tmp_path):
    file = tmp_path / "page.html"
    small = ["--batch", "4", "--hidden", "4", "--z", "2"]
    assert run(["play", "line", "--steps", "40", "--export", str(file), *small]) == 0
    with without_a_net(browser, file) as replayed:
        replayed.until("document.querySelector('#step-number').textContent === '40'")
        assert "line" in file.read_text()


def test_a_finished_run_is_replayed(browser, tmp_path, monkeypatch):
    measure_less(monkeypatch)
    out = tmp_path / "run"
    small = ["--batch", "4", "--hidden", "4", "--z", "2", "--backend", "reference"]
    assert run(["train", "ring", "--out", str(out), "--steps", "20", "--snapshots", "10", *small]) == 0
    past = PastRun(out)
    (out / "secret.png").write_bytes(b"secret")
    server = Served(past)
    try:
        page = browser.open(server.address)
        page.until("document.querySelector('#past img').naturalWidth > 100")
        page.until("document.querySelector('#past p').textContent.includes('step 20')")
        page.enter("#past input", "0")
        page.until(f"document.querySelector('#past p').textContent.includes('step {past.message()['steps'][0]}')")
        page.click("#past-play")
        page.until("document.querySelector('#past p').textContent.includes('step 20')")
        for key, step in (("r", past.message()["steps"][0]), ("ArrowRight", past.message()["steps"][1]), (" ", 20)):
            page.run("document.activeElement.blur()")
            page.press(key)
            page.until(f"document.querySelector('#past p').textContent.endsWith('step {step}')")
        assert page.run("document.querySelector('#play').offsetWidth + document.querySelector('#timeline').offsetWidth") == 0
        shown = page.run("[...document.querySelectorAll('.chart')].filter(c => !c.hidden).map(c => c.innerText)")
        assert [text.split("\n")[0] for text in shown] == ["V", "D believes", "Losses"]  # a run has no other readings
        assert page.errors == []
        page.close()
        count = len(past.pictures)
        assert server.get(f"/{server.door.token}/pictures/0")[0] == 200
        for path in (f"pictures/{count}", "pictures/-1", "pictures/../secret.png", "pictures/secret.png", "secret.png"):
            assert server.get(f"/{server.door.token}/{path}")[0] == 404
    finally:
        server.stop()
    file = tmp_path / "past.html"
    assert run(["play", str(out), "--export", str(file)]) == 0
    with without_a_net(browser, file) as replayed:
        replayed.until("document.querySelector('#past img').naturalWidth > 100")
