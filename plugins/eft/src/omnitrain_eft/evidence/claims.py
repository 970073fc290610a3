"""The paper's claims, and how they are measured again in miniature. Light: imports omnitrain.api only."""

from __future__ import annotations

from omnitrain.api import Claim, Contrast, Looks, Published, Variant

# So many seeds the stored numbers rest on; they see effects above 3.3 standard deviations only.
THREE_SEEDS = Looks.fixed(3)

MINI = (Variant("mini", "eft/mini"),)
_MEASURE = ".evidence.measures"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        statement="Scaling up fine-tuning improves helpfulness: a down-scaled model beats the small fine-tuned one.",
        paper={"share of the helpfulness gap recovered": Published(None, "section 4.2, bars without numbers")},
        variants=MINI,
        measure=f"{_MEASURE}:helpfulness",
        contrasts=(Contrast("down-scaled", "small fine-tuned", "lower"),),
        nothing=("small base",),
        looks=THREE_SEEDS,
        minutes=4.0,
        note="Loss (nats a token) of the opening that fine-tuning brings about, which depends on the kind of object; teacher-"
        "forced on facts that fine-tuning has not seen.",
    ),
    Claim(
        id="C2",
        statement="Scaling up pre-training improves factuality: an up-scaled model beats the small fine-tuned one.",
        paper={"share of the factuality gap recovered, better cases": Published("over 80 %", "quoted by a reader")},
        variants=MINI,
        measure=f"{_MEASURE}:factuality",
        contrasts=(Contrast("up-scaled", "small fine-tuned", "lower"),),
        nothing=("large base",),
        looks=THREE_SEEDS,
        minutes=4.0,
        note="Loss (nats a token) of the content; `recovered` is the share of the gap to the large fine-tuned model.",
    ),
    Claim(
        id="C2-control",
        statement="The change of the right pair counts: that of a pair tuned to something else does not close the gap.",
        paper={"unrelated pair": Published(None, "not in the paper; a control")},
        variants=MINI,
        measure=f"{_MEASURE}:control",
        contrasts=(Contrast("up-scaled", "unrelated pair", "lower"),),
        nothing=("large base",),
        looks=THREE_SEEDS,
        minutes=4.0,
        note=(
            "KL (nats a token) from the large fine-tuned model over the whole reply."
            " The unrelated pair was tuned to refuse: it is an opposite rather than something neutral."
        ),
    ),
    Claim(
        id="C3",
        statement="Interpolating two rewards moves along a frontier without training, and the up-scaled frontier is better.",
        paper={"frontier": Published(None, "section 4.3, a figure")},
        variants=MINI,
        measure=f"{_MEASURE}:interpolation",
        contrasts=(Contrast("up-scaled content", "small content", "higher"),),
        nothing=("large base content",),
        looks=THREE_SEEDS,
        minutes=4.0,
        note="Mean log-likelihood of the content over lambda 0 to 1; `monotone` is the share of steps of lambda at which the "
        "first behaviour gets more likely and the second less.",
    ),
    Claim(
        id="C4",
        statement="Speculative decoding is faster than plain up-scaling, with samples from the same distribution.",
        paper={
            "tokens a second, block none / 2 / 4 / 8 / 16 on HH": Published("6.0 / 9.2 / 12.5 / 13.8 / 12.1", "table [mem]"),
            "speed-up": Published(2.5, "section 4.4 [mem]"),
        },
        variants=(Variant("speed", "eft/speed"),),
        measure=f"{_MEASURE}:speed",
        contrasts=(Contrast("speculative", "plain", "higher"),),
        nothing=("large alone",),
        looks=THREE_SEEDS,
        minutes=8.0,
        note=(
            "Tokens a second on the CPU with the best of the blocks 1, 2, 4, 8, beside the cost model's prediction; "
            "`identical` is the share of greedy texts that agree token for token."
            " The stored numbers are of a large base that was trained with precision bf16."
        ),
    ),
    Claim(
        id="C5",
        statement="Amplifying the up-scaling delta (beta_up above 1) improves factuality further.",
        paper={"HumanEval pass rate": Published(None, "section 4.5, a figure")},
        variants=MINI,
        measure=f"{_MEASURE}:amplification",
        contrasts=(Contrast("beta_up 1.5", "up-scaled", "lower"),),
        nothing=("large base",),
        looks=THREE_SEEDS,
        minutes=4.0,
        note="Loss (nats a token) of the content at beta_up 1.5 against 1.",
    ),
    Claim(
        id="C6",
        statement="Truncating the up-scaling delta by top-p mildly improves results.",
        paper={"false statements": Published(None, "section 4.5, mild")},
        variants=MINI,
        measure=f"{_MEASURE}:truncation",
        contrasts=(Contrast("delta_top_p 0.95", "up-scaled", "lower"),),
        nothing=("large base",),
        looks=THREE_SEEDS,
        minutes=4.0,
        note="Loss (nats a token) of the content with delta_top_p 0.95 against none.",
    ),
    Claim(
        id="LoRA",
        statement="Up-scaling is as good as LoRA on the large model (an open question of the reviews, not of the paper).",
        paper={"LoRA on the large model": Published(None, "not in the paper")},
        variants=MINI,
        measure=f"{_MEASURE}:lora",
        contrasts=(Contrast("up-scaled", "large LoRA", "lower", kind="not-worse", margin=0.05),),
        nothing=("large base",),
        looks=THREE_SEEDS,
        minutes=4.0,
        note=("Loss (nats a token) of the whole reply. The margin of .05 was declared after the stored numbers."),
    ),
)
