"""One prompt and its completions as vLLM's route of tokens writes them."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from vrft_pl.policy import VLM
from vrft_pl.rollout.sampler import SamplingParams
from vrft_pl.rollout.vllm.client import ServerLost
from vrft_pl.types import FinishReason, InputError, Prompt

ROUTE = "inference/v1/generate"
BAN = -100.0
"""Added to the logits of banned tokens; their probability is then below that of any rounding."""
ABOVE_ZERO = 1e-3
"""How far above 0 rounding may lift a log-prob."""
LOWEST = -9000.0
"""Below it a log-prob is none: vLLM writes -9999 for minus infinity and for what is no number."""


@dataclass(frozen=True)
class Written:
    """One completion as the engine wrote it."""

    ids: tuple[int, ...]
    """Tokens, the end token included."""
    logprobs: tuple[float, ...]
    """Of each token under the distribution it was drawn from."""
    reason: FinishReason


def request(
    policy: VLM, prompt: Prompt, group_size: int, params: SamplingParams, seed: int, adapter: str | None = None
) -> dict[str, Any]:
    """Write what asks for the completions of one prompt; `pictured` adds its pictures.

    Args:
        policy: The policy, for its tokens.
        prompt: The prompt.
        group_size: ``G``.
        params: How tokens are drawn.
        seed: Of the draws.
        adapter: Name of the adapter that writes; ``None`` for the weights alone.
    """
    if prompt.sample is None:
        raise ValueError("Expected prompts that were encoded from samples, but one has no sample.")
    drawn = {
        "n": group_size,
        "max_tokens": params.max_tokens,
        "temperature": params.temperature,
        "top_k": params.top_k,
        "top_p": params.top_p,
        "seed": seed >> 1,  # the engine counts up from it within a group, and takes signed numbers
        "logprobs": 0,  # of the drawn token alone
        "stop_token_ids": list(policy.end_token_ids),
        "logit_bias": {str(token): BAN for token in policy.banned_token_ids},
        "detokenize": False,
        "skip_special_tokens": False,
    }
    return {
        "token_ids": policy.codec.unexpanded(prompt.sample),
        "sampling_params": drawn,
        "return_token_ids": True,
        **({"model": adapter} if adapter is not None else {}),
    }


def pictured(body: dict[str, Any], prompt: Prompt) -> dict[str, Any]:
    """A request with the pictures of its prompt, sent once for all of its completions."""
    if prompt.sample is None or not prompt.sample.images:
        return body
    parts = [{"type": "image_url", "url": data_uri(image.open())} for image in prompt.sample.images]
    return {**body, "content_parts": parts}


def data_uri(image: Image.Image) -> str:
    """A picture without loss, so that both processors see the same pixels."""
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def read_answer(
    answer: Any, policy: VLM, prompt: Prompt, group_size: int, params: SamplingParams, version: str | None
) -> list[Written]:
    """Check what came back, and take the completions out of it.

    Args:
        answer: Of the server.
        policy: The policy, for its tokens.
        prompt: What was asked.
        group_size: ``G``.
        params: How tokens were to be drawn.
        version: Name of the weights that were to write; ``None`` where they have none.

    Raises:
        ServerLost: If other weights wrote, or the server broke off.
        InputError: If the processor made another prompt of it, or the answer can't be true.
    """
    try:
        _check_prompt(answer["prompt_token_ids"], prompt)
        choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
        if len(choices) != group_size:
            raise InputError(f"Expected {group_size} completions of a prompt from vLLM, but got {len(choices)}.")
        for choice in choices:
            _check_version(choice, version)
        return [_written(choice, policy, params) for choice in choices]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"Expected completions with tokens and log-probs from vLLM, but {type(error).__name__}: {error!s:.100}."
        ) from error


def _check_prompt(got: Sequence[int], prompt: Prompt) -> None:
    wanted = prompt.inputs["input_ids"][0].tolist()
    if list(got) == wanted:
        return
    name = "" if prompt.sample is None else f"{prompt.sample.id}: "
    if len(got) != len(wanted):
        raise InputError(
            f"{name}expected a prompt of {len(wanted)} tokens, but vLLM makes {len(got)} of it. Its processor reads "
            "pictures otherwise: serve the policy's checkpoint with its `min_pixels` and `max_pixels`."
        )
    raise InputError(f"{name}expected the tokens of the policy's own processor, but vLLM made others of the prompt.")


def _check_version(choice: dict[str, Any], version: str | None) -> None:
    if choice.get("finish_reason") not in ("stop", "length"):
        raise ServerLost(f"vLLM broke off a completion ({choice.get('finish_reason')!r})")
    spans = {span["version"] for span in choice.get("weight_versions") or ()}
    if version is not None and spans != {version}:
        raise ServerLost(f"the weights {', '.join(sorted(map(str, spans))) or 'without a name'} wrote, not {version}")


def _written(choice: dict[str, Any], policy: VLM, params: SamplingParams) -> Written:
    ids = tuple(choice["token_ids"])
    entries = choice["logprobs"]["content"]
    logprobs = tuple(float(entry["logprob"]) for entry in entries)
    if not 0 < len(ids) <= params.max_tokens or [entry["token_id"] for entry in entries] != list(ids):
        raise InputError(
            f"Expected 1 to {params.max_tokens} tokens with a log-prob each from vLLM, but got {len(ids)} tokens and "
            f"{len(entries)} log-probs."
        )
    size = policy.codec.text_config.vocab_size
    if wrong := [i for i in ids if type(i) is not int or not 0 <= i < size or i in policy.banned_token_ids]:
        raise InputError(f"Expected tokens that the policy may write from vLLM, but got {wrong[0]!r} of {size:,}.")
    if wrong := [p for p in logprobs if not (math.isfinite(p) and LOWEST < p < ABOVE_ZERO)]:
        raise InputError(
            f"Expected finite log-probs from vLLM, but got {wrong[0]}. If it is not the server's mistake, the weights "
            "have diverged: lower the learning rate, or start from an earlier checkpoint."
        )
    reason: FinishReason = "stop" if ids[-1] in policy.end_token_ids else "length"
    if any(i in policy.end_token_ids for i in ids[:-1]) or (reason == "length" and len(ids) < params.max_tokens):
        raise InputError("Expected completions that end at their first end token or at the limit, but vLLM's do not.")
    return Written(ids, tuple(min(p, 0.0) for p in logprobs), reason)
