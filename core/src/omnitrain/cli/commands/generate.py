"""`omnitrain generate`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from omnitrain.cli.output import emit_json
from omnitrain.errors import UsageError
from omnitrain.plugins import installed

Generate = Callable[[list[str]], list[str]]


@click.command()
@click.argument("model", metavar="MODEL_DIR|RUN_DIR", type=click.Path(path_type=Path))
@click.option("--prompt", multiple=True, help="A prompt. Repeatable.")
@click.option("--file", type=click.Path(path_type=Path, allow_dash=True), help="Prompts, one a line; - for standard input.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of generation. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def generate(model: Path, prompt: tuple[str, ...], file: Path | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Let a saved model continue prompts; of a run, its last model. Without prompts, ask for them in a terminal.

    \b
    Examples:
      omnitrain generate runs/first --prompt "Once upon a time" --set max_new_tokens=40
      omnitrain generate runs/first/pretrain/model --file prompts.txt --json
    """
    from omnitrain.engine.adhoc import find_model, parse_settings, text_generator

    directory = find_model(model)
    chosen = parse_settings(settings)
    asks = not prompt and file is None and sys.stdin.isatty()
    prompts = [] if asks else [*prompt, *_lines(file, bool(prompt))]
    if not asks and not prompts:
        raise UsageError("There is no prompt; give --prompt or --file.")
    with text_generator(directory, installed(), chosen) as answer:
        if asks:
            _converse(answer)
            return
        texts = answer(prompts)
    if as_json:
        emit_json([{"prompt": p, "text": t} for p, t in zip(prompts, texts, strict=True)])
    else:
        print("\n\n".join(texts))


def _lines(file: Path | None, has_prompts: bool) -> list[str]:
    if file is None and has_prompts:
        return []
    try:
        text = sys.stdin.read() if file is None or str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} can't be read: {error}; expected UTF-8 text with one prompt a line.") from error
    return [line for line in text.splitlines() if line.strip()]


def _converse(answer: Generate) -> None:
    """Ask for prompts until the end of input."""
    print("An empty line or Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            prompt = input("> ")
        except EOFError:
            return
        if not prompt.strip():
            return
        print(answer([prompt])[0])
