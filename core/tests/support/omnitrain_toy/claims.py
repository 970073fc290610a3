"""Claims of the toy plugin: one that shows, its opposite on the same runs, and a check."""

from omnitrain.api import Claim, Contrast, Looks, Published, Variant

VARIANTS = (
    Variant("few", "toy/tiny", ("train.fit.steps=4",)),
    Variant("many", "tiny", ("train.fit.steps=60", "train.fit.log_every=20")),
)


def measure(runs):
    """Return the last error of each variant, and that of a guess without any training."""
    found = {f"{name}_error": run.metrics("measure", "toy/error")["mean_error"].value for name, run in runs.items()}
    return {**found, "guess": 10.0 + found["few_error"]}


CLAIMS = (
    Claim(
        id="C1",
        statement="More updates lower the error.",
        paper={"error": Published(0.5, "Table 1")},
        variants=VARIANTS,
        measure=".claims:measure",
        contrasts=(Contrast("many_error", "few_error", "lower"),),
        nothing=("guess",),
        looks=Looks.fixed(2),
        note="Updates are counted, not time.",
    ),
    Claim(
        id="C2",
        statement="More updates raise the error.",
        paper={"error": Published(None, "nowhere")},
        variants=VARIANTS[::-1],
        measure=".claims:measure",
        contrasts=(Contrast("many_error", "few_error", "higher"),),
        nothing=("untouched",),
        looks=Looks.fixed(2),
    ),
)
