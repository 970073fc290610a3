"""The paper's claims, and how they are measured again in miniature. Light: imports omnitrain.api only."""

from __future__ import annotations

from omnitrain.api import Claim, Published, Variant

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
        metric="LAE adapter",
        baseline="best of prompt pool and sequential",
        direction="higher",
        minutes=5.0,
        note=DIGITS + "The pool of prompts is L2P's mechanism on our backbone, not its official code.",
    ),
    Claim(
        id="C2",
        statement="Each tuning method gains in the same frame: adapter, LoRA and prefix are better with LAE than online only.",
        paper={"spread of Adapter5, LoRA5 and Prefix10 (points)": Published("about 1 to 2", "result tables [mem]")},
        variants=METHODS,
        measure=f"{MEASURE}:every_method",
        metric="smallest gain over online only",
        baseline="no gain",
        direction="higher",
        minutes=5.0,
        note=DIGITS + "The smallest of the three gains in last accuracy.",
    ),
    Claim(
        id="C3",
        statement="Calibration helps: a prefix without compensation and learnable scale ends lower.",
        paper={"gain of calibration": Published(None, "ablation table, not available")},
        variants=METHODS,
        measure=f"{MEASURE}:calibration",
        metric="LAE prefix",
        baseline="prefix without calibration",
        direction="higher",
        minutes=5.0,
        note=DIGITS + "The stored values have compensation and scale taken away one at a time, and the loss of the first task.",
    ),
    Claim(
        id="C4",
        statement="The ensemble is at least as accurate as the better of its two experts.",
        paper={"gain over either expert": Published(None, "ablation table, not available")},
        variants=METHODS,
        measure=f"{MEASURE}:ensemble",
        metric="ensemble",
        baseline="better expert",
        direction="higher",
        minutes=5.0,
        note="Mean over the three methods of last accuracy; both experts of one run, from its stored answers.",
    ),
    Claim(
        id="C4-new",
        statement="On the newest task the online expert is better than the offline one.",
        paper={"accuracy on the newest task": Published(None, "figure, not available")},
        variants=METHODS,
        measure=f"{MEASURE}:newest",
        metric="online",
        baseline="offline",
        direction="higher",
        minutes=5.0,
        note="Mean over the methods and over all tasks but the first, each measured right after it was learned.",
    ),
    Claim(
        id="C4-old",
        statement="On earlier tasks the offline expert is better than the online one.",
        paper={"accuracy on earlier tasks": Published(None, "figure, not available")},
        variants=METHODS,
        measure=f"{MEASURE}:older",
        metric="offline",
        baseline="online",
        direction="higher",
        minutes=5.0,
        note="Mean over the methods and over all tasks but the first: accuracy on all tasks before the newest.",
    ),
    Claim(
        id="C5",
        statement="LAE forgets less than the same methods tuned online only.",
        paper={"forgetting on DomainNet, LAE against CODA-P (%)": Published("8.33 against 13.79", "official README")},
        variants=METHODS,
        measure=f"{MEASURE}:less_forgetting",
        metric="LAE",
        baseline="online only",
        direction="lower",
        minutes=5.0,
        note="Mean over the three methods of forgetting after the last task. The paper compares with CODA-P.",
    ),
    Claim(
        id="C6",
        statement="LAE works on Swin and ConvNeXt: it is more accurate than sequential tuning of the same backbone.",
        paper={"other backbones": Published(None, "table of Swin-B and ConvNeXt-B, not available")},
        variants=BACKBONES,
        measure=f"{MEASURE}:backbones",
        metric="smaller gain over sequential",
        baseline="no gain",
        direction="higher",
        minutes=6.0,
        note=DIGITS + "The smaller of the two gains in last accuracy; frozen heads of both backbones are stored beside it.",
    ),
    Claim(
        id="C7",
        statement="Freezing the online expert while a new head warms up helps; none or throughout is worse.",
        paper={"freeze epochs": Published("3 of 5, 30 of 50", "configs of the official code; ablation not available")},
        variants=METHODS,
        measure=f"{MEASURE}:freezing",
        metric="half of the epochs",
        baseline="better of none and all",
        direction="higher",
        minutes=5.0,
        note=DIGITS + "Last accuracy with adapters.",
    ),
)
