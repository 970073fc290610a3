"""The paper's claims, and how they are measured again in miniature. Light: imports omnitrain.api only."""

from __future__ import annotations

from omnitrain.api import Claim, Contrast, Looks, Published, Variant


def _kind(name: str, kind: str) -> Variant:
    return Variant(
        name, "omnimol/ranks", tuple(f"{stage}.model.adapters.kind={kind}" for stage in ("rank-4", "rank-64", "again"))
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C3-gradients",
        statement="The scale of gradient adaptive LoRA keeps the size of gradients at all ranks; that of LoRA does not.",
        paper={"gradient norms": Published(None, "the reason given for the scale; tables could not be read")},
        variants=(_kind("LoRA", "lora"), _kind("rsLoRA", "rslora"), _kind("GAL", "gal")),
        measure=".evidence.measures:spreads",
        contrasts=(Contrast("GAL", "LoRA", "lower"),),
        nothing=("the same rank again",),
        looks=Looks.fixed(8),
        minutes=3.0,
        note="|log| of the ratio of gradient norms at ranks 64 and 4. Rank-stabilised LoRA starts from the same scale as GAL.",
    ),
)
