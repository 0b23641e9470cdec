"""Loaded by vLLM's server: no route but that of its health without the token.

vLLM's own key guards generation alone: whoever reaches the port could put other weights into the model.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

OPEN = ("/health",)
"""Routes that tell nothing but whether the server lives."""
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Guard:
    """Answers 401 to requests without the token that vLLM's environment variable `VLLM_API_KEY` holds.

    Args:
        app: The server.

    Raises:
        RuntimeError: If there is no token.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app, token = app, os.environ.get("VLLM_API_KEY", "")
        if not token:
            raise RuntimeError("Expected a token in `VLLM_API_KEY`, but there is none.")
        self.wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Any], send: Send) -> None:
        """Pass on a request with the token."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN or self._has_token(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"Expected the token of this server."})

    def _has_token(self, scope: dict[str, Any]) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return secrets.compare_digest(given, self.wanted)
