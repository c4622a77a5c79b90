"""A headless Chromium for tests, driven by the DevTools protocol: open a page, run JavaScript in it, press keys, take pictures."""

import base64
import contextlib
import inspect
import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browser_path():
    """Return where a Chromium is installed; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A Chromium of its own, with a profile that is thrown away. To be used in a `with`.

    frame_rate_limit: draw 60 frames a second at most, as on a screen; else as many as the machine can.
    """

    def __init__(self, frame_rate_limit=False):
        self.folder = tempfile.mkdtemp(prefix="tinygan-browser-")
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                 "--no-first-run", *([] if frame_rate_limit else ["--disable-gpu-vsync", "--disable-frame-rate-limit"]),
                 "--remote-debugging-port=0", "--disable-background-networking",
                 f"--user-data-dir={self.folder}", "about:blank"]
        self.process = subprocess.Popen([browser_path(), *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, "HOME": self.folder})
        port = Path(self.folder) / "DevToolsActivePort"
        wait_for(lambda: port.exists() and port.read_text().count("\n") >= 1, "Chromium did not start", 60)
        self.port = int(port.read_text().split()[0])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def open(self, url, width=1280, height=900, dark=False):
        """Open a page of this size in a new tab."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            page = Page(json.load(answer)["webSocketDebuggerUrl"])
        page.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        if dark:
            page.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        page.do("Page.enable")
        page.do("Runtime.enable")
        page.do("Log.enable")
        page.do("Page.navigate", url=url)
        return page


class Page:
    """One tab. errors: what the page complained of so far."""

    def __init__(self, address):
        from websockets.sync.client import connect

        self.link = contextlib.ExitStack()
        reached = urllib.parse.urlsplit(address)
        # a socket of our own, as websockets before 15 has no argument that says to use no proxy, and later ones look for one
        own = socket.create_connection((reached.hostname, reached.port))
        # and no pings, where there are any, as they draw from Python's shared generator, which the game in this process watches
        quiet = {"ping_interval": None} if "ping_interval" in inspect.signature(connect).parameters else {}
        self.socket = self.link.enter_context(connect(address, max_size=2**26, sock=own, **quiet))
        self.numbers = itertools.count(1)
        self.errors = []

    def do(self, method, **params):
        """Have Chromium do something; return what it answers."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(60))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            if message.get("method") == "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.errors.append(message["params"]["entry"]["text"] + " " + message["params"]["entry"].get("url", ""))

    def run(self, code):
        """Return the value of a JavaScript expression in the page."""
        answer = self.do("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{code}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def until(self, code, **patience):
        """Wait until a JavaScript expression is true, and return it. patience: as for `wait_for`."""
        return wait_for(lambda: self.run(f"(() => {{ try {{ return {code} }} catch (e) {{ return false }} }})()"), code, **patience)

    def click(self, selector):
        """Click on the element that a CSS selector finds."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def enter(self, selector, text):
        """Give an input or a select a value, as a person does who types or chooses it."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.run(f"(e => {{ e.focus(); e.value = {json.dumps(text)}; for (const kind of ['input', 'change'])"
                 f" e.dispatchEvent(new Event(kind, {{ bubbles: true }})); e.blur(); }})({element})")

    def move(self, selector):
        """Move the mouse over the middle of an element."""
        element = f"document.querySelector({json.dumps(selector)})"
        x, y = self.run(f"(e => {{ e.scrollIntoView({{ block: 'center' }}); const b = e.getBoundingClientRect();"
                        f" return [b.left + b.width / 2, b.top + b.height / 2]; }})({element})")
        self.do("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def close(self):
        """Close the tab."""
        self.do("Page.close")
        self.link.close()

    def text(self, selector):
        """Return the text of an element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).textContent")

    def press(self, key, code=None, text=None):
        """Press and let go a key, as a person does, wherever the focus is."""
        what = {"key": key, "code": code or key}
        if text or len(key) == 1:
            what["text"] = text or key
        virtual = {"Enter": 13, "Tab": 9, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}.get(key)
        if virtual:
            what["windowsVirtualKeyCode"] = virtual
        if key == "Enter":
            what["text"] = "\r"
        self.do("Input.dispatchKeyEvent", type="keyDown", **what)
        self.do("Input.dispatchKeyEvent", type="keyUp", **what)

    def drag(self, points):
        """Press the mouse at the first point, move over the others, and let it go at the last, in pixels of the window."""
        def mouse(kind, at, **rest):
            self.do("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", **rest)

        mouse("mousePressed", points[0], clickCount=1)
        for point in points[1:]:
            mouse("mouseMoved", point, buttons=1)
        mouse("mouseReleased", points[-1], clickCount=1)

    def picture(self, path, whole=False):
        """Write a picture of what the window shows, or of the whole page, as PNG."""
        answer = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(answer["data"]))


def wait_for(what, name, seconds=240, progress=lambda: None):
    """Call a function until it returns something true, and return that.

    Raises TimeoutError where `progress` has returned the same for so many seconds. Without it the bound is for all of the waiting;
    with it, a slow machine may take as long as it needs.
    """
    end, reached = time.monotonic() + seconds, progress()
    while not (found := what()):
        if time.monotonic() > end:
            if progress() == reached:
                raise TimeoutError(f"{name[:300]}: not so after {seconds} s")
            end, reached = time.monotonic() + seconds, progress()
        time.sleep(0.02)
    return found
