"""The built-in commands: name, one-line summary for help, and where the command is."""

from __future__ import annotations

_HOME = "omnitrain.cli.commands"

COMMANDS: dict[str, tuple[str, str]] = {
    "plugins": ("List the installed plugins, healthy or why not.", f"{_HOME}.plugins:plugins"),
    "install": ("Install plugins into this environment.", f"{_HOME}.install:install"),
    "uninstall": ("Remove plugins from this environment.", f"{_HOME}.uninstall:uninstall"),
    "info": ("Describe a plugin, a component with its settings, or a recipe.", f"{_HOME}.info:info"),
    "recipes": ("List recipes.", f"{_HOME}.recipes:recipes"),
    "schema": ("Print the JSON Schema of a recipe or a component.", f"{_HOME}.schema:schema"),
    "run": ("Run a recipe, or go on with a run.", f"{_HOME}.run:run"),
    "runs": ("List run directories.", f"{_HOME}.runs:runs"),
    "compare": ("Put runs side by side.", f"{_HOME}.compare:compare"),
    "report": ("Write a run's report page.", f"{_HOME}.report:report"),
    "evaluate": ("Measure a saved model with an evaluator.", f"{_HOME}.evaluate:evaluate"),
    "generate": ("Let a saved model continue prompts.", f"{_HOME}.generate:generate"),
    "export": ("Write a saved model in Hugging Face format.", f"{_HOME}.export:export"),
    "parity": ("Compare a plugin with the official code's golden vectors.", f"{_HOME}.parity:parity"),
    "reproduce": ("Measure the claims of a plugin's paper again.", f"{_HOME}.reproduce:reproduce"),
    "bench": ("Time a plugin beside its peers.", "omnitrain.cli.commands.bench:bench"),
    "doctor": ("Check this environment.", f"{_HOME}.doctor:doctor"),
    "completion": ("Print the shell's completion script.", f"{_HOME}.completion:completion"),
}

# Commands whose work is worth more than what they print about it, unless that is asked for (--json, --dry-run).
WORKS = frozenset({"run", "reproduce", "export", "report", "install", "uninstall"})

# Commands of packages that authors install, told of where they are missing: name to distribution.
ELSEWHERE = {"check": "omnitrain-testing", "new-plugin": "omnitrain-testing"}
