"""What the toy plugin holds."""

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_toy.claims import CLAIMS


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe the toy plugin."""
    return Plugin(
        name="toy",
        summary="Regression on a few numbers.",
        api="1.0",
        components=(
            Component("data", "rows", "Rows of numbers.", "omnitrain_toy.configs:Rows", "omnitrain_toy.parts:Rows"),
            Component("model", "net", "A small net with dropout.", "omnitrain_toy.configs:Net", "omnitrain_toy.parts:net"),
            Component("objective", "square", "Squared error.", "omnitrain_toy.configs:Square", "omnitrain_toy.parts:Square"),
            Component("evaluator", "error", "Mean error.", "omnitrain_toy.configs:Error", "omnitrain_toy.parts:Error"),
        ),
        recipes=(Recipe("tiny", "Seconds.", "omnitrain_toy:tiny.yaml"), Recipe("mini", "Seconds.", "omnitrain_toy:tiny.yaml")),
        claims=CLAIMS,
        bench="omnitrain_toy.bench:benches",
    )
