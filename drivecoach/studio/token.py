"""The token without which nobody is answered: once in the address that is printed, from then on in a cookie."""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAID = "This is a drivecoach studio. Open it by the whole address that it printed, token included.\n"


class Token:
    """Wants the token on every request: in the query of the first one, then in a cookie that only this page sends.

    ``name``: the cookie's, which tells studios on several ports of one machine apart.
    """

    def __init__(self, app: ASGIApp, token: str, name: str) -> None:
        self.app, self.token, self.name = app, token, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        by_address = self._is_right(request.query_params.get("token", ""))
        if not by_address and not self._is_right(request.cookies.get(self.name, "")):
            await PlainTextResponse(_SAID, 401)(scope, receive, send)
            return

        async def with_cookie(message: Message) -> None:
            if by_address and message["type"] == "http.response.start":
                cookie = f"{self.name}={self.token}; Path=/; HttpOnly; SameSite=Strict"
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        await self.app(scope, receive, with_cookie)

    def _is_right(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())
