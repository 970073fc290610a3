"""The paper's claims, and how they are measured again in miniature. Light: imports omnitrain.api only."""

from __future__ import annotations

from omnitrain.api import Claim, Contrast, Looks, Published, Variant

MINI = (Variant("mini", "orca/mini"),)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        statement="Explanations teach more than answers alone, of the same queries in the same number of updates.",
        paper={
            "BBH, Orca-13B and Vicuna-13B": Published("49.7 / 23.3", "table 11"),
            "AGIEval, Orca-13B and Vicuna-13B": Published("41.7 / 29.3", "table 8"),
        },
        variants=MINI,
        measure=".evidence.measures:explanations",
        contrasts=(Contrast("explanations", "answers only", "higher"),),
        nothing=("untrained",),
        looks=Looks.fixed(6),
        minutes=10.0,
        note="Accuracy on generated questions that no sampler gives, unweighted over four tasks. The teacher is a rule.",
    ),
)
