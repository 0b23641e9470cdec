"""Which part of a vision-language model a parameter belongs to, from how the model is put together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from torch import nn
from transformers import PreTrainedModel

Part = Literal["vision", "projector", "language"]

PROJECTOR = re.compile(r"(^|\.)(deepstack_)?merger(_list)?\.|projector|connector|aligner|modality_projection")
"""Names of what stands between tower and language model where it sits inside one of them, as in the Qwen family."""


@dataclass(frozen=True)
class Anatomy:
    """Where towers and language model lie. What belongs to neither stands between them: it is the projector."""

    towers: tuple[str, ...]
    """Names of what sees or hears, each with a dot at its end."""
    language: tuple[str, ...]
    """Names of the language model, its embeddings and its head, likewise; empty where all of the model is one."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> Self:
        """Look at a model."""
        names = {module: name for name, module in model.named_modules()}
        decoder = model.get_decoder()
        inside = set(decoder.modules())
        towers = [model.get_encoder(modality=medium) for medium in ("image", "video", "audio")]
        towers += [m for m in names if isinstance(m, PreTrainedModel) and m.main_input_name != "input_ids"]
        seen = _prefixes(names, (tower for tower in towers if tower not in (model, decoder, model.base_model)))
        if any(name for name in seen if name.startswith(names[decoder])) or model.base_model in inside:
            return cls(seen, ())
        return cls(seen, _prefixes(names, (decoder, model.get_input_embeddings(), model.get_output_embeddings())))

    def part_of(self, name: str) -> Part:
        """Tell the part of a parameter or module from its name."""
        if name.startswith(self.towers):
            return "projector" if PROJECTOR.search(name) else "vision"
        if self.language:
            return "language" if name.startswith(self.language) else "projector"
        return "projector" if PROJECTOR.search(name) else "language"


def _prefixes(names: dict[nn.Module, str], modules: Iterable[nn.Module | None]) -> tuple[str, ...]:
    """Names of modules that the model has, with a dot at their end."""
    found = (names.get(module) for module in modules if module is not None)
    return tuple(dict.fromkeys(f"{name}." for name in found if name))
