"""Who may talk to the studio: pages that know its token, at an address of this machine, in requests of bounded size."""

from __future__ import annotations

import ipaddress
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_HEADERS = {
    # nothing from elsewhere, nothing to elsewhere, in no other page's frame
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def new_token() -> str:
    """An unguessable part of the address."""
    return secrets.token_urlsafe(24)


class Gate:
    """Lets in requests to `/TOKEN/…` alone, and cuts the token off.

    A page of another site can't know the token, so it can neither read nor change anything; a foreign Host is refused
    all the same, against DNS rebinding, and so is a foreign Origin.

    Args:
        app: behind the gate.
        token: that addresses start with.
        host: the address that is listened on; the loopback ones are always allowed as Host.
        max_body: of a request, in bytes.
    """

    def __init__(self, app: ASGIApp, token: str, host: str = "127.0.0.1", max_body: int = 64 * 2**20) -> None:
        self.app = app
        self.token = token
        self.host = host
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope = {**scope, "root_path": f"/{self.token}"}
        body = 0

        async def bounded_receive() -> Message:
            nonlocal body
            message = await receive()
            body += len(message.get("body", b""))
            if body > self.max_body:
                return {"type": "http.disconnect"}
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, bounded_receive, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return PlainTextResponse("The studio answers to addresses of its own machine only.", 403)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return PlainTextResponse("A page of another site may not use the studio.", 403)
        first = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        if not secrets.compare_digest(first.encode(), self.token.encode()):
            return PlainTextResponse("Open the address that the studio printed: it holds a token.", 403)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_body:
            return PlainTextResponse(f"A request holds at most {self.max_body >> 20} MiB.", 413)
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in _LOOPBACK | {self.host} or (self.host in ("0.0.0.0", "::") and _is_address(name))


def _is_address(name: str) -> bool:
    """Is it an IP address? A name could be made to point here by whoever owns it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
