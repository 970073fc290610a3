"""`omnitrain generate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnitrain.api import text_lines
from omnitrain.cli.output import emit_json, note
from omnitrain.errors import DataError, UsageError
from omnitrain.plugins import installed
from omnitrain.terminal import visible

if TYPE_CHECKING:
    from omnitrain.engine.adhoc import Answer


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("model", metavar="MODEL_DIR|RUN_DIR", type=click.Path(path_type=Path))
@click.argument("flags", metavar="[--SETTING VALUE]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--prompt", multiple=True, help="A prompt. Repeatable.")
@click.option("--file", type=click.Path(path_type=Path, allow_dash=True), help="Prompts, one a line; - for standard input.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of generation. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def generate(
    model: Path, flags: tuple[str, ...], prompt: tuple[str, ...], file: Path | None, settings: tuple[str, ...], as_json: bool
) -> None:
    """Let a saved model continue prompts; of a run, its last model. Without prompts, ask for them in a terminal.

    What a model can be told while it generates (temperature, dials) are further flags behind its name, with a dash or an
    underscore between words; a wrong one shows those that it knows. Text of a single prompt is shown while it is written.

    \b
    Examples:
      omnitrain generate runs/first --prompt "Once upon a time" --max-new-tokens 40
      omnitrain generate runs/first/pretrain/model --file prompts.txt --set temperature=0.8 --json
    """
    from omnitrain.engine.adhoc import find_model, parse_flags, parse_settings, text_generator

    if str(model).startswith("--"):
        raise UsageError(f"{model} stands before the model; write 'omnitrain generate MODEL_DIR {model} ...'.")
    directory = find_model(model)
    chosen = {**parse_settings(settings), **parse_flags(flags)}
    asks = not prompt and file is None and sys.stdin.isatty()
    prompts = [] if asks else [*prompt, *_lines(file, bool(prompt))]
    if not asks and not prompts:
        raise UsageError("There is no prompt; give --prompt or --file.")
    with text_generator(directory, installed(), chosen) as answer:
        if asks:
            _converse(answer)
        elif as_json:
            emit_json([{"prompt": p, "text": t} for p, t in zip(prompts, answer(prompts), strict=True)])
        elif len(prompts) == 1:
            _speak(answer, prompts[0])
        else:
            print(_shown("\n\n".join(answer(prompts))))


def _lines(file: Path | None, has_prompts: bool) -> list[str]:
    if file is None and has_prompts:
        return []
    if file is not None and str(file) != "-":
        try:
            return [line for _, line in text_lines(file) if line.strip()]
        except DataError as error:
            raise UsageError(f"--file: {error} One prompt a line is expected.") from error
    # Line ends end a prompt, no other sign of Unicode; some editors and shells begin with a mark.
    lines = sys.stdin.read().removeprefix("\ufeff").split("\n")
    return [line for line in lines if line.strip()]


def _speak(answer: Answer, prompt: str) -> None:
    """Write the text of one prompt while it is made, where the model can tell it."""
    shown: list[str] = []

    def show(number: int, text: str) -> None:
        shown.append(text)
        sys.stdout.write(_shown(text))
        sys.stdout.flush()

    whole, so_far = answer([prompt], show)[0], "".join(shown)
    # What a model shows may lack the last bytes of an unfinished character.
    print(_shown(whole.removeprefix(so_far) if whole.startswith(so_far) else f"\n{whole}"), flush=True)


def _shown(text: str) -> str:
    """Return what a model wrote: for a terminal without what it would obey, else as it is."""
    return visible(text) if sys.stdout.isatty() else text


def _converse(answer: Answer) -> None:
    """Ask for prompts until the end of input."""
    note("An empty line or Ctrl-D ends.")
    while True:
        try:
            prompt = input("> ")
        except EOFError:
            return
        if not prompt.strip():
            return
        _speak(answer, prompt)
