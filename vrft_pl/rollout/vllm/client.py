"""HTTP to one server of vLLM. What it answers is outside input: it is checked here or where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from vrft_pl.types import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that nobody else reaches."""
OLDEST, FIRST_UNKNOWN = (0, 32), (0, 33)
"""Versions of vLLM whose routes are known: from the first, before the second."""
CACHES = ("reset_prefix_cache", "reset_mm_cache", "reset_encoder_cache")
"""What remembers old weights: without any of these resets, a repeated prompt may get old tokens."""
CONNECTIONS = 256
"""Most requests to one server at once."""


class ServerLost(Exception):
    """A server did not answer, answered late, or had a fault of its own: another try may go well."""


class Server:
    """One server.

    Args:
        address: Such as ``http://127.0.0.1:8000``.
        token: What it wants to be shown; ``None`` where it is open.
        timeout: Seconds that one answer may take.

    Raises:
        InputError: If the address is none, or others reach the server and there is no token.
    """

    def __init__(self, address: str, token: str | None = None, timeout: float = 600.0) -> None:
        self.address = address.rstrip("/")
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"Expected an address such as http://127.0.0.1:8000, but got {address!r}.")
        if parts.hostname not in LOOPBACK and token is None:
            raise InputError(
                f"Expected `token_file` for {self.address}, which is not on this machine alone, but there is none. "
                "Start it by `vrft_pl serve --token_file`, and give the same token here."
            )
        self._client = httpx.Client(
            base_url=self.address,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(timeout, connect=min(10.0, timeout)),
            limits=httpx.Limits(max_connections=CONNECTIONS),
            trust_env=False,  # a proxy of the machine would see pictures and tokens
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, route: str, body: Any = None) -> Any:
        """Ask for something to be done.

        Returns:
            What the server answers: the content of JSON, or text.

        Raises:
            ServerLost: If it does not answer, or has a fault of its own.
            InputError: If it refuses.
        """
        return self._ask("POST", route, body)

    def get(self, route: str) -> Any:
        """Read something; see `post`."""
        return self._ask("GET", route, None)

    def _ask(self, method: str, route: str, body: Any) -> Any:
        try:
            response = self._client.request(method, f"/{route}", json=body)
        except httpx.HTTPError as error:
            raise ServerLost(f"{self.address} does not answer ({type(error).__name__}: {error})") from error
        if response.is_server_error:
            raise ServerLost(f"{self.address}/{route} answered {response.status_code}: {response.text:.300}")
        if not response.is_success:
            raise Refused(response.status_code, f"{self.address}/{route}", response.text)
        if "json" not in response.headers.get("content-type", ""):
            return response.text
        try:
            return response.json()
        except ValueError as error:
            raise InputError(f"Expected JSON from {self.address}/{route}, but got {response.text[:80]!r}.") from error

    def is_healthy(self) -> bool:
        """Whether it answers."""
        try:
            self.get("health")
        except (ServerLost, InputError):
            return False
        return True

    def check_version(self) -> None:
        """Raise `InputError` for a version of vLLM whose routes are not known."""
        answer = self.get("version")
        version = str(answer.get("version")) if isinstance(answer, dict) else str(answer)
        numbers = tuple(int(part) for part in version[:20].split(".")[:2] if part.isdecimal())
        if not OLDEST <= numbers < FIRST_UNKNOWN:
            known = f"{_dotted(OLDEST)} or newer, before {_dotted(FIRST_UNKNOWN)}"
            raise InputError(f"Expected vLLM {known}, at {self.address}, but got {version!r}.")

    def weight_version(self) -> str:
        """Name of the weights it has; ``default`` for those that it was started with."""
        answer = self.get("weight_info")
        if not isinstance(answer, dict) or not isinstance(answer.get("weight_version"), str):
            raise InputError(f"Expected {self.address}/weight_info to name its weights, but got {answer!r:.80}.")
        return answer["weight_version"]

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Prepare a route of weights; as vLLM's own trainers ask for it."""
        self.post("init_weight_transfer_engine", {"init_info": init_info})

    def start_weight_update(self) -> None:
        """Begin to replace the weights."""
        self.post("start_weight_update")

    def update_weights(self, update_info: Any) -> None:
        """Replace weights by those that the route brings."""
        self.post("update_weights", {"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """Use the new weights, under a name."""
        self.post("finish_weight_update", {"weight_version": weight_version})

    def forget(self) -> None:
        """Drop all that was computed with older weights.

        Raises:
            ServerLost: If some of it is still in use.
        """
        for cache in CACHES:
            answer = self.post(cache)
            if isinstance(answer, dict) and answer.get("success") is False:
                raise ServerLost(f"{self.address} still uses what it computed with older weights")


class Refused(InputError):
    """A server says that a request is wrong.

    Args:
        status: Of HTTP.
        where: The route.
        said: What it answered.
    """

    def __init__(self, status: int, where: str, said: str) -> None:
        hint = " Give the token it was started with as `token_file`." if status == 401 else ""
        hint = " Start it by `vrft_pl serve`, which opens all routes." if status == 404 else hint
        super().__init__(f"Expected {where} to take a request, but it answered {status}: {said:.300}.{hint}")
        self.status = status


def read_token(file: str | None) -> str | None:
    """Read the token that a file holds.

    Raises:
        InputError: If there is no such file, or nothing in it.
    """
    if file is None:
        return None
    try:
        token = Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Expected a token in `{file}`, but it can't be read: {error}") from error
    if not token or not token.isascii() or not token.isprintable():
        raise InputError(f"Expected `token_file` {file} to hold a word of ASCII letters and digits, but it does not.")
    return token


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
