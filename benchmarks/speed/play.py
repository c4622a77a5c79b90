"""Time `tinygan play`: steps a second of a game alone, then steps and frames a second as a page shows it in a real Chromium:

    python -m benchmarks.speed.play [--data NAME ...] [--seconds S] [--pictures FOLDER] [--json FILE]

Alone, a session plays blocks of steps with the page's default options, and the median block counts. Watched, the command `tinygan
play` runs in a process of its own, and the page counts the frames that it has drawn and the steps that they show, with the views
that are on at first and with all of them. --pictures writes two pictures of the page, light and dark.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from tinygan_kernels import load as load_backend

from tests.support.browser import Browser, Page, browser_path
from tinygan.play.densities import chosen_options, data_of
from tinygan.play.session import Session
from tinygan.training.config import Config

from .timing import stamp

BLOCKS, BLOCK = 9, 500  # blocks of steps
NOW = ("({ drawn: Number(document.body.dataset.drawn),"
       " step: Number(document.querySelector('#step-number').textContent.replace(/,/g, '')) })")
ALL = "for (const box of document.querySelectorAll('[data-view]:not(:checked)')) box.click()"


def alone(data: str) -> float:
    """Return the steps a second of a game that nobody watches: the median of BLOCKS blocks, after one that is not counted."""
    dataset = data_of(data)
    session = Session(Config(data=data, **chosen_options(dataset, {})), dataset, load_backend("cpu"))
    rates = []
    for _ in range(BLOCKS + 1):
        begun = time.perf_counter()
        session.play(BLOCK)
        rates.append(BLOCK / (time.perf_counter() - begun))
    return statistics.median(rates[1:])


@contextmanager
def page_of(data: str, browser: Browser) -> Iterator[Page]:
    """Start `tinygan play`, and open its page."""
    command = [sys.executable, "-m", "tinygan", "play", data, "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            page = browser.open(server.stdout.readline().strip(), width=1280, height=860)
            page.until("document.querySelectorAll('#settings .setting').length > 10")
            yield page
            page.close()
        finally:
            server.terminate()


def watched(page: Page, seconds: float) -> dict[str, float]:
    """Return the steps and frames a second that a page shows while the game plays."""
    before, begun = page.run(NOW), time.perf_counter()
    time.sleep(seconds)
    after, passed = page.run(NOW), time.perf_counter() - begun
    return {"steps": (after["step"] - before["step"]) / passed, "frames": (after["drawn"] - before["drawn"]) / passed}


def measured(data: str, browser: Browser, seconds: float) -> dict[str, Any]:
    """Return the rates of a game on data: alone, watched with the first views, and with all of them."""
    found: dict[str, Any] = {"data": data, "alone": alone(data)}
    with page_of(data, browser) as page:
        page.click("#play")
        page.until("Number(document.querySelector('#step-number').textContent.replace(/,/g, '')) > 200")  # all is compiled
        found["watched"] = watched(page, seconds)
        page.run(ALL)
        time.sleep(1)
        found["all views"] = watched(page, seconds)
    return found


def pictures(browser: Browser, folder: Path) -> None:
    """Write docs' two pictures of the page: a ring being learnt, and a collapse beside the optimal D, in the dark."""
    with page_of("ring", browser) as page:
        page.click("#play")
        page.until("Number(document.querySelector('#step-number').textContent.replace(/,/g, '')) > 16000")
        page.click("#play")
        page.until("document.querySelector('#play').getAttribute('aria-pressed') === 'false'")
        page.picture(folder / "play.png")
        page.click("#theme")
        page.click("[data-scene=collapse]")
        page.until("document.querySelectorAll('[data-alarm]').length > 0", 300)
        page.click("#play")
        page.click("[data-view=optimum]")
        page.click("[data-view=difference]")
        page.until("!document.querySelector('#difference-box').hidden")
        page.do("Emulation.setDeviceMetricsOverride", width=1280, height=1330, deviceScaleFactor=1, mobile=False)
        time.sleep(1)
        page.picture(folder / "play-dark.png")
    for name in ("play.png", "play-dark.png"):  # with all their colours: with 256 the map has edges, or the lines other colours
        with Image.open(folder / name) as picture:
            picture.convert("RGB").save(folder / name, optimize=True)


def line_of(found: dict[str, Any]) -> str:
    """Return what was measured as a line of text."""
    parts = [f"{name} {found[name]['steps']:,.0f} steps/s at {found[name]['frames']:.0f} frames/s"
             for name in ("watched", "all views")]
    return f"{found['data']}: alone {found['alone']:,.0f} steps/s, {', '.join(parts)}"


def main() -> None:
    """Measure, print a line for each data set, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=["ring", "moons", "digits"])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if browser_path() is None:
        parser.error("no Chromium is installed; on Debian: apt-get install chromium")
    games = []
    with Browser(frame_rate_limit=True) as browser:
        for data in options.data:
            games.append(measured(data, browser, options.seconds))
            print(line_of(games[-1]), flush=True)
        if options.pictures:
            pictures(browser, options.pictures)
    if options.json:
        options.json.write_text(json.dumps({"stamp": stamp(), "load": os.getloadavg()[0], "games": games}, indent=1) + "\n")


if __name__ == "__main__":
    main()
