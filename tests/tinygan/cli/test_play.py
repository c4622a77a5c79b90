"""`tinygan play`: what cannot be played is refused in one line, and the page is served until Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import webbrowser

import pytest
from browser import wait_for

from tinygan.cli import play
from tinygan.cli.main import run
from tinygan.cli.play import open_browser

SMALL = ("--batch", "4", "--hidden", "4", "--z", "2")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "three.csv").write_text("a,b,c\n" + "1,2,3\n4,5,6\n" * 9)
    return tmp_path


@pytest.mark.parametrize(("words", "said"), [
    (("nothing-of-the-kind",), "nothing-of-the-kind"), (("three.csv",), "choose two by --columns"),
    (("ring", "--port", "99999"), "port"), (("drawn",), "draw your own"),
    (("ring", "--backend", "cupy"), "--backend"), (("moons", "--columns", "a,b"), "--columns"), (("ring", "--k", "0"), "--k"),
    (("moons", "--scale", "2"), "no options of data; leave out --scale"), (("ring", "--size", "8"), "--size is for images"),
    (("ring", "--export", "nowhere/x.html", "--steps", "2", *SMALL), "nowhere"),
    (("ring", "--export", "points.csv", "--steps", "2", *SMALL), "--export: points.csv is no name of a page, which ends in .html"),
], ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None)  # fmt: skip
def test_what_cannot_be_played_is_refused_in_a_line(files, monkeypatch, capsys, words, said):
    monkeypatch.chdir(files)
    assert run(["play", *words, "--no-open"]) == 2
    told = capsys.readouterr()
    assert said in " ".join(told.err.split()) and "Traceback" not in told.err


@pytest.mark.parametrize(("words", "scale"), [
    (("grid",), 4.0), (("grid", "--scale", "2"), 2.0), (("ring", "--scale", "2"), 2.0), (("grid", "--preset", "pacgan-gan"), 1.0),
    (("grid", "--preset", "pacgan-gan", "--scale", "2"), 2.0),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else None)
def test_the_game_has_the_scale_of_the_command_line_or_of_its_preset(monkeypatch, words, scale):
    """The data of the game, and not its options alone; and what the page is told of them."""
    played = []
    monkeypatch.setattr(play, "_serve", lambda game, *rest: played.append(game) or 0)
    assert run(["play", *words, "--no-open", *SMALL]) == 0
    (game,) = played
    assert game.session.dataset.codec.std == (scale, scale)
    assert game.session.config.scale == (scale if words[1:] else None)
    assert game._state()["fixed"] == ({"scale": str(scale)} if words[1:] else {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_host_that_stands_for_all_addresses_is_refused_in_a_line(capsys, host):
    pytest.importorskip("uvicorn", reason="the server of the page needs the extra [play]")
    assert run(["play", "ring", "--no-open", "--host", host, *SMALL]) == 2
    assert "stands for all addresses" in " ".join(capsys.readouterr().err.split())


def test_play_hands_the_address_to_what_opens_browsers(monkeypatch):
    """While it does, nothing of PATH is relative, empty or the working directory; afterwards PATH is as it was."""
    seen, before = [], os.environ["PATH"]
    dirty = os.pathsep.join(("", ".", "here", os.getcwd(), before, "", "/nothing-of-the-kind"))
    monkeypatch.setenv("PATH", dirty)
    monkeypatch.setattr(webbrowser, "open", lambda address: seen.append((address, os.environ["PATH"])))
    open_browser("http://127.0.0.1:1/x/")
    assert seen == [("http://127.0.0.1:1/x/", os.pathsep.join(
        folder for folder in before.split(os.pathsep) if os.path.isabs(folder) and os.path.isdir(folder)))]
    assert os.environ["PATH"] == dirty and "NoDefaultCurrentDirectoryInExePath" not in os.environ
    monkeypatch.setenv("PATH", "")  # which would be the working directory for whoever starts a program
    open_browser("http://127.0.0.1:1/x/")
    assert seen[1][1] == os.defpath and os.environ["PATH"] == ""


def test_without_the_extra_the_command_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert run(["play", "ring", "--no-open", *SMALL]) == 2
    assert "[play]" in " ".join(capsys.readouterr().err.split())


def test_a_port_that_is_taken_is_told(capsys):
    pytest.importorskip("uvicorn", reason="the server of the page needs the extra [play]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["play", "ring", "--no-open", "--port", str(taken.getsockname()[1]), *SMALL]) == 2
    assert "--port" in " ".join(capsys.readouterr().err.split())


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT, which Windows has not")
def test_the_page_is_opened_and_served_until_ctrl_c(tmp_path):
    """The browser that is opened is the installed one, not the one that lies in the working directory, which is on PATH first."""
    pytest.importorskip("uvicorn", reason="the server of the page needs the extra [play]")
    for folder, mark in ((tmp_path / "here", tmp_path / "PLANTED"), (tmp_path / "bin", tmp_path / "OPENED")):
        folder.mkdir()
        (folder / "www-browser").write_text(f"#!/bin/sh\necho $1 > {mark}\n")
        (folder / "www-browser").chmod(0o755)
    variables = os.environ | {"PATH": f":{tmp_path / 'bin'}", "BROWSER": "www-browser",
                              "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "tinygan", "play", "ring", *SMALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path / "here",
                          env=variables) as server:
        address = server.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{22}/", address)
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"tinygan" in answer.read()
        marks = (tmp_path / "OPENED", tmp_path / "PLANTED")
        wait_for(lambda: any(mark.exists() and mark.read_text() for mark in marks), "a browser is opened")
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=60)
    said = [line for line in err.splitlines() if "compiling the CPU kernels" not in line]  # which a first start says
    assert server.returncode in (0, 130) and not said, err
    assert not (tmp_path / "PLANTED").exists() and (tmp_path / "OPENED").read_text().strip() == address
