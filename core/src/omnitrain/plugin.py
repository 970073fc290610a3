"""The core's own components, described like any plugin's."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, hookimpl


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe the stages and the data that every recipe can use."""
    return Plugin(
        name="core",
        summary="The ordinary training loop, evaluation, mixtures of data.",
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
            Component(
                kind="data",
                name="mixture",
                summary="Mix several data: by weight, by size with a temperature, in turn; losses by member.",
                config=".mixture.configs:MixtureConfig",
                build=".mixture.data:build",
                needs=("omnitrain-core[torch]",),
            ),
        ),
        bench=".benches:benches",
    )
