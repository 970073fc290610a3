"""The core's own components, described like any plugin's."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, hookimpl


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe the stages that every recipe can use."""
    return Plugin(
        name="core",
        summary="The ordinary training loop and evaluation.",
        api="1.1",
        package="omnitrain",
        components=(
            Component(
                kind="stage",
                name="fit",
                summary="Train a model on data with an objective; exact resume, gradient accumulation, averages.",
                config=".engine.settings:FitConfig",
                build=".engine.fit:fit",
                needs=("omnitrain-core[torch]",),
            ),
            Component(
                kind="stage",
                name="evaluate",
                summary="Measure a model with evaluators.",
                config=".engine.settings:EvaluateConfig",
                build=".engine.evaluate:evaluate",
                needs=("omnitrain-core[torch]",),
            ),
        ),
        bench=".benches:benches",
    )
