"""The ``volans`` command. Its help is quick: a command's own file is read when it is run."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command as build_command

from volans.cli.failures import exit_code_of, one_line


class Entry(NamedTuple):
    """Where a command lives: a function, or a Typer application with commands of its own."""

    module: str
    attribute: str
    summary: str


COMMANDS: Final = {
    "demo": Entry("demo", "demo", "Ten seconds of messages: IPC, UDP, a file across, a table."),
    "driver": Entry("driver", "driver_command", "Run a media driver with a status line."),
    "pub": Entry("pub", "pub", "Publish the lines of stdin, or a file."),
    "sub": Entry("sub", "sub", "Print what is published, or save a file that is sent."),
    "ping": Entry("ping", "ping", "Measure round trips to a pong."),
    "pong": Entry("pong", "pong", "Send back what a ping sends."),
    "rate": Entry("rate", "rate", "Measure how many messages a second go through."),
    "stat": Entry("stat", "stat", "Watch the counters of a driver."),
    "streams": Entry("streams", "streams", "Show the positions of every stream."),
    "backlog": Entry("backlog", "backlog", "Show how far each part of a stream lags behind."),
    "errors": Entry("errors_command", "errors", "Show the distinct errors of a driver."),
    "events": Entry("events", "events", "Read and filter the event log of a driver."),
    "loss": Entry("loss", "loss", "Show what was lost on the way to a driver."),
    "driver-tool": Entry(
        "driver_tool", "app", "Ask for a driver's pid, end it, clear away what dead ones left."
    ),
    "config": Entry("config_command", "app", "Explain, list and show settings."),
    "log": Entry("log_command", "app", "Look into log buffer files."),
    "version": Entry("version", "version", "Show the versions of Volans and its formats."),
}


class LazyGroup(TyperGroup):
    """Imports a command when it is run; the overview is made from the table alone."""

    _overview = False

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; in the overview only what stands for it."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        if self._overview:
            return TyperCommand(cmd_name, help=entry.summary)
        target = getattr(import_module(f"volans.cli.{entry.module}"), entry.attribute)
        if not isinstance(target, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command(cmd_name)(target)
            target = single
        command: Any = build_command(target)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The overview."""
        self._overview = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._overview = False

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what a person can act upon comes as one line, not as a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except Exception as error:
            code = exit_code_of(error)
            if code is None:
                raise
            typer.echo(f"volans {ctx.invoked_subcommand}: {one_line(error)}", err=True)
            raise typer.Exit(code) from None


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _volans() -> None:
    """Volans, the Aeron message bus for Python."""
