"""`omnitrain completion`."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands and names in a SHELL.

    \b
    Example:
      omnitrain completion bash > ~/.local/share/bash-completion/completions/omnitrain
    """
    from click.shell_completion import get_completion_class

    from omnitrain.cli.failures import COMPLETION, PROGRAM
    from omnitrain.cli.group import omnitrain

    script = get_completion_class(shell)
    assert script is not None
    print(script(omnitrain, {}, PROGRAM, COMPLETION).source())
