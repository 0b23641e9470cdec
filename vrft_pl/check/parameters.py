"""What is trained."""

from __future__ import annotations

from vrft_pl.check.findings import Finding
from vrft_pl.check.subject import Subject


def check_parameters(subject: Subject) -> list[Finding]:
    """Count trainable parameters by part."""
    table = subject.policy.parameter_table()
    parts = ", ".join(f"{part} {trained:,} of {total:,}" for part, (trained, total) in table.items() if total)
    trained, total = (sum(counts[i] for counts in table.values()) for i in (0, 1))
    return [Finding("note", f"Trained: {trained:,} of {total:,} parameters ({trained / total:.1%}): {parts}.")]
