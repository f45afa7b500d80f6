"""The `tudor` command: gathers the commands of each folder and loads each only when called."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module

import typer

from engine.friendly import friendly, with_whole_examples


@dataclass(frozen=True)
class Entry:
    """Where a command or a group of commands lives, and its line in `tudor --help`."""

    module: str
    function: str
    summary: str


# In the order in which a newcomer meets them.
COMMANDS: dict[str, Entry] = {
    "corpus": Entry("training.commands", "corpus_command", "Make or gather sounds to train on."),
    "presets": Entry("engine.commands", "presets", "List the models to start from."),
    "train": Entry("training.commands", "train", "Train a model on a folder of sounds."),
    "evaluate": Entry("training.commands", "evaluate", "Measure how well a model sounds."),
    "score": Entry("training.score_command", "score",
                   "Say how likely a sound is to a model that draws."),
    "listening": Entry("training.evaluation.listening.commands", "listening",
                       "Analyse the answers to a blind listening test."),
    "export": Entry("export.commands", "export", "Write a model for nn~, ONNX or the C runtime."),
    "verify": Entry("nn_tudor.commands", "verify", "Compare exported files with their model."),
    "run": Entry("nn_tudor.commands", "run", "Play a sound file through a model."),
    "generate": Entry("nn_tudor.commands", "generate", "Let a model make sound by itself."),
    "path": Entry("nn_tudor.path_commands", "app", "Go from one sound of a model to another."),
    "fit": Entry("engine.boards.fit_command", "fit_command",
                 "Say whether a model will run on a board."),
    "info": Entry("engine.commands", "info", "Show what a model is, costs and needs."),
    "module": Entry("firmware.commands", "app", "Try the Eurorack instrument without a rack."),
    "flash": Entry("firmware.flash.commands", "app", "Put the instrument on a card or a board."),
}


HELP = """Neural audio models from training to a Eurorack module.

A first walk: tudor corpus techno loops --minutes 5; tudor train techno-tiny --data loops --out run
--minutes 5; tudor export run --to nn --out model.ts; tudor run model.ts in.wav out.wav
"""


def _new_app() -> typer.Typer:
    return typer.Typer(
        help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _overview() -> typer.Typer:
    """All commands by name and summary, none of them loaded: answers `tudor --help` at once."""
    app = _new_app()

    @app.callback(invoke_without_command=True)
    def root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
        if version:
            import nn_tudor

            typer.echo(f"tudor {nn_tudor.__version__}")

    for name, entry in COMMANDS.items():
        app.command(name=name, help=entry.summary)(lambda: None)
    return app


def _one(name: str) -> typer.Typer:
    """The command or the group `name` alone, its module loaded."""
    entry = COMMANDS[name]
    found = getattr(import_module(entry.module), entry.function)
    if isinstance(found, typer.Typer):
        return found
    app = _new_app()
    app.command(name=name)(found)
    return app


def main(argv: list[str] | None = None) -> None:
    """Entry point: a user's mistake becomes one line on stderr and a non-zero exit code."""
    args = sys.argv[1:] if argv is None else argv
    with friendly():
        if args and args[0] in COMMANDS:
            command = with_whole_examples(typer.main.get_command(_one(args[0])))
            command(args=args[1:], prog_name=f"tudor {args[0]}")
        else:
            _overview()(args=args, prog_name="tudor")


if __name__ == "__main__":
    main()
