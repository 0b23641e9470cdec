"""Sampling with servers of vLLM: tokens in, tokens out, the trainer's weights pushed before they are asked."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, cast

import torch
from lightning.pytorch.strategies import Strategy

from vrft_pl.distributed import gather, rank, world_size
from vrft_pl.policy import VLM
from vrft_pl.rollout.sampler import Sampler, SamplingParams
from vrft_pl.rollout.vllm.client import Server, ServerLost, read_token
from vrft_pl.rollout.vllm.fleet import Fleet
from vrft_pl.rollout.vllm.probe import GREEDY, differs, probe_prompts
from vrft_pl.rollout.vllm.push import AdapterPush, DevicePush, FilePush, Push, Route
from vrft_pl.rollout.vllm.wire import ROUTE, Written, pictured, read_answer, request
from vrft_pl.types import Completions, InputError, Prompts

T = TypeVar("T")


class VLLMSampler(Sampler):
    """Lets servers of vLLM write, which `vrft_pl serve` or the user has started with the policy's checkpoint.

    One processor, the trainer's, decides what a prompt is: what vLLM makes of it is compared token by token.

    Args:
        servers: Their addresses; prompts are shared out among them.
        token_file: File with the token of servers that others reach too.
        push: How weights get there: through ``files``, or from GPU to GPU by ``nccl`` or, on the same GPU, ``ipc``.
        folder: Where files of weights are put, at the same path for the trainer and all servers. Defaults to a new one
            in shared memory.
        merge: Push an adapter merged into whole weights, not as the adapter that it is.
        probes: After how many first pushes the servers have to continue questions as the trainer does.
        probe_every: Pushes after which they have to do so again; ``None`` for never.
        timeout: Seconds that the completions of one prompt may take.
        patience: Seconds that servers may all be lost before the run ends with an error.
        colocated: Each rank has a server of its own on its GPU, the one of its number, which gives up its memory while
            the rank trains. Not yet run on a GPU.

    Raises:
        InputError: If an address is none, or others reach a server and there is no token.
        ValueError: If a number is out of its range.
    """

    exact = False
    holds_weights = True

    def __init__(
        self,
        servers: Sequence[str] = ("http://127.0.0.1:8000",),
        token_file: str | None = None,
        push: Route = "files",
        folder: str | None = None,
        merge: bool = False,
        probes: int = 3,
        probe_every: int | None = None,
        timeout: float = 600.0,
        patience: float = 120.0,
        colocated: bool = False,
    ) -> None:
        if not servers or len(set(servers)) < len(servers):
            raise ValueError(f"Expected `servers` to hold one or several different addresses, but got {list(servers)}.")
        for name, value in (("timeout", timeout), ("patience", patience)):
            if not value > 0:
                raise ValueError(f"Expected `{name}` to be above 0 seconds, but got {value}.")
        if probes < 0 or (probe_every is not None and probe_every < 1):
            raise ValueError(f"Expected `probes` and `probe_every` to count pushes, but got {probes}, {probe_every}.")
        token = read_token(token_file)
        self.servers = tuple(Server(address, token, timeout) for address in servers)
        self.route, self.folder, self.merge = push, folder, merge
        self.probes, self.probe_every = probes, probe_every
        self.patience, self.colocated = patience, colocated
        self._fleet: Fleet | None = None
        self._run, self._pushes = "", 0

    def supports(self, strategy: Strategy | str) -> bool:
        """All of them: it needs no weights of the policy to sample."""
        return True

    def settle(self, policy: VLM) -> None:
        """Look for the servers, and choose how weights get there; see `Sampler.settle`."""
        if self._fleet is not None:
            return
        if self.colocated and len(self.servers) != world_size():
            raise InputError(
                f"Expected a server for each of {world_size()} ranks with `colocated`, but got {len(self.servers)}."
            )
        self._run = gather(secrets.token_hex(4))[0]  # else another trainer's weights could pass for ours
        self._fleet = Fleet(self.servers, self._choose(policy), self.patience)
        on_first_rank(self._fleet.check_versions)

    def _choose(self, policy: VLM) -> Push:
        """How weights get to the servers."""
        if self.route != "files":
            return DevicePush(self.servers, self.route)
        return AdapterPush(self.folder) if self._pushes_adapter(policy) else FilePush(self.folder)

    def _pushes_adapter(self, policy: VLM) -> bool:
        """Whether an adapter goes as it is: vLLM leaves one on the tower out, silently, and knows none of experts."""
        lora = policy.weights.lora
        return lora is not None and not lora.experts and policy.sees_alike and not self.merge

    def update(self, policy: VLM, step: int) -> None:
        """Push the policy's weights to every server, and compare what they write after the first pushes."""
        self.settle(policy)
        fleet = self._ready()
        gather(None)  # no rank asks any more with the weights before
        if self.colocated:
            on_first_rank(lambda: [server.post("wake_up") for server in self.servers])
        fleet.push.pack(policy, f"{self._run}-{step}")
        on_first_rank(fleet.bring)
        self._pushes += 1
        again = self.probe_every is not None and self._pushes % self.probe_every == 0
        if self._pushes <= self.probes or again:
            self.probe(policy)

    def probe(self, policy: VLM) -> None:
        """Compare how each server continues questions with how the trainer does. Every rank calls it.

        Raises:
            InputError: If one does not have the trainer's weights.
        """
        prompts, push = probe_prompts(policy), self._ready().push
        for server in self.servers:
            alone = Fleet([server], push, self.patience)
            written = on_first_rank(partial(self._probed, alone, policy, prompts))
            reason = None if written is None else differs(policy, prompts, assembled(policy, prompts, written))
            if reason is not None:
                raise InputError(
                    f"Expected {server.address} to write as the policy does after a push, but {reason}. Serve the "
                    "checkpoint that training starts from, with the same `dtype`, by `vrft_pl serve`."
                )

    def _probed(self, alone: Fleet, policy: VLM, prompts: Prompts) -> list[list[Written]] | None:
        """What one server writes to the probes; ``None`` for one that is lost."""
        return self._write(alone, policy, prompts, 1, GREEDY, (0,) * len(prompts)) if alone.is_ready() else None

    def generate(
        self, policy: VLM, prompts: Prompts, group_size: int, params: SamplingParams, seeds: Sequence[int]
    ) -> Completions:
        """Write ``group_size`` completions to each prompt; see `Sampler.generate`."""
        fleet = self._ready()
        if self.colocated:
            fleet = Fleet([self.servers[rank()]], fleet.push, self.patience)
        completions = assembled(policy, prompts, self._write(fleet, policy, prompts, group_size, params, seeds))
        if self.colocated:
            self.servers[rank()].post("sleep?level=1")  # level 2 is said to corrupt models with vision towers
        return replace(completions, logprobs=None) if params.temperature == 0 else completions

    def _write(
        self, fleet: Fleet, policy: VLM, prompts: Prompts, group_size: int, params: SamplingParams, seeds: Sequence[int]
    ) -> list[list[Written]]:
        """Ask for the completions of each prompt."""
        push, copies = fleet.push, group_size if params.temperature else 1
        bodies = [
            request(policy, prompt, copies, params, seed, push.adapter)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        version = push.version if push.adapter is None else None
        written: list[list[Written]] = [[] for _ in prompts]

        def ask(server: Server, i: int) -> None:
            prompt = prompts.items[i]
            answer = server.post(ROUTE, pictured(bodies[i], prompt))
            written[i] = read_answer(answer, policy, prompt, copies, params, version) * (group_size // copies)

        fleet.share(ask, range(len(prompts)), first=rank())
        return written

    def _ready(self) -> Fleet:
        if self._fleet is None:
            raise RuntimeError("Expected `update` before `generate`, for the servers have other weights.")
        return self._fleet

    def close(self) -> None:
        """Close connections and remove files of weights."""
        if self._fleet is not None:
            self._fleet.push.close()
        for server in self.servers:
            server.close()


def on_first_rank(do: Callable[[], T]) -> T:
    """Let the first rank do it, and give all what it returns. Every rank calls it.

    Raises:
        InputError: On every rank, if the first can't.
    """
    value = failed = None
    if rank() == 0:
        try:
            value = do()
        except (InputError, ServerLost) as error:
            failed = str(error)
    value, failed = gather((value, failed))[0]
    if failed is not None:
        raise InputError(failed)
    return cast(T, value)


def assembled(policy: VLM, prompts: Prompts, written: Sequence[Sequence[Written]]) -> Completions:
    """Put completions together, those of one prompt beside each other, with their log-probs."""
    rows = [one for group in written for one in group]
    width, device = max(len(row.ids) for row in rows), policy.device
    ids = torch.tensor([[*row.ids, *[policy.pad_token_id] * (width - len(row.ids))] for row in rows], device=device)
    mask = torch.arange(width, device=device) < torch.tensor([len(row.ids) for row in rows], device=device)[:, None]
    logprobs = torch.tensor([[*row.logprobs, *[0.0] * (width - len(row.ids))] for row in rows], device=device)
    frames = tuple(prompt.frame for prompt in prompts.repeat_interleave(len(rows) // len(prompts)))
    return Completions(ids, mask, logprobs, policy.decode(ids, mask), tuple(row.reason for row in rows), frames)
