"""The paper's claims, and how they are measured again in miniature. Light: imports omnitrain.api only."""

from __future__ import annotations

from omnitrain.api import Claim, Contrast, Looks, Published, Variant

# So many seeds the stored numbers rest on; they see effects above 3.3 standard deviations only.
THREE_SEEDS = Looks.fixed(3)

METHODS = (Variant("methods", "lae/methods"),)
BACKBONES = (Variant("backbones", "lae/backbones"),)
MEASURE = "omnitrain_lae.evidence.measures"
DIGITS = (
    "Handwritten digits in five tasks of two, by a backbone that knows drawn letters; the order is drawn anew for each seed. "
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        statement="LAE is more accurate after the last task than a pool of prompts and than sequential tuning.",
        paper={
            "last accuracy over the best earlier method, CIFAR100 (points)": Published(1.3, "abstract"),
            "last accuracy over the best earlier method, ImageNet-R (points)": Published(3.6, "abstract"),
            "LAE Prefix10 against CODA-P, ImageNet-R, last accuracy (%)": Published("71.19 against 61.38", "official README"),
        },
        variants=METHODS,
        measure=f"{MEASURE}:against_prompts",
        contrasts=(
            Contrast("LAE adapter", "prompt pool", "higher"),
            Contrast("LAE adapter", "sequential", "higher"),
        ),
        nothing=(
            "heads, last",
            "means, last",
        ),
        looks=THREE_SEEDS,
        minutes=5.0,
        note=(
            DIGITS + "The pool of prompts is L2P's mechanism on our backbone, not its official code."
            " Doing nothing: heads on the frozen backbone, and the nearest class mean of its features."
        ),
    ),
    Claim(
        id="C2",
        statement="Each tuning method gains in the same frame: adapter, LoRA and prefix are better with LAE than online only.",
        paper={"spread of Adapter5, LoRA5 and Prefix10 (points)": Published("about 1 to 2", "result tables [mem]")},
        variants=METHODS,
        measure=f"{MEASURE}:every_method",
        contrasts=(
            Contrast("gain of adapter", "no gain", "higher"),
            Contrast("gain of lora", "no gain", "higher"),
            Contrast("gain of prefix", "no gain", "higher"),
        ),
        nothing=("gain of frozen heads",),
        looks=THREE_SEEDS,
        minutes=5.0,
        note=DIGITS + "Gains in last accuracy.",
    ),
    Claim(
        id="C3",
        statement="Calibration helps: a prefix without compensation and learnable scale ends lower.",
        paper={"gain of calibration": Published(None, "ablation table, not available")},
        variants=METHODS,
        measure=f"{MEASURE}:calibration",
        contrasts=(Contrast("LAE prefix", "prefix without calibration", "higher"),),
        nothing=("frozen heads",),
        looks=THREE_SEEDS,
        minutes=5.0,
        note=DIGITS + "The stored values have compensation and scale taken away one at a time, and the loss of the first task.",
    ),
    Claim(
        id="C4",
        statement="The ensemble is at least as accurate as the better of its two experts.",
        paper={"gain over either expert": Published(None, "ablation table, not available")},
        variants=METHODS,
        measure=f"{MEASURE}:ensemble",
        contrasts=(
            Contrast("ensemble", "online", "higher", kind="not-worse", margin=0.02),
            Contrast("ensemble", "offline", "higher", kind="not-worse", margin=0.02),
        ),
        nothing=("frozen heads",),
        looks=THREE_SEEDS,
        minutes=5.0,
        note=(
            "Mean over the three methods of last accuracy; both experts of one run, from its stored answers."
            " The margin of .02 was declared after the stored numbers."
        ),
    ),
    Claim(
        id="C4-new",
        statement="On the newest task the online expert is better than the offline one.",
        paper={"accuracy on the newest task": Published(None, "figure, not available")},
        variants=METHODS,
        measure=f"{MEASURE}:newest",
        contrasts=(Contrast("online", "offline", "higher"),),
        nothing=("frozen heads",),
        looks=THREE_SEEDS,
        minutes=5.0,
        note="Mean over the methods and over all tasks but the first, each measured right after it was learned.",
    ),
    Claim(
        id="C4-old",
        statement="On earlier tasks the offline expert is better than the online one.",
        paper={"accuracy on earlier tasks": Published(None, "figure, not available")},
        variants=METHODS,
        measure=f"{MEASURE}:older",
        contrasts=(Contrast("offline", "online", "higher"),),
        nothing=("frozen heads",),
        looks=THREE_SEEDS,
        minutes=5.0,
        note="Mean over the methods and over all tasks but the first: accuracy on all tasks before the newest.",
    ),
    Claim(
        id="C5",
        statement="LAE forgets less than the same methods tuned online only.",
        paper={"forgetting on DomainNet, LAE against CODA-P (%)": Published("8.33 against 13.79", "official README")},
        variants=METHODS,
        measure=f"{MEASURE}:less_forgetting",
        contrasts=(Contrast("LAE", "online only", "lower"),),
        nothing=("frozen heads",),
        looks=THREE_SEEDS,
        minutes=5.0,
        note=(
            "Mean over the three methods of forgetting after the last task. The paper compares with CODA-P."
            " The stored difference is that of LoRA; see the methods one by one."
        ),
    ),
    Claim(
        id="C6",
        statement="LAE works on Swin and ConvNeXt: it is more accurate than sequential tuning of the same backbone.",
        paper={"other backbones": Published(None, "table of Swin-B and ConvNeXt-B, not available")},
        variants=BACKBONES,
        measure=f"{MEASURE}:backbones",
        contrasts=(
            Contrast("swin, last", "swin-sequential, last", "higher"),
            Contrast("convnext, last", "convnext-sequential, last", "higher"),
        ),
        nothing=(
            "swin-heads, last",
            Contrast("convnext, last", "convnext-heads, last", "higher"),
        ),
        looks=THREE_SEEDS,
        minutes=6.0,
        note=DIGITS + "Last accuracy. Doing nothing: heads on the frozen backbone.",
    ),
    Claim(
        id="C7",
        statement="Freezing the online expert while a new head warms up helps; none or throughout is worse.",
        paper={"freeze epochs": Published("3 of 5, 30 of 50", "configs of the official code; ablation not available")},
        variants=METHODS,
        measure=f"{MEASURE}:freezing",
        contrasts=(
            Contrast("half of the epochs", "none", "higher"),
            Contrast("half of the epochs", "all", "higher"),
        ),
        nothing=("frozen heads",),
        looks=THREE_SEEDS,
        minutes=5.0,
        note=DIGITS + "Last accuracy with adapters.",
    ),
)
