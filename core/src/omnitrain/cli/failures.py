"""The one place where errors become messages and exit codes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import click

from omnitrain.cli.group import omnitrain
from omnitrain.cli.output import discard_output, flush_output, note
from omnitrain.errors import EXIT_BUG, EXIT_OK, EnvironmentFault, OmnitrainError, Stopped, UsageError

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
PROGRAM = "omnitrain"
COMPLETION = "_OMNITRAIN_COMPLETE"


def guarded(argv: list[str]) -> int:
    """Run the command line; every error ends as a message on standard error and a documented exit code."""
    code = _guarded(argv)
    try:
        flush_output()
    except BrokenPipeError:
        code = code or EXIT_BROKEN_PIPE
    except OmnitrainError as error:
        code = code or _fault(error, "--traceback" in argv)
    else:
        return code
    discard_output()
    return code


def _guarded(argv: list[str]) -> int:
    if COMPLETION in os.environ:
        from click.shell_completion import shell_complete

        return shell_complete(omnitrain, {}, PROGRAM, COMPLETION, os.environ[COMPLETION])
    trace = "--traceback" in argv
    arguments = [a for a in argv if a != "--traceback"]
    try:
        return _called(lambda: _invoke(arguments))
    except BrokenPipeError:
        discard_output()
        return EXIT_BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return EXIT_INTERRUPTED
    except click.UsageError as error:
        return _usage(error)
    except OmnitrainError as error:
        return _fault(error, trace)
    except Exception as error:
        known = _environment(error)
        return _bug(error, trace) if known is None else _fault(known, trace)


def _invoke(arguments: list[str]) -> int:
    with omnitrain.make_context(PROGRAM, arguments) as context:
        result = omnitrain.invoke(context)
    return result if isinstance(result, int) else EXIT_OK


def _called(command: Callable[[], int]) -> int:
    try:
        return command()
    except click.exceptions.Exit as leave:
        return leave.exit_code


def _usage(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.ctx.get_help() if error.ctx else error.format_message())
        return UsageError.exit_code
    _say(f"error: {error.format_message()}")
    if error.ctx is not None:
        _say(f"See '{error.ctx.command_path} --help'.")
    return UsageError.exit_code


def _fault(error: OmnitrainError, trace: bool) -> int:
    if trace:
        _show(error)
    _say(str(error) if isinstance(error, Stopped) else f"error: {error}")
    return error.exit_code


def _bug(error: Exception, trace: bool) -> int:
    notes = " ".join(getattr(error, "__notes__", ()))
    if trace:
        _show(error)
    elif not notes:
        notes = "Repeat the command with --traceback to see where."
    text = " ".join(str(error).split())
    _say(
        f"error: this is a bug in omnitrain or a plugin: {type(error).__name__}{': ' + text if text else ''}. {notes}".rstrip()
    )
    return EXIT_BUG


def _environment(error: Exception) -> OmnitrainError | None:
    """Return the fault behind an error that the machine causes, not the code: memory or disk is used up, a name too long."""
    fault: OmnitrainError | None = None
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        fault = EnvironmentFault("Memory is used up: choose a smaller batch (fit.accumulate=2 or more), model or precision.")
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        name = str(error.filename or "")
        fault = UsageError(
            f"A path is too long for this file system ({len(name)} letters: {name[:60]}...); choose a shorter one."
        )
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        fault = EnvironmentFault(f"The disk is full{f' ({error.filename})' if error.filename else ''}.")
    elif isinstance(error, OSError) and error.filename is not None and error.strerror:
        fault = EnvironmentFault(f"{error.filename}: {error.strerror}.")
    if fault is not None:
        fault.__cause__ = error
    return fault


def _show(error: BaseException) -> None:
    import traceback

    _say("".join(traceback.format_exception(error)).rstrip())


def _say(text: str) -> None:
    note(text)
