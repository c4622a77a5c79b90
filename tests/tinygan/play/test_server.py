"""Who is let in, and what is given out: tokens, Hosts, Origins, files; and what a watcher is told over the socket."""

import json
import socket
import time

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the server of the page needs the extra [play]")
pytest.importorskip("uvicorn", reason="the server of the page needs the extra [play]")
pytest.importorskip("websockets", reason="the server of the page needs the extra [play]")

from served_game import Served, new_host, served
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tinygan.options import OptionError
from tinygan.play.export import PAGE_FILES
from tinygan.play.messages import unpacked_frame
from tinygan.play.safety import Door
from tinygan.play.server import MOST_BYTES, listening_socket


@pytest.fixture(scope="module")
def game():
    with served() as found:
        yield found


def open_socket(game, token=None, origin=..., host=None):
    """Open the page's WebSocket with these headers."""
    own = f"http://127.0.0.1:{game.port}"
    address = f"ws://{host or '127.0.0.1'}:{game.port}/{token or game.door.token}/live"
    return connect(address, origin=own if origin is ... else origin,
                   sock=socket.create_connection(("127.0.0.1", game.port)), max_size=2**24)


def messages_until(link, kind, seconds=90):
    """Return the first message of a kind, or of any kind (None): JSON as it is, of a frame its header, with "arrays"."""
    end = time.monotonic() + seconds
    while True:
        got = link.recv(max(0.1, end - time.monotonic()))
        if isinstance(got, bytes):
            header, arrays = unpacked_frame(got)
            found = {**header, "arrays": arrays}
        else:
            found = json.loads(got)
        if kind in (None, found["kind"]):
            return found


# ---- who is let in --------------------------------------------------------------------------------------------------------------

def test_the_page_is_given_to_whoever_knows_the_token(game):
    status, headers, body = game.get(f"/{game.door.token}/")
    assert status == 200 and b"tinygan" in body and headers["content-type"] == "text/html; charset=utf-8"
    for name in PAGE_FILES:
        assert game.get(f"/{game.door.token}/{name}")[0] == 200, name
    assert len(game.door.token) >= 22


@pytest.mark.parametrize("path", ["/", "/x/", "/x/main.js", "/x/export.html", "//", "/{short}/", "/{token}x/", "/{upper}/"])
def test_a_wrong_token_is_refused(game, path):
    token = game.door.token
    status, _, body = game.get(path.format(token=token, short=token[:-1], upper=token.swapcase()))
    assert status in (403, 404) and token.encode() not in body and b"svg" not in body
    assert game.get(f"/{token}/")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1",
                                  "127.0.0.1.evil.example:{port}", "[::2]:{port}"])
def test_another_host_is_refused(game, host):
    """A name that somebody rebound to 127.0.0.1 comes with its own Host."""
    for path in ("", "main.js", "export.html"):
        assert game.get(f"/{game.door.token}/{path}", host=host.format(port=game.port))[0] == 403
    assert game.get(f"/{game.door.token}/", host=f"localhost:{game.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1",
                                    "https://127.0.0.1:{port}", "file://", "http://localhost:{port}"])
def test_another_origin_is_refused(game, origin):
    assert game.get(f"/{game.door.token}/", Origin=origin.format(port=game.port))[0] == 403
    with pytest.raises(InvalidStatus) as caught:
        open_socket(game, origin=origin.format(port=game.port))
    assert caught.value.response.status_code == 403
    assert game.get(f"/{game.door.token}/", Origin=f"http://127.0.0.1:{game.port}")[0] == 200


@pytest.mark.parametrize("odd", [{"token": "x"}, {"origin": None}, {"host": "evil.example"}], ids=lambda odd: next(iter(odd)))
def test_the_socket_is_refused_without_token_origin_or_host(game, odd):
    before = len(game.host._listeners)
    with pytest.raises((InvalidStatus, ConnectionClosed)) as caught:
        open_socket(game, **odd)
    assert caught.value.response.status_code == 403 and len(game.host._listeners) == before


@pytest.mark.parametrize("path", [
    "../setup.py", "..%2f..%2fsetup.py", "%2e%2e/%2e%2e/host.py", "host.py", "page/main.js", "../page/main.js", "/etc/passwd",
    "..\\host.py", "main.js/../../host.py", "main.js%00", "pictures/0", "pictures/..%2f..%2fhost.py", "index.html/", "live", ".",
])
def test_nothing_else_is_ever_read_from_the_disk(game, path):
    status, _, body = game.get(f"/{game.door.token}/{path}")
    assert status in (403, 404) and len(body) < 100, body
    assert b"import" not in body


@pytest.mark.parametrize("path", ["/x", "/{token}", "/x/", "/", "//x", "/{token}/none.js"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_door_stands_before_the_whole_application(game, path, method):
    """No path (not even one that is redirected) and no method is answered to another Host; all answers have the headers."""
    path = path.format(token=game.door.token)
    status, headers, body = game.get(path, host=f"evil.example:{game.port}", method=method)
    assert (status, body) == (403, b"this Host is not served\n") and "location" not in headers
    for given in (headers, game.get(path, method=method)[1]):
        assert {name.lower(): value for name, value in game.door.headers().items()}.items() <= given.items()


def test_an_address_without_its_last_slash_leads_to_the_page(game):
    status, headers, _ = game.get(f"/{game.door.token}")
    assert (status, headers["location"]) == (307, f"/{game.door.token}/")
    assert game.get("/x")[0] == 403


def test_the_server_draws_nothing_from_the_generator_that_all_share(game):
    """uvicorn draws what is in a ping from it, and a step that is captured just then would seem to draw random numbers."""
    assert game.server.config.ws_ping_interval is None


def test_other_methods_are_refused(game):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert game.get(f"/{game.door.token}/", method=method)[0] == 405


def test_every_answer_has_the_policy(game):
    for path, wanted in ((f"/{game.door.token}/", 200), ("/wrong/", 403), (f"/{game.door.token}/none.js", 404)):
        status, headers, _ = game.get(path)
        policy = headers["content-security-policy"]
        assert status == wanted and "unsafe" not in policy
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert f"ws://127.0.0.1:{game.port}" in policy and "[" not in policy  # browsers refuse an IPv6 address in a policy
        assert (headers["referrer-policy"], headers["cache-control"], headers["x-content-type-options"]) == (
            "no-referrer", "no-store", "nosniff")
        assert "access-control-allow-origin" not in headers


def test_only_this_machine_is_listened_to():
    with listening_socket("127.0.0.1", 0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        with pytest.raises(OSError, match="choose another --port"):
            listening_socket("127.0.0.1", listening.getsockname()[1])


def test_a_door_of_another_address_lets_that_in_too():
    door = Door("token", "192.0.2.7", 80)
    assert door.refuses({"host": "192.0.2.7:80"}, "token") is None
    assert door.refuses({"host": "192.0.2.8:80"}, "token") and door.refuses({}, "token")
    assert Door("token", "::1", 80).refuses({"host": "[::1]:80"}, "token") is None
    assert door.refuses({"host": "192.0.2.7:80"}, "töken")


def test_browsers_leave_out_port_80_and_write_names_small():
    door = Door("token", "MyMachine", 80)
    for host in ("mymachine", "mymachine:80", "127.0.0.1", "[::1]", "localhost"):
        assert door.refuses({"host": host, "origin": f"http://{host}"}, "token") is None
    assert "ws://mymachine " in door.headers()["Content-Security-Policy"]
    assert door.refuses({"host": "mymachine", "origin": "http://evil.example"}, "token")
    assert door.refuses({"host": "evil.example"}, "token")
    assert Door("token", "mymachine", 81).refuses({"host": "mymachine"}, "token")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0", "", "0:0:0:0:0:0:0:0"])
def test_a_host_that_stands_for_all_addresses_is_refused(host):
    with pytest.raises(OptionError, match="all addresses of this machine"):
        listening_socket(host, 0)


# ---- what is told ---------------------------------------------------------------------------------------------------------------

def do(link, what, **rest):
    link.send(json.dumps({"do": what, **rest}))


def test_a_watcher_is_told_all_there_is_and_then_what_changes(game):
    with open_socket(game) as link:
        hello, world, state = (messages_until(link, kind) for kind in ("hello", "world", "state"))
        assert hello["live"] and "ring" in hello["offered"]
        assert "data" not in hello["options"] and hello["options"]["hidden"]["new_game"]
        assert world["arrays"]["data"].shape == (600, 2) and world["arrays"]["centres"].shape == (8, 2)
        frame = messages_until(link, "frame")
        assert frame["arrays"]["fakes"].shape == (400, 2) and np.isfinite(frame["arrays"]["heat"]).all()
        do(link, "step", n=3)
        do(link, "drawn")
        while (told := messages_until(link, "state"))["step"] != state["step"] + 3:
            pass
        assert not told["playing"]


def test_frames_wait_until_the_last_was_drawn(game):
    with open_socket(game) as link:
        first = messages_until(link, "frame")
        for _ in range(5):
            do(link, "step")
        while (told := messages_until(link, None))["kind"] != "state" or told["step"] != first["step"] + 5:
            assert told["kind"] != "frame"
        game.host.within(lambda: None)  # asked after the state was told, so the frame of that step is offered by now
        with pytest.raises(TimeoutError):
            messages_until(link, "frame", seconds=0.5)
        do(link, "drawn")
        assert messages_until(link, "frame")["step"] == first["step"] + 5


HUGE = "1" + "0" * 400  # a whole number that no float holds
DEEP = "[" * 990 + "]" * 990  # what is read, but not written again in a thread that has a few calls on its stack already
NONSENSE = [
    "", "x", "[]", "1", "null", '{"do": 1}', '{"do": "_tell"}', '{"do": "close"}', '{"do": "step", "n": -1}',
    '{"do": "step", "n": 1e9}', '{"do": "step", "more": 1}', '{"do": "set"}', '{"do": "set", "changes": []}',
    '{"do": "set", "changes": {"out": "/x"}}',
    '{"do": "data", "name": "/etc/passwd"}', '{"do": "data", "name": ["ring"]}', '{"do": "data", "name": "digits.npz"}',
    '{"do": "back", "step": "1"}', '{"do": "back", "step": 99999999}', '{"do": "speed", "steps": "fast"}',
    '{"do": "scene", "name": {}}', '{"do": "set_up", "data": "ring", "settings": {"data": "/etc/passwd"}}',
    '{"do": "dirac", "gamma": "x"}', '{"do": "views", "on": 3}', '{"do": "data", "name": "drawn", "dabs": "x"}',
    '{"do": "move", "by": "x"}', '{"do": "view", "name": "x", "on": true}',
    '{"do": "set", "changes": {"k": true}}', '{"do": "data", "name": "drawn", "dabs": 3}', "[" * 10000,
    f'{{"do": "dirac", "gamma": {HUGE}}}', f'{{"do": "data", "name": "drawn", "dabs": [[{HUGE}, 0]]}}',
    f'{{"do": "set_up", "data": "drawn", "settings": {{}}, "dabs": [[0, {HUGE}]]}}',
    f'{{"do": "data", "name": "ring", "dabs": {DEEP}}}', f'{{"do": "set_up", "data": "ring", "settings": {{}}, "dabs": {DEEP}}}',
    f'{{"do": "data", "name": "drawn", "dabs": {DEEP}}}', f'{{"do": {DEEP}}}', f'{{"do": "views", "on": [{DEEP}]}}',
    f'{{"do": "set", "changes": {{"hidden": {DEEP}}}}}', f'{{"do": "set", "changes": {{"lr_d": {HUGE}}}}}',
    f'{{"do": "set", "changes": {{"seed": -{HUGE}}}}}', f'{{"do": "speed", "steps": {HUGE}}}', f'{{"do": "back", "step": {HUGE}}}',
    f'{{"do": "data", "name": {DEEP}}}', f'{{"do": "scene", "name": {DEEP}}}', f'{{"do": "dirac", "gamma": {DEEP}}}',
]


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_told_in_a_line_and_changes_nothing(game, text):
    before = game.host.within(lambda: (game.host.session.step, game.host.session.config, game.host.session.dataset))
    with open_socket(game) as link:
        messages_until(link, "state")
        link.send(text)
        do(link, "views", on=["data"])  # which clears the note; it shows that the game still answers
        while messages_until(link, "state")["on"] != ["data"]:
            pass
        do(link, "views", on=["data", "fakes"])
        while messages_until(link, "state")["on"] != ["data", "fakes"]:
            pass
    after = game.host.within(lambda: (game.host.session.step, game.host.session.config, game.host.session.dataset))
    assert after == before and game.host.is_alive()


def test_a_message_that_is_too_long_ends_the_connection_only(game):
    with open_socket(game) as link, pytest.raises(ConnectionClosed):
        link.send("x" * (MOST_BYTES + 1))
        while True:
            link.recv(10)
    with open_socket(game) as link:
        messages_until(link, "state")


def test_a_game_that_ends_while_it_is_watched():
    host = new_host(steps=40)
    host.start()
    found = Served(host)
    try:
        with open_socket(found) as link:
            do(link, "play")
            while not (told := messages_until(link, "state"))["note"]:
                do(link, "drawn")
            assert "all 40 steps are made" in told["note"] and told["step"] == 40 and not told["playing"]
            do(link, "play")
            while messages_until(link, "state")["step"] <= 40:
                pass
    finally:
        found.stop()
        host.close()
    assert host.failed is None
