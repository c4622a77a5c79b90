"""Who is let in: whoever knows the token, from this machine, and from a page that this server gave out.

A page that listens on 127.0.0.1 can be reached by every site that the same browser has open. Three things keep those out: the token
in the path, which they do not know; the Host header, which a name that was rebound to 127.0.0.1 gets wrong; and the Origin header,
which a browser sends with every request that a script of another site makes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "connect-src 'self' {sockets}",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))


def new_token() -> str:
    """Return a token of 128 random bits, as text for a URL."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True)
class Door:
    """What a request has to show. token: the first part of its path. host, port: where the server listens."""

    token: str
    host: str
    port: int

    @property
    def hosts(self) -> set[str]:
        """The Host headers that are let in. Browsers leave out a port of 80, and write names in small letters."""
        names = {*LOOPBACK, f"[{self.host}]" if ":" in self.host else self.host.lower()}
        return {f"{name}:{self.port}" for name in names} | (names if self.port == 80 else set())

    def refuses(self, headers: Mapping[str, str], token: str) -> str | None:
        """Say why a request is refused; None if it is let in."""
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return "this Host is not served"
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "requests of other sites are refused"
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return "the token is wrong; take the address that `tinygan play` printed"
        return None

    def headers(self) -> dict[str, str]:
        """Return the headers that every answer gets."""
        sockets = " ".join(sorted(f"ws://{host}" for host in self.hosts if not host.startswith("[")))  # a policy cannot name IPv6
        return {
            "Content-Security-Policy": POLICY.format(sockets=sockets), "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }
