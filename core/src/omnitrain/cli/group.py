"""The group `omnitrain`: built-in commands from a table, further ones from the descriptions of plugins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from omnitrain import __version__
from omnitrain.api.references import load_reference
from omnitrain.cli.table import COMMANDS, ELSEWHERE
from omnitrain.errors import PluginError, nearest

EPILOG = """\b
Exit codes:
  0   good                          5   environment: disk, memory, a library
  1   a bug of omnitrain or plugin  6   evidence not met: vector, check, claim
  2   usage or settings             7   training gave NaN or infinity too often
  3   plugin                        75  stopped on request, can be resumed
  4   data                          130 interrupted

\b
Shell completion: omnitrain completion bash|zsh|fish prints the script."""


class LazyGroup(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the built-in commands in their order, then those of plugins."""
        return [*COMMANDS, *plugin_commands()]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command, or return None where there is none of that name."""
        if name in COMMANDS:
            command: click.Command = load_reference(COMMANDS[name][1])
            return command
        found = plugin_commands().get(name) or plugin_commands(afresh=True).get(name)
        return None if found is None else _plugin_command(name, *found)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was called; a miss names the nearest ones."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and name in ELSEWHERE:
            ctx.fail(f"{name!r} comes with {ELSEWHERE[name]}. Install it with 'pip install {ELSEWHERE[name]}'.")
        if command is None:
            ctx.fail(f"There is no command {name!r}. {nearest(name, self.list_commands(ctx))}")
        return name, command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and summaries from the descriptions."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (summary, _) in COMMANDS.items()])
        added = plugin_commands()
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, summary) for name, (summary, _) in added.items()])


def plugin_commands(afresh: bool = False) -> dict[str, tuple[str, str]]:
    """Return the commands of healthy plugins: name to (summary, reference).

    A name that is taken by omnitrain or by an earlier plugin gets its plugin's name in front. afresh: see `discover`.
    """
    from omnitrain.plugins import installed

    found: dict[str, tuple[str, str]] = {}
    for plugin, commands in (installed(afresh=True) if afresh else installed()).commands.items():
        for command in commands:
            taken = command.name in COMMANDS or command.name in found
            name = f"{plugin}-{command.name}" if taken else command.name
            found[name] = (command.summary, command.run)
    return found


def _plugin_command(name: str, summary: str, reference: str) -> click.Command:
    """Import a plugin's command: a click command, or a function of the arguments that returns an exit code."""
    try:
        target = load_reference(reference)
    except (Exception, SystemExit) as error:  # whatever a plugin's module does at import, it is the plugin's fault
        raise PluginError(f"The command {name!r} could not be loaded: {type(error).__name__}: {error}.") from error
    return target if isinstance(target, click.Command) else _wrapped(name, summary, target)


def _wrapped(name: str, summary: str, target: Callable[[Sequence[str]], Any]) -> click.Command:
    @click.command(name, help=summary, add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> int:
        return target(list(arguments)) or 0

    return command


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="omnitrain", message="%(prog)s %(version)s")
@click.option(
    "--traceback", is_flag=True, expose_value=False, help="Show the traceback of an error. Goes before or after the command."
)
def omnitrain() -> None:
    """Train with published methods, each a plugin.

    \b
    Example:
      omnitrain run ul2/tiny --out runs/first
    """
