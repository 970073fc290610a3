"""Commands of this plugin: talk to a composition with dials as flags, print the memory plan of a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click


@click.command("eft-generate")
@click.argument("model", metavar="MODEL_DIR|RUN_DIR", type=click.Path(path_type=Path))
@click.option("--prompt", multiple=True, help="A prompt. Repeatable; without one, prompts are asked for.")
@click.option("--alpha", type=float, help="Scale of what fine-tuning changed.")
@click.option("--beta-up", type=float, help="Scale of the up-scaling delta.")
@click.option("--weight", "weights", type=float, multiple=True, help="Weight of an expert. Once for each, in their order.")
@click.option("--delta-top-p", type=float, help="Nucleus of the small model inside which the up-scaling delta counts.")
@click.option("--sampling-top-p", type=float, help="Nucleus of the composed distribution.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="0 is greedy.")
@click.option("--max-new-tokens", type=int, default=128, show_default=True, help="Longest reply in tokens.")
@click.option("--block-size", type=int, help="Tokens that a speculative round drafts; 0 decodes plainly.")
@click.option("--adaptive-block", is_flag=True, default=None, help="Choose the block up to --block-size.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draws.")
def generate(model: Path, prompt: tuple[str, ...], weights: tuple[float, ...], **settings: Any) -> None:
    """Let a composition reply; text is shown as it is written.

    \b
    Examples:
      omnitrain eft-generate runs/eft --prompt dumps --beta-up 1.2 --block-size 4
      omnitrain eft-generate runs/eft --weight 0.7 --weight 0.3
    """
    from omnitrain_eft.talking import speaking

    chosen = {name: value for name, value in settings.items() if value is not None}
    if weights:
        chosen["weights"] = list(weights)
    with speaking(model, chosen) as reply:
        if prompt:
            for text in prompt:
                reply(text)
            return
        if not sys.stdin.isatty():
            for line in filter(str.strip, sys.stdin):
                reply(line.rstrip("\n"))
            return
        print("An empty line or Ctrl-D ends.", file=sys.stderr)
        while True:
            try:
                text = input("> ")
            except EOFError:
                return
            if not text.strip():
                return
            reply(text)


@click.command("eft-plan")
@click.argument("recipe")
@click.argument("overrides", nargs=-1)
@click.option("--context", default=1024, show_default=True, help="Tokens of prompt and reply.")
@click.option("--batch", default=1, show_default=True, help="Texts that are decoded together.")
def plan(recipe: str, overrides: tuple[str, ...], context: int, batch: int) -> None:
    """Print what the compositions of a recipe take in memory, from the shapes of their models alone.

    \b
    Example:
      omnitrain eft-plan eft/paper --context 2048
    """
    from omnitrain_eft.planning import plan_lines
    from omnitrain_eft.talking import compositions_of

    for stage, composition in compositions_of(recipe, overrides):
        print(stage)
        for line in plan_lines(composition, context, batch):
            print(f"  {line}")
