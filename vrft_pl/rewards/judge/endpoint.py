"""One server that speaks OpenAI's chat completions, asked many things at once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx

from vrft_pl.types import InputError

T = TypeVar("T")
_MOST_BYTES = 1 << 20
"""Of a reply; a verdict has some hundred."""
_AGAIN = (408, 409, 425, 429)
"""Status that asks for another try, as do those of a server's own faults."""
_LONGEST_PAUSE = 8.0


class NoReply(Exception):
    """There is no reply to believe: none came in time, or the server refused or failed."""


class Reply(NamedTuple):
    """What came back."""

    text: str
    prompt_tokens: int
    completion_tokens: int


@dataclass
class Spent:
    """What asking took, of this process."""

    requests: int = 0
    """Sent, those that were sent again included."""
    retries: int = 0
    """Sent again after a failure."""
    failures: int = 0
    """Verdicts that did not come, or were none."""
    remembered: int = 0
    """Verdicts that were known."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Waited for replies, of all requests together."""

    def as_dict(self) -> dict[str, float]:
        """The numbers by name."""
        return asdict(self)


class Endpoint:
    """Asks a server from a thread of its own, so that whoever waits for the replies can do something else meanwhile.

    Args:
        base_url: Where ``/chat/completions`` is, such as ``http://127.0.0.1:8000/v1``.
        key_variable: Name of the environment variable that holds the key; ``None`` where none is asked for. The key
            itself is in no config, log or message.
        connections: Most requests at once.
        time_limit: Seconds for a reply, all tries together.
        retries: Tries after the first one.
        backoff: Seconds before the second try; twice as many before each further one, and up to half more by chance.

    Raises:
        ValueError: If the address is none, or a number is out of its range.
        InputError: If there is no such variable.
    """

    def __init__(
        self,
        base_url: str,
        key_variable: str | None = None,
        connections: int = 32,
        time_limit: float = 60.0,
        retries: int = 3,
        backoff: float = 0.5,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            raise ValueError(
                f"Expected `base_url` to be an address without a key, as http://127.0.0.1:8000/v1 is, but got {shown}."
            )
        if connections < 1 or retries < 0 or not 0 < time_limit < float("inf") or not 0 <= backoff < float("inf"):
            raise ValueError(
                "Expected `connections` of at least 1, `retries` and `backoff` of at least 0 and `time_limit` above 0, "
                f"but got {connections}, {retries}, {backoff} and {time_limit}."
            )
        if key_variable is not None and not os.environ.get(key_variable):
            raise InputError(f"Expected a key in the environment variable {key_variable!r}, but it is not set. Set it.")
        self.base_url, self.key_variable = base_url.rstrip("/"), key_variable
        self.connections, self.time_limit, self.retries, self.backoff = connections, time_limit, retries, backoff
        self._thread: _Thread | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without its thread, which another process can't have."""
        return self.__dict__ | {"_thread": None}

    def submit(self, work: Callable[[Ask], Coroutine[Any, Any, T]]) -> Future[T]:
        """Let a coroutine run that asks; it is given `Ask`."""
        if self._thread is None or self._thread.process != os.getpid():
            self._thread = _Thread(self)
        return self._thread.submit(work)

    def close(self) -> None:
        """End the thread; what is not answered is cancelled."""
        if self._thread is not None and self._thread.process == os.getpid():
            self._thread.close()
        self._thread = None

    @property
    def key(self) -> str | None:
        """Read anew each time, so that nothing holds it."""
        return None if self.key_variable is None else os.environ.get(self.key_variable)

    def headers(self) -> dict[str, str]:
        """Who asks."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def without_key(self, text: str) -> str:
        """What a server said, which may repeat what it was sent."""
        return text.replace(self.key, "***") if self.key else text


class _Thread:
    """A loop of coroutines in a thread that does not hold up an exit."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._ask = Ask(endpoint)
        threading.Thread(target=self._run, daemon=True, name="judge").start()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def submit(self, work: Callable[[Ask], Coroutine[Any, Any, T]]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work(self._ask), self._loop)

    def close(self) -> None:
        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._ask.client.aclose()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)


class Ask:
    """Sends one request, and sends it again where that may help.

    Args:
        endpoint: The server.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.client = httpx.AsyncClient(
            headers=endpoint.headers(),
            timeout=endpoint.time_limit,
            limits=httpx.Limits(max_connections=endpoint.connections),
            trust_env=False,  # a proxy of the machine would see pictures and keys
        )
        self._places = asyncio.Semaphore(endpoint.connections)
        self._chance = random.Random()  # not the generator that training draws from

    async def __call__(self, body: dict[str, Any], spent: Spent) -> Reply:
        """Ask.

        Args:
            body: Of the request.
            spent: What is counted up.

        Raises:
            NoReply: If none came in time, or the server refused or failed.
        """
        async with self._places:
            start = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(self.endpoint.time_limit):
                    return await self._tried(body, spent)
            except NoReply as error:
                raise NoReply(self.endpoint.without_key(str(error))) from error
            except TimeoutError as error:
                raise NoReply(f"{self.endpoint.base_url} took over {self.endpoint.time_limit:g} seconds") from error
            finally:
                spent.seconds += asyncio.get_running_loop().time() - start

    async def _tried(self, body: dict[str, Any], spent: Spent) -> Reply:
        for tries in range(self.endpoint.retries + 1):
            spent.requests += 1
            spent.retries += tries > 0
            try:
                return read_reply(await self._sent(body), spent)
            except _TryAgain as error:
                if tries == self.endpoint.retries:
                    raise NoReply(str(error)) from error
                pause = min(self.endpoint.backoff * 2**tries, _LONGEST_PAUSE) * (1 + self._chance.random() / 2)
                await asyncio.sleep(max(pause, error.after))
        raise AssertionError("there is a last try")

    async def _sent(self, body: dict[str, Any]) -> bytes:
        url = f"{self.endpoint.base_url}/chat/completions"
        try:
            async with self.client.stream("POST", url, json=body) as response:
                content = b""
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > _MOST_BYTES:
                        raise NoReply(f"{url} answered more than {_MOST_BYTES} bytes")
        except httpx.HTTPError as error:
            raise _TryAgain(f"{url} does not answer ({type(error).__name__})") from error
        if response.is_success:
            return content
        told = f"{url} answered {response.status_code}: {content[:200].decode(errors='replace')}"
        if response.is_server_error or response.status_code in _AGAIN:
            after = response.headers.get("retry-after", "")
            raise _TryAgain(told, float(after) if after.isdecimal() else 0.0)
        raise NoReply(told)


class _TryAgain(Exception):
    """Another try may go well.

    Args:
        told: What happened.
        after: Seconds that the server asks to wait.
    """

    def __init__(self, told: str, after: float = 0.0) -> None:
        super().__init__(told)
        self.after = after


def read_reply(content: bytes, spent: Spent) -> Reply:
    """Take the text out of what a server answered, and count its tokens.

    Raises:
        NoReply: If there is none.
    """
    try:
        answer = json.loads(content)
        text = answer["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NoReply(f"the answer holds no message: {content[:200].decode(errors='replace')!r}") from error
    if not isinstance(text, str):
        raise NoReply(f"the message holds no text, but {text!r:.80}")
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    told = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    tokens = [number if isinstance(number, int) and 0 <= number < 1 << 40 else 0 for number in told]
    spent.prompt_tokens += tokens[0]
    spent.completion_tokens += tokens[1]
    return Reply(text, *tokens)
