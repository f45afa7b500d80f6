"""A graph of layers becomes a list of native operations (`native_nodes`): views resolved,
neighbours fused (`native_fuse`). A slice or a delay is no operation but another view of the rows.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from engine.graph import Op
from engine.layers.spectrum import exponentials
from engine.layers.transform import sines
from engine.ops import KINDS
from export.native.file import FloatArray
from export.native.fuse import Fusing, is_exact
from export.native.nodes import Node, Program, Root, View


class Lowering(Fusing):
    """Walks a graph once and collects nodes."""

    def run(self) -> Program:
        """The whole graph."""
        source = self._root(self.graph.input)
        self.views[self.graph.input.index] = self._whole(source)
        for op in self.graph.ops:
            self.loop = op.loop
            inputs = [self.views[v.index] for v in op.inputs]
            self.views[op.output.index] = self._op(op, inputs)
        self.loop = False
        out = self.views[self.graph.output.index]
        if out.root is source:  # nothing writes the output: copy, so that input and output differ
            out = self._emit(Node("copy", "output", [out], Root(out.channels, out.root.rows)))
        program = Program(self._whole(source), out, self.nodes)
        self._close_feeds(program)
        return program

    def _close_feeds(self, program: Program) -> None:
        """What a feed reads is known once all is made: a view one row late."""
        fed = {self.views[op.output.index].root: self.views[op.attributes["source"]]
               for op in self.graph.ops if op.kind == "feed"}

        def closed(view: View) -> View:
            source = fed.get(view.root)
            if source is None:
                return view
            return View(source.root, source.first + view.first, view.channels,
                        source.delay + view.delay + 1)

        for node in program.nodes:
            node.inputs = [closed(view) for view in node.inputs]
            node.pre = None if node.pre is None else closed(node.pre)
            node.post = None if node.post is None else closed(node.post)
        program.output = closed(program.output)
        program.fed = list(fed.values())

    def _op(self, op: Op, inputs: list[View]) -> View:
        if KINDS[op.kind].act is not None:
            return self._act(op, *inputs)
        return getattr(self, f"_{op.kind}")(op, *inputs)  # type: ignore[no-any-return]

    def _slice(self, op: Op, view: View) -> View:
        start, stop = op.attributes["start"], op.attributes["stop"]
        return self._taken(View(view.root, view.first + start, stop - start, view.delay))

    def _taken(self, view: View) -> View:
        """Channels of a concat that was never made are where they were before it."""
        at = view.first
        for part in self.apart.get(view.root, ()):
            if 0 <= at < part.channels:
                return self._taken(View(part.root, part.first + at, view.channels,
                                        part.delay + view.delay))
            at -= part.channels
        return view

    def _delay(self, op: Op, view: View) -> View:
        return View(view.root, view.first, view.channels, view.delay + op.attributes["frames"])

    def _feed(self, op: Op, view: View) -> View:
        return self._whole(self._root(op.output))

    def _draw(self, op: Op, view: View) -> View:
        a = op.attributes
        names = {"attr_a": a["temperature"], "attr_b": a.get("top_p"),
                 "attr_seed": a.get("seed_attribute")}
        return self._emit(Node(
            op.kind, op.name, [view], self._root(op.output), slope=float(a.get("limit", 1.0)),
            params={"seed": a["seed"]},
            attributes={key: name for key, name in names.items() if name is not None},
        ))

    _categorical = _logistic_mixture = _draw

    def _embed(self, op: Op, view: View) -> View:
        return self._emit(Node("embed", op.name, [view], self._root(op.output),
                               table=op.weights["table"]))

    # --- operations that stand for themselves ---------------------------------------------------

    def _guard(self, op: Op, view: View) -> View:
        return self._emit(Node("guard", op.name, [view], self._root(op.output)))

    def _affine(self, op: Op, view: View) -> View:
        names = {"attr_a": op.attributes["scale"], "attr_b": op.attributes["bias"]}
        return self._emit(Node("affine", op.name, [view], self._root(op.output), attributes=names))

    def _control(self, op: Op, view: View) -> View:
        return self._emit(Node("control", op.name, [], self._root(op.output),
                               attributes={"attr_a": op.attributes["attribute"]}))

    def _norm(self, op: Op, view: View) -> View:
        weight = op.weights["weight"]
        bias = op.weights.get("bias", np.zeros_like(weight))
        return self._emit(Node(
            "norm", op.name, [view], self._root(op.output), slope=op.attributes["epsilon"],
            gate=bool(op.attributes["centre"]), extra=np.concatenate([weight, bias])))

    def _attention(self, op: Op, view: View) -> View:
        window = op.attributes["window"]
        return self._emit(Node(
            "attention", op.name, [view], self._root(op.output),
            params={"kernel": window, "groups": op.attributes["heads"]}))

    def _pitch_track(self, op: Op, view: View) -> View:
        a = op.attributes
        return self._emit(Node(
            "pitch_track", op.name, [view], self._root(op.output), gate=bool(a["octave_check"]),
            params={"kernel": a["window"], "stride": a["ratio"], "groups": a["step"],
                    "phases": a["lags"], "seed": a["taps"] // 2 + 1},
            extra=np.array([a["threshold"], a["octaves"]], np.float32)))

    def _harmonics(self, op: Op, view: View) -> View:
        a = op.attributes
        ramps = [number for low, high in (a["crossover"], a["clear"])
                 for number in (low, 1.0 / (high - low))]
        return self._emit(Node(
            "harmonics", op.name, [view], self._root(op.output),
            params={"kernel": a["count"], "phases": a["ratio"], "seed": a["middle_c"]},
            extra=np.array(ramps, np.float32)))

    def _spectrum(self, op: Op, view: View) -> View:
        a = op.attributes
        return self._emit(Node(
            "spectrum", op.name, [view], self._root(op.output), slope=a["floor"],
            params={"kernel": a["fft"], "stride": a["ratio"]}, extra=sines(a["fft"])))

    def _resynth(self, op: Op, view: View) -> View:
        a = op.attributes
        table = np.concatenate((sines(a["fft"]), exponentials(a["fft"] // a["ratio"])))
        return self._emit(Node(
            "resynth", op.name, [view], self._root(op.output), extra=table,
            params={"kernel": a["fft"], "phases": a["ratio"], "seed": a["seed"]},
            attributes={"attr_seed": a["seed_attribute"]}))

    def _fractional_delay(self, op: Op, sound: View, lag: View) -> View:
        a = op.attributes
        return self._emit(Node(
            "fractional_delay", op.name, [sound, lag], self._root(op.output),
            params={"kernel": a["most"] - a["ahead"] + 2, "phases": a["least"],
                    "seed": a["ahead"]}))

    def _note(self, op: Op, view: View) -> View:
        return self._emit(Node("note", op.name, [view], self._root(op.output),
                               params={"kernel": op.attributes["most"]}))

    def _noise_multiply(self, op: Op, view: View) -> View:
        return self._emit(Node("noise", op.name, [view], self._root(op.output),
                               params={"seed": op.attributes["seed"]},
                               attributes={"attr_seed": op.attributes["seed_attribute"]}))

    def _keyed_noise(self, op: Op, view: View) -> View:
        return self._emit(Node("keyed_noise", op.name, [view], self._root(op.output),
                               params={"seed": op.attributes["seed"]},
                               attributes={"attr_seed": op.attributes["seed_attribute"]}))

    def _latent_sample(self, op: Op, view: View) -> View:
        return self._emit(Node(
            "gaussian", op.name, [view], self._root(op.output),
            params={"seed": op.attributes["seed"]},
            attributes={"attr_a": op.attributes["temperature"],
                        "attr_seed": op.attributes["seed_attribute"]},
        ))

    def _conv1d(self, op: Op, view: View) -> View:
        weight, bias = op.weights["weight"], op.weights.get("bias")  # [out, in / groups, kernel]
        groups, kernel = op.attributes["groups"], op.attributes["kernel_size"]
        out, per_group, _ = weight.shape
        depthwise = groups == out == view.channels and groups > 1
        params = {"kernel": kernel, "stride": op.attributes["stride"],
                  "dilation": op.attributes["dilation"], "groups": groups, "phases": 1}
        names = {}
        if "above" in op.attributes:
            names["attr_a"], params["seed"] = op.attributes["above"]
        taps = weight.transpose(2, 1, 0).reshape(kernel * per_group, out)  # [taps * in, out]
        if depthwise:
            runs = [(taps, bias)]
        else:
            size = out // groups
            runs = [(taps[:, g * size : (g + 1) * size],
                     None if bias is None else bias[g * size : (g + 1) * size])
                    for g in range(groups)]
        return self._emit(Node("depthwise" if depthwise else "conv", op.name, [view],
                               self._root(op.output), params=params, runs=runs,
                               attributes=names, exact=is_exact(op)))

    def _conv_transpose1d(self, op: Op, view: View) -> View:
        weight, bias = op.weights["weight"], op.weights.get("bias")  # [in, out / groups, kernel]
        groups, stride = op.attributes["groups"], op.attributes["stride"]
        channels, size, kernel = weight.shape
        taps, per_group = ceil(kernel / stride), channels // groups
        # Polyphase: output row n * stride + p sums taps j * stride + p over rows n - j, oldest
        # (largest j) first.
        padded = np.zeros((channels, size, taps * stride), np.float32)
        padded[:, :, :kernel] = weight
        phases = padded.reshape(channels, size, taps, stride)[:, :, ::-1]
        # [taps, in, phase, out / groups], copied: a reversed view cannot become a tensor
        phases = np.ascontiguousarray(phases.transpose(2, 0, 3, 1))
        runs: list[tuple[FloatArray, FloatArray | None]] = []
        for g in range(groups):
            part = phases[:, g * per_group : (g + 1) * per_group]
            part = part.reshape(taps * per_group, stride, size)
            b = None if bias is None else bias[g * size : (g + 1) * size]
            if groups == 1:
                runs.append((part.reshape(-1, stride * size),
                             None if b is None else np.tile(b, stride)))
            else:
                runs += [(part[:, p], b) for p in range(stride)]
        out = self._root(op.output)
        out.dense = stride > 1
        params = {"kernel": taps, "stride": 1, "dilation": 1, "groups": groups, "phases": stride}
        return self._emit(Node("conv", op.name, [view], out, params=params, runs=runs,
                               exact=is_exact(op)))

    def _recurrent(self, op: Op, view: View, gates: int) -> tuple[View, Root]:
        """The input part of all gates as a conv, with every bias that can be added up front."""
        hidden = op.attributes["hidden"]
        bias = op.weights["bias_ih"].astype(np.float64)
        bias_hh = op.weights["bias_hh"].astype(np.float64)
        known = 4 * hidden if gates == 4 else 2 * hidden  # gru: n's hidden one stays inside r * (.)
        bias[:known] += bias_hh[:known]
        params = {"kernel": 1, "stride": 1, "dilation": 1, "groups": 1, "phases": 1}
        rows = view.root.rows
        first = Node("conv", f"{op.name}/input", [view], Root(gates * hidden, rows), params=params,
                     runs=[(np.ascontiguousarray(op.weights["weight_ih"].T),
                            bias.astype(np.float32))])
        return self._emit(first), self._root(op.output)

    def _lstm(self, op: Op, view: View) -> View:
        sums, out = self._recurrent(op, view, 4)
        return self._emit(Node("lstm", op.name, [sums], out,
                               runs=[(op.weights["weight_hh"].T, None)]))

    def _gru(self, op: Op, view: View) -> View:
        sums, out = self._recurrent(op, view, 3)
        h, weight = out.channels, op.weights["weight_hh"].T  # [h, 3h]
        return self._emit(Node("gru", op.name, [sums], out, runs=[
            (weight[:, : 2 * h], None), (weight[:, 2 * h :], op.weights["bias_hh"][2 * h :])]))
