"""How commands end: a user's mistake is one line on stderr and exit code 1, never a traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.errors import TudorError

# Which extra brings a package that a command asked for in vain.
_EXTRA_OF = {
    "torch": "torch", "safetensors": "torch", "pydantic": "torch", "onnxruntime": "onnx",
    "onnx": "export", "lightning": "train", "tensorboard": "train",
    "scipy": "train", "tomli_w": "train", "matplotlib": "bench",
}


@contextmanager
def friendly() -> Iterator[None]:
    """Wraps a command-line entry point."""
    try:
        yield
    except TudorError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in _EXTRA_OF:
            raise
        fail(f"this needs {package}, which is not installed: "
             f"pip install 'nn-tudor[{_EXTRA_OF[package]}]'")
    except BrokenPipeError:  # `tudor info ... | head` closed our output
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None:
            raise
        fail(f"{error.filename}: {error.strerror}")
    except MemoryError as error:
        fail(f"not enough memory here{f' ({error})' if str(error) else ''}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise SystemExit(130) from None


def with_whole_examples(command: Any) -> Any:
    """A click command, or a group and all in it, whose help keeps each example on its own line:
    click fills paragraphs up unless a backspace stands before them."""
    if command.help:
        command.help = re.sub(r"(?:^[ \t]*Example: .*(?:\n|\Z))+", "\n\b\n\\g<0>\n", command.help,
                              flags=re.M)
    for inner in getattr(command, "commands", {}).values():
        with_whole_examples(inner)
    return command


def fail(message: str) -> None:
    """Print `error: message` and leave with exit code 1."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1) from None
