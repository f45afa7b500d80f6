"""The suite's cases on each backend, every one given its best: what `play` times is one block.

    torchscript  one traced module that keeps its caches in buffers, as nn~ plays a .ts file
    onnx         explicit caches, static shapes, bound inputs and outputs; two bindings take turns,
                 so that one block's new caches are the next one's old ones without a copy
    native       the C runtime on the exported file; segments one after the other. native-bf16w
                 and native-q16x8: the same with fewer bits
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.case_runner import CaseRunner, FloatArray
from benchmarks.peak import held_to_avx2
from benchmarks.shapes import WAVENETS, ShapeModel, is_loop
from engine.errors import TudorError


class TorchScriptRunner(CaseRunner):
    """The case as nn~ would run it: traced, saved, loaded, called in inference mode."""

    backend = "torchscript"

    def __init__(self, model: ShapeModel, threads: int = 1) -> None:
        import torch

        torch.set_num_threads(threads)
        self._torch = torch
        self._inputs = [torch.from_numpy(x)[None] for x in model.inputs()]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # shapes are fixed, as meant
            traced = torch.jit.trace(_with_caches(model), tuple(self._inputs), check_trace=False)
        file = io.BytesIO()
        torch.jit.save(traced, file)
        file.seek(0)
        self._module = torch.jit.load(file).eval()
        for buffer in self._module.buffers():  # tracing has already played a block
            buffer.zero_()
        self._last: tuple[Any, ...] = ()

    def play(self, index: int) -> object:
        with self._torch.inference_mode():
            self._last = self._module(*self._inputs)
        return self._last

    def outputs(self) -> list[FloatArray]:
        return [y[0].numpy() for y in self._last]


def _with_caches(model: ShapeModel) -> Any:
    """A module of all segments that writes its caches back into its own buffers."""
    import torch
    from torch import Tensor

    class Caches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            for method in model.methods:
                for index, state in enumerate(model.init_state(method)):
                    self.register_buffer(f"{method}_{index}", state)

        def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
            outputs = []
            for method, x in zip(model.methods, inputs, strict=True):
                count = len(model.state_shapes(method))
                caches = tuple(getattr(self, f"{method}_{i}") for i in range(count))
                y, after = model.step(method, x, caches, {})
                for cache, new in zip(caches, after, strict=True):
                    cache.copy_(new)
                outputs.append(y)
            return tuple(outputs)

    return Caches()


class OnnxRunner(CaseRunner):
    """ONNX Runtime with everything that makes it fast on one thread."""

    backend = "onnx"

    def __init__(self, model: ShapeModel, threads: int = 1) -> None:
        import onnxruntime as ort

        from benchmarks.shape_onnx import GraphWriter

        writer = GraphWriter()
        for name, frames in zip(model.methods, model.in_frames, strict=True):
            writer.method(model.graph(name), frames)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self._session = ort.InferenceSession(writer.model(), options,
                                             providers=["CPUExecutionProvider"])
        self._bind(writer, model.inputs(), ort.OrtValue.ortvalue_from_numpy)

    def _bind(
        self, writer: Any, inputs: list[FloatArray], value: Callable[[FloatArray], Any]
    ) -> None:
        fixed = [value(x[None].copy()) for x in inputs]
        caches = [[value(np.zeros(shape, np.float32)) for _, _, shape in writer.states]
                  for _ in range(2)]
        shapes = [[d.dim_value for d in y.type.tensor_type.shape.dim] for y in writer.outputs]
        self._results = [value(np.zeros(shape, np.float32)) for shape in shapes]
        self._bindings = []
        for now, then in (caches, caches[::-1]):
            binding = self._session.io_binding()
            for info, x in zip(writer.inputs, fixed, strict=True):
                binding.bind_ortvalue_input(info.name, x)
            for info, y in zip(writer.outputs, self._results, strict=True):
                binding.bind_ortvalue_output(info.name, y)
            for (before, after, _), old, new in zip(writer.states, now, then, strict=True):
                binding.bind_ortvalue_input(before, old)
                binding.bind_ortvalue_output(after, new)
            self._bindings.append(binding)
        self._turn = 0

    def play(self, index: int) -> object:
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn ^= 1
        return self._results

    def outputs(self) -> list[FloatArray]:
        return [y.numpy()[0] for y in self._results]


class PlayerRunner(CaseRunner):
    """Any `engine.players.base.Player` whose methods are the segments."""

    def __init__(self, player: Any, model: ShapeModel) -> None:
        self.backend = player.backend
        self._calls = [(name, np.ascontiguousarray(x))
                       for name, x in zip(model.methods, model.inputs(), strict=True)]
        self._player, self._last = player, []  # type: Any, list[FloatArray]

    def play(self, index: int) -> object:
        process = self._player.process
        self._last = [process(name, x) for name, x in self._calls]
        return self._last

    def outputs(self) -> list[FloatArray]:
        return [np.asarray(y) for y in self._last]


def native_available() -> bool:
    """True where the C runtime is built and its exporter is installed."""
    try:
        for name in ("engine.players.native_model", "engine.players.native",
                     "export.native.export"):
            import_module(name)
    except (ImportError, TudorError):  # not there, or there and not built
        return False
    return True


class NativeRunner(CaseRunner):
    """The case on the C runtime, from the bytes of its `.tudor` file."""

    backend = "native"

    def __init__(self, model: ShapeModel, file: bytes, dtype: str = "float32") -> None:
        from engine.players.native_model import NativeFile, NativeModel, ffi, lib

        if dtype != "float32":
            self.backend, self.dtype = f"native-{dtype}", dtype
        # Held to AVX2, all backends are: the comparison is between equals.
        self.native = NativeModel(NativeFile.from_bytes(file, model.name),
                                  isa="avx2" if held_to_avx2() else None)
        self._process, self._calls, self._results = lib.tudor_process, [], []
        for method, x in zip(model.methods.values(), model.inputs(), strict=True):
            frames = model.block_samples // method.out_ratio
            out = np.zeros((1, method.out_channels, frames), np.float32)
            # Pointers are bound once, as ONNX Runtime's are: the C call alone is timed.
            self._calls.append((
                self.native._t, self.native.methods[method.name].index,
                ffi.from_buffer("float[]", np.ascontiguousarray(x)),
                ffi.from_buffer("float[]", out), model.block_samples))
            self._results.append(out)

    def play(self, index: int) -> object:
        process = self._process
        return [process(*call) for call in self._calls]

    def outputs(self) -> list[FloatArray]:
        return [out[0] for out in self._results]


def _loops_in_pytorch(model: ShapeModel, threads: int) -> list[CaseRunner]:
    """As the layers stand, each with its cache, and rewritten for speed."""
    from benchmarks.shape_loop import PyTorchLoop
    from engine.players.pytorch import PyTorchPlayer

    return [PlayerRunner(PyTorchPlayer(model), model), PyTorchLoop(model, threads)]


def runners_for(
    model: ShapeModel, threads: int = 1, dtypes: Sequence[str] = ("float32",)
) -> list[CaseRunner]:
    """Every backend that this installation has, for one case; the native one in each of `dtypes`
    that all layers of the case have a form in."""
    runners: list[CaseRunner]
    if is_loop(model):
        runners = _loops_in_pytorch(model, threads) if model.name in WAVENETS else []
    else:
        runners = [TorchScriptRunner(model, threads), OnnxRunner(model, threads)]
    if native_available():
        from benchmarks.shape_numbers import compiled

        files = {dtype: compiled(model, dtype) for dtype in dtypes}
        runners += [NativeRunner(model, file, dtype) for dtype, file in files.items() if file]
    return runners
