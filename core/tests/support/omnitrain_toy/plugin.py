"""What the toy plugin holds."""

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_toy.claims import CLAIMS


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe the toy plugin."""
    return Plugin(
        name="toy",
        summary="Regression on a few numbers.",
        api="1.1",
        components=(
            Component("data", "rows", "Rows of numbers.", ".configs:Rows", ".parts:Rows"),
            Component("model", "net", "A small net with dropout.", ".configs:Net", ".parts:net"),
            Component("objective", "square", "Squared error.", ".configs:Square", ".parts:Square"),
            Component("evaluator", "error", "Mean error.", ".configs:Error", ".parts:Error"),
            Component("stage", "collect", "Leave rows as data.", ".configs:Collect", ".parts:collect"),
        ),
        recipes=(Recipe("tiny", "Seconds.", "tiny.yaml"), Recipe("mini", "Seconds.", "tiny.yaml")),
        claims=CLAIMS,
        bench=".bench:benches",
    )
