"""All that the export takes from PyTorch beyond its public interface, in one place.

TorchScript is deprecated: a later PyTorch may drop any of these, and then only this file changes.
They are looked up before anything is traced, so that a missing one is told by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from engine.errors import TudorError

OLDEST, NEWEST = "2.5", "2.13"  # of PyTorch, that the export was tried with

# Passes over a traced graph, in the order in which they are used, and what makes functions of it.
PASSES = (
    "_jit_pass_lower_graph", "_jit_pass_inline", "_jit_pass_lower_all_tuples", "_jit_pass_cse",
    "_jit_pass_dce", "_jit_pass_constant_pooling", "_jit_pass_erase_shape_information",
    "_create_function_from_graph",
)
OTHERS = ("FloatType", "IntType", "parse_schema", "CompilationUnit")
OF_GRAPHS = ("findAllNodes", "makeMultiOutputIntoTuple", "eraseInput", "prependNode", "create")
OF_MODULES = ("_define", "_get_method", "_method_names")
OF_JIT = ("trace_module", "script", "save", "load")


def check_internals() -> None:
    """Refuse a PyTorch that lacks what the export relies on, before any work is done."""
    wanted = {
        **{f"torch._C.{name}": (torch._C, name) for name in (*PASSES, *OTHERS)},
        **{f"torch._C.Graph.{name}": (torch._C.Graph, name) for name in OF_GRAPHS},
        **{f"torch._C.ScriptModule.{name}": (torch._C.ScriptModule, name) for name in OF_MODULES},
        **{f"torch.jit.{name}": (torch.jit, name) for name in OF_JIT},
    }
    missing = [name for name, (home, key) in wanted.items() if not hasattr(home, key)]
    if missing:
        raise TudorError(
            f"PyTorch {torch.__version__} lacks {', '.join(missing)}, which the export for nn~ "
            f"relies on; versions {OLDEST} to {NEWEST} have it: install one of them beside"
        )


def internal(name: str) -> Callable[..., Any]:
    """A private function of PyTorch; only those listed above are given out."""
    if name not in PASSES and name not in OTHERS:
        raise KeyError(f"{name} is not listed in export/nn/internals.py")
    return getattr(torch._C, name)  # type: ignore[no-any-return]


def internal_type(name: str) -> Any:
    """A type of TorchScript, by name."""
    return getattr(torch._C, name).get()


def tidy(graph: Any) -> None:
    """Drop what is computed twice or for nothing, share constants, forget traced shapes."""
    for name in PASSES[3:7]:
        internal(name)(graph)
