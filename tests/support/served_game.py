"""A game of `tinygan play` that is served in this process, so that a test can look at both ends."""

import http.client
import threading
import time
from contextlib import contextmanager

from tinygan_kernels import load as load_backend

from tinygan.play.densities import chosen_options, data_of
from tinygan.play.host import Host
from tinygan.play.safety import Door, new_token
from tinygan.training.config import Config

SMALL = {"hidden": (8, 8), "hidden_d": (8, 8), "z": 2, "batch": 16}


def new_host(data="ring", **options):
    """Return a host on small players, not started."""
    dataset = data_of(data)
    return Host(Config(data=data, **chosen_options(dataset, {**SMALL, **options})), dataset, load_backend("cpu"))


class Served:
    """host: the game, whose thread runs. door: what a request has to show. address: the page's. port: where it is served."""

    def __init__(self, host, port=0, token=None):
        from tinygan.play.server import listening_socket, server_of

        self.host = host
        self.socket = listening_socket("127.0.0.1", port)
        self.port = self.socket.getsockname()[1]
        self.door = Door(token or new_token(), "127.0.0.1", self.port)
        self.address = f"http://127.0.0.1:{self.port}/{self.door.token}/"
        self.server = server_of(host, self.door)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def get(self, path, host=None, method="GET", **headers):
        """Return the status, the headers and the body of a request with these headers; path: as it is sent, unescaped."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True)
            for name, value in {"Host": host or f"127.0.0.1:{self.port}", **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def stop(self):
        """End the server; the game goes on."""
        self.server.should_exit = True
        self.thread.join(30)
        self.socket.close()


@contextmanager
def served(data="ring", **options):
    """Serve a game, and end it and its server afterwards."""
    host = new_host(data, **options)
    host.start()
    found = Served(host)
    try:
        yield found
    finally:
        found.stop()
        host.close()
    if host.failed is not None or host.is_alive():
        raise AssertionError("the game's thread did not end as it should") from host.failed
