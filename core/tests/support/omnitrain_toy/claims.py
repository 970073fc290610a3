"""Claims of the toy plugin: one that shows and its opposite, on the same runs."""

import json

from omnitrain.api import Claim, Published, Variant

VARIANTS = (
    Variant("few", "toy/tiny", ("train.fit.steps=4",)),
    Variant("many", "tiny", ("train.fit.steps=60", "train.fit.log_every=20")),
)


def measure(runs):
    """Return the last error of each variant."""
    found = {}
    for name, run in runs.items():
        content = json.loads((run / "measure" / "evaluations" / "toy-error.json").read_text())
        found[f"{name}_error"] = content["metrics"]["mean_error"]["value"]
    return found


CLAIMS = (
    Claim(
        id="C1",
        statement="More updates lower the error.",
        paper={"error": Published(0.5, "Table 1")},
        variants=VARIANTS,
        measure="omnitrain_toy.claims:measure",
        metric="many_error",
        baseline="few_error",
        direction="lower",
        seeds=2,
        note="Updates are counted, not time.",
    ),
    Claim(
        id="C2",
        statement="More updates raise the error.",
        paper={"error": Published(None, "nowhere")},
        variants=VARIANTS[::-1],
        measure="omnitrain_toy.claims:measure",
        metric="many_error",
        baseline="few_error",
        direction="higher",
        seeds=2,
    ),
)
