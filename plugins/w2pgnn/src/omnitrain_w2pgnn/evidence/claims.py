"""The paper's claims, and how they are measured again in miniature. Light: imports omnitrain.api only."""

from __future__ import annotations

from omnitrain.api import Claim, Contrast, Looks, Published, Variant

# So many seeds the stored numbers rest on; they see effects above 3.3 standard deviations only.
THREE_SEEDS = Looks.fixed(3)

AIRPORTS = (Variant("airports", "w2pgnn/airports"),)
TABLES = "the paper's tables were at no source that was available; direction only"
SETUP = (
    "Nine collections, 21 selections, three flight networks; the best of three strategies, frozen or fine-tuned, is the "
    "downstream score."
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="C1",
        statement="Feasibility correlates with the best downstream score, more than every cheap baseline.",
        paper={"Pearson correlation": Published(None, TABLES)},
        variants=AIRPORTS,
        measure="omnitrain_w2pgnn.evidence.measures:correlation",
        contrasts=(
            Contrast("feasibility", "density difference", "higher"),
            Contrast("feasibility", "statistics difference", "higher"),
            Contrast("feasibility", "EGI-style bound", "higher"),
            Contrast("feasibility", "kernel distance", "higher"),
        ),
        nothing=("no correlation",),
        looks=THREE_SEEDS,
        minutes=7.0,
        note=f"{SETUP} Pearson correlation over selections, mean over targets. Estimator USVT; the run's report has "
        "the others.",
    ),
    Claim(
        id="C2",
        statement="Fitted mixture weights predict better than the plain mean of the bases and than one integrated basis.",
        paper={"Pearson correlation of the variants": Published(None, TABLES)},
        variants=AIRPORTS,
        measure="omnitrain_w2pgnn.evidence.measures:weights",
        contrasts=(
            Contrast("fitted weights", "uniform mean", "higher"),
            Contrast("fitted weights", "integrated", "higher"),
        ),
        nothing=("no correlation",),
        looks=THREE_SEEDS,
        minutes=7.0,
        note=f"{SETUP} The same correlation, of the variants uniform mean and integrated.",
    ),
    Claim(
        id="C3",
        statement="Pre-training on the data that feasibility selects is better than on all data.",
        paper={"downstream score": Published(None, TABLES)},
        variants=AIRPORTS,
        measure="omnitrain_w2pgnn.evidence.measures:selected",
        contrasts=(Contrast("selected", "all data", "higher"),),
        nothing=(
            "untrained",
            "random",
        ),
        looks=THREE_SEEDS,
        minutes=7.0,
        note=f"{SETUP} Pairs that do not hold the target; all data is every candidate that does not. Mean micro-F1 of targets.",
    ),
    Claim(
        id="C4",
        statement="Feasibility is far cheaper than pre-training on a selection to see.",
        paper={"time": Published(None, TABLES)},
        variants=AIRPORTS,
        measure="omnitrain_w2pgnn.evidence.measures:cost",
        contrasts=(Contrast("feasibility (s)", "one pre-training (s)", "lower", scale="log-ratio"),),
        nothing=("density difference (s)",),
        looks=THREE_SEEDS,
        minutes=7.0,
        note="Seconds for one selection and target, graphons included, against one pre-training run of 60 updates, without its "
        "measuring.",
    ),
    Claim(
        id="C5",
        statement="The fit is sound: a planted mixture is found, which the official fit misses.",
        paper={"weight error": Published(None, "not a claim of the paper: our own check")},
        variants=(Variant("recovery", "w2pgnn/recovery"),),
        measure="omnitrain_w2pgnn.evidence.measures:soundness",
        contrasts=(Contrast("weight error", "weight error, official", "lower"),),
        nothing=("weight error, equal weights",),
        looks=Looks.fixed(1),
        check=True,
        minutes=1.5,
        note="L1 error of the weights 0.7, 0.2, 0.1 of three true graphons. The seed changes permutations and sampled "
        "graphs only.",
    ),
)
