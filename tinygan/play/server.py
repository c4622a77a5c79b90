"""The server of the page: a few files of this package, one WebSocket, and the exported page. Needs the extra [play]."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from ipaddress import ip_address

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tinygan.options import OptionError

from .charts import MOST, Point
from .export import PAGE_FILES, exported_page, page_file
from .host import Host
from .messages import as_json
from .past_run import PastRun
from .safety import Door

MOST_BYTES = 2**16  # of a message from the page
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class Watcher:
    """One open page. It holds at most one message of each kind, and sends the next frame only once the page has drawn the last."""

    def __init__(self, socket: WebSocket, loop: asyncio.AbstractEventLoop) -> None:
        self.socket, self.loop = socket, loop
        self.waiting: dict[str, str | bytes] = {}
        self.points: list[Point] = []
        self.drawn = True  # whether the last frame was
        self.news = asyncio.Event()

    # from the host's thread

    def offer(self, kind: str, message: str | bytes) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server is about to end
            self.loop.call_soon_threadsafe(self._take, kind, message)

    def offer_point(self, point: Point) -> None:
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._take_point, point)

    # in the loop

    def _take(self, kind: str, message: str | bytes) -> None:
        self.waiting.pop(kind, None)  # so that messages go out in the order of their last offer
        self.waiting[kind] = message
        if kind == "charts":
            self.points.clear()
        self.news.set()

    def _take_point(self, point: Point) -> None:
        self.points.append(point)
        del self.points[:-MOST]
        self.news.set()

    async def pass_on(self) -> None:
        """Send what there is, whenever there is something."""
        while True:
            await self.news.wait()
            self.news.clear()
            frame = self.waiting.pop("frame", None) if self.drawn else None
            others = [kind for kind in self.waiting if kind != "frame"]
            for kind in others:
                await self._send(self.waiting.pop(kind))
            if self.points:
                points, self.points = self.points, []
                await self._send(as_json({"kind": "points", "points": points}))
            if frame is not None:
                self.drawn = False
                await self._send(frame)

    async def _send(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self.socket.send_bytes(message)
        else:
            await self.socket.send_text(message)

    def has_drawn(self) -> None:
        """Take note that the page has drawn the last frame."""
        self.drawn = True
        self.news.set()


class Guarded:
    """An application behind a door. Nothing of it sees a request that the door refuses, and all answers get the door's headers."""

    def __init__(self, inner: ASGIApp, door: Door) -> None:
        self.inner, self.door = inner, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        why = self.door.refuses(headers, scope["path"].removeprefix("/").partition("/")[0])
        if scope["type"] == "websocket":
            if why or "origin" not in headers:
                await WebSocket(scope, receive, send).close(1008)  # before it is accepted: the answer is 403
            else:
                await self.inner(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.door.headers())
            await send(message)

        answer: ASGIApp = Response(why + "\n", 403, media_type="text/plain") if why else self.inner
        await answer(scope, receive, send_with_headers)


def application(host: Host | PastRun, door: Door) -> Guarded:
    """Return the application that serves one game, or a run of the past, under /TOKEN/."""

    def page(request: Request) -> Response:
        name = request.path_params.get("name", "") or "index.html"
        if name not in PAGE_FILES:
            return Response("there is no such file\n", 404, media_type="text/plain")
        return Response(page_file(name), media_type=TYPES[name[name.rindex(".") :]])

    def with_slash(request: Request) -> Response:
        return RedirectResponse(f"/{door.token}/")

    def export(request: Request) -> Response:
        text = host.within(lambda: exported_page(host.recording()))
        saved = {"Content-Disposition": 'attachment; filename="tinygan-play.html"'}
        return Response(text, media_type="text/html; charset=utf-8", headers=saved)

    def picture(request: Request) -> Response:
        content = host.picture(request.path_params["number"]) if isinstance(host, PastRun) else None
        if content is None:
            return Response("there is no such picture\n", 404, media_type="text/plain")
        return Response(content, media_type="image/png")

    async def live(socket: WebSocket) -> None:
        await socket.accept()
        watcher = Watcher(socket, asyncio.get_running_loop())
        host.join_in(watcher)
        passing = asyncio.create_task(watcher.pass_on())
        try:
            await _listen(socket, watcher, host)
        except WebSocketDisconnect:
            pass
        finally:
            passing.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # a socket that was closed while something was sent
                await passing
            host.leave(watcher)

    inner = Starlette(routes=[
        Route("/{token}", with_slash), Route("/{token}/", page), Route("/{token}/export.html", export),
        Route("/{token}/pictures/{number:int}", picture),
        WebSocketRoute("/{token}/live", live), Route("/{token}/{name:path}", page),
    ])
    inner.router.redirect_slashes = False
    return Guarded(inner, door)


async def _listen(socket: WebSocket, watcher: Watcher, host: Host | PastRun) -> None:
    """Take what the page asks for, until it is closed. What is no command is dropped."""
    while True:
        text = await socket.receive_text()
        try:
            command = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if not isinstance(command, dict):
            continue
        if command.get("do") == "drawn":
            watcher.has_drawn()
        else:
            host.ask(command, watcher)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a port, or at a free one for port 0.

    Raises OSError where the port is taken, and OptionError for a host that stands for all addresses of this machine.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        if ip_address(made.getsockname()[0].partition("%")[0]).is_unspecified:
            made.close()
            raise OptionError(f"--host is {host!r}, which stands for all addresses of this machine at once, and browsers "
                              "ask for one of them; give the address or the name at which the page is to be reached")
        made.listen()  # until then somebody else could still take the port
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"{error.strerror}; choose another --port", f"{host}:{port}") from None
    return made


def server_of(host: Host | PastRun, door: Door) -> uvicorn.Server:
    """Return a server for the page; `serve(sockets=[...])` of it runs until `should_exit` is set."""
    # uvicorn draws what is in a ping from Python's shared generator. A step that is captured just then seems to have drawn it, and
    # is refused (engine/randomness.py); the page is on the same machine and says when it goes, so it needs no pings.
    config = uvicorn.Config(
        application(host, door), log_level="error", access_log=False, ws="websockets-sansio", ws_max_size=MOST_BYTES,
        ws_ping_interval=None, lifespan="off", server_header=False, timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)
