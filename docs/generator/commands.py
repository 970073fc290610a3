"""The reference of the command line, from the click commands of what is installed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
from marks import block, code, plain, table

from omnitrain.cli.group import omnitrain, plugin_commands

_EXAMPLE = re.compile(r"^\x08?\n?Examples?:\n(?P<lines>.*)", re.MULTILINE | re.DOTALL)


def commands_reference() -> str:
    """Return a list of all commands and a section for each, as Markdown."""
    with click.Context(omnitrain, info_name="omnitrain") as parent:
        found = {name: omnitrain.get_command(parent, name) for name in omnitrain.list_commands(parent)}
        known = {name: command for name, command in found.items() if command is not None}
        rows = [(f"[`{name}`](#{name})", plain(_description(command)[0])) for name, command in known.items()]
        sections = [_section(name, command, parent) for name, command in known.items()]
    return "\n\n".join([table(["command", "what it does"], rows), *sections])


def _section(name: str, command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    summary, *further = _description(command)
    parts = [f"## {name} {{ #{name} }}", plain(summary)]
    if name in plugin_commands():
        parts.append("A command of a plugin.")
    parts.append(block(" ".join([f"omnitrain {name}", *command.collect_usage_pieces(context)])))
    parts += map(plain, further)
    parts.append(table(["option", "meaning"], _options(command, context)))
    example = _example(command)
    if example:
        parts.append(block(example, "sh"))
    return "\n\n".join(part for part in parts if part)


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield code(record[0]), plain(record[1])


def _help(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def _description(command: click.Command) -> list[str]:
    """Return the paragraphs of a command's help without its examples."""
    text = _EXAMPLE.sub("", _help(command)).replace("\b", "")
    return [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip())]


def _example(command: click.Command) -> str:
    match = _EXAMPLE.search(_help(command))
    return inspect.cleandoc("\n" + match["lines"]) if match else ""
