"""Samples for a person to look at."""

from __future__ import annotations

from vrft_pl.callbacks.pictures import draw_answer
from vrft_pl.check.findings import Finding
from vrft_pl.check.gold import gold_answers
from vrft_pl.check.subject import Subject

_SIDE = 512
"""Smaller pictures are enlarged to about as many pixels."""


def check_pictures(subject: Subject) -> list[Finding]:
    """Draw the true boxes in green and the answered ones in red, the policy's answers where it was sampled."""
    if subject.sampled is not None:
        step = subject.module.group_size
        completions = subject.sampled.completions
        answers = list(zip(subject.sampled.samples, completions.texts[::step], completions.frames[::step], strict=True))
    else:
        answers = list(zip(*gold_answers(subject), strict=True))
    written: list[str] = []
    for sample, text, frame in answers:
        if len(written) == subject.options.pictures:
            break
        if not sample.images:
            continue
        scale = max(1, _SIDE // max(sample.images[0].open().size))
        picture = draw_answer(sample, text, frame, scale)
        if picture is not None:
            name = f"check-{len(written) + 1}.png"
            with subject.folder.file(name) as file:
                picture.save(file, "png")
            written.append(f"{subject.folder.path / name}: {sample.id}, {text!r:.200}")
    return [Finding("note", f"{len(written)} samples are drawn, true boxes green, answers red.", tuple(written))]
