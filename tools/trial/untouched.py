"""What transformers alone says of a prompt: the oracle of `try_models`. Nothing of vrft_pl computes here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, PreTrainedModel


@dataclass
class Untouched:
    """A model as its own code runs it: one prompt at a time, all logits, no padding and no cache."""

    model: PreTrainedModel
    banned: Sequence[int]
    """Tokens that are never written."""
    token_type: int = 0
    """`token_type_ids` of what the model writes itself."""

    @classmethod
    def load(cls, folder: str, dtype: torch.dtype, banned: Sequence[int]) -> Untouched:
        """Load a folder anew."""
        return cls(AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).eval(), banned)

    def logprobs(self, inputs: Mapping[str, Tensor], row: Sequence[int]) -> Tensor:
        """Log-probs of a completion. Shape ``(T,)``."""
        tail = torch.tensor([row])
        given = {
            key: value.to(self.model.dtype) if value.is_floating_point() else value for key, value in inputs.items()
        }
        for key, value in inputs.items():
            if value.shape == inputs["input_ids"].shape:
                more = {"input_ids": tail, "attention_mask": torch.ones_like(tail)}.get(key, torch.zeros_like(tail))
                more = torch.full_like(tail, self.token_type) if key == "token_type_ids" else more
                given[key] = torch.cat([value, more.to(value.dtype)], dim=1)
            elif value.ndim > 2 and value.shape[:2] == inputs["input_ids"].shape:  # what cross-attention sees
                given[key] = torch.cat([value, value[:, -1:].expand(-1, len(row), *value.shape[2:])], dim=1)
        logits = self.model(**given, use_cache=False).logits[0, -len(row) - 1 : -1]
        return self._read(logits, row)

    def settle(self, inputs: Mapping[str, Tensor], row: Sequence[int]) -> float:
        """Find the token type under which the forward pass is the model's own `generate`, made to write a row.

        Returns:
            How far they are apart, in nats.
        """
        model, start = cast(Any, self.model), inputs["input_ids"].shape[1]
        with torch.no_grad():
            written = model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=len(row),
                eos_token_id=None,
                prefix_allowed_tokens_fn=lambda _, ids: [row[len(ids) - start]],
                output_logits=True,
                return_dict_in_generate=True,
            )
            expected = self._read(torch.cat(written.logits), row)
            gaps = []
            for self.token_type in (0, 1):
                gaps.append(float((self.logprobs(inputs, row) - expected).abs().mean()))
        self.token_type = int(gaps[1] < gaps[0])
        return min(gaps)

    def _read(self, logits: Tensor, row: Sequence[int]) -> Tensor:
        banned = torch.tensor(self.banned, dtype=torch.long)
        allowed = logits.float().index_fill(-1, banned, float("-inf"))
        return allowed.log_softmax(dim=-1).gather(1, torch.tensor([row]).T).squeeze(1)

    def write(self, inputs: Mapping[str, Tensor], length: int) -> list[int]:
        """Greedy tokens, ends included, as `generate` writes them."""
        model: Any = self.model
        wanted = {"do_sample": False, "max_new_tokens": length, "suppress_tokens": list(self.banned) or None}
        with torch.no_grad():
            return model.generate(**inputs, **wanted)[0, inputs["input_ids"].shape[1] :].tolist()

    def gradients(self, rows: Sequence[tuple[Mapping[str, Tensor], Sequence[int]]]) -> dict[str, Tensor]:
        """Gradients of the sum of log-probs of all completions, by the name of the parameter."""
        self.model.zero_grad()
        for inputs, row in rows:
            self.logprobs(inputs, row).sum().backward()
        return {name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None}
