"""What `tudor presets` and `tudor info` print: facts about models, as tables or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.description import Description, Method
from engine.runtime import load

FILES = (".ts", ".onnx", ".tudor")


def wide_console() -> Console:
    """A console that does not squeeze tables when the output is a pipe or a file."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def print_presets(as_json: bool) -> None:
    """One row per preset: shape, size, cost and delay."""
    from engine.models.store import load_model
    from engine.presets import preset_names, preset_settings

    rows = []
    for name in preset_names():
        stored = load_model(name)
        facts = _model_facts(stored.model, stored.model.describe(name))
        facts.update(name=name, trained=stored.trained,
                     summary=preset_settings(name).get("summary", ""))
        rows.append(facts)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(title="presets", title_justify="left")
    for title in ("preset", "Hz", "parameters", "MMAC/s", "latency", "latents", "trained",
                  "what for"):
        left = title in ("preset", "what for")
        table.add_column(title, justify="left" if left else "right", no_wrap=title == "preset")
    for row in rows:
        forward = row["methods"]["forward"]
        table.add_row(
            row["name"], f"{row['sample_rate_hz']}", f"{row['parameters']:,}",
            f"{forward['macs_per_second'] / 1e6:.1f}", f"{forward['latency_ms']:.1f} ms",
            str(row["config"].get("latents", "-")), "yes" if row["trained"] else "no",
            row["summary"],
        )
    console = wide_console()
    console.print(table)
    console.print("train one: tudor train techno-tiny --data FOLDER --out RUN", highlight=False)


def print_info(model: str, layers: bool, as_json: bool) -> None:
    """Everything known of a model file, a run directory or a preset."""
    facts = model_facts(model)
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    console = wide_console()
    _print_facts(console, facts)
    if layers:
        rows = facts.get("operations")
        if rows:
            console.print(_operation_table(rows))
        else:
            console.print("no operation table: this file holds a compiled graph; ask its run "
                          "directory or preset")


def model_facts(model: str) -> dict[str, Any]:
    """Plain data about `model`, for JSON and tables."""
    path = Path(model)
    if path.suffix.lower() in FILES:
        player = load(model)
        facts = _describe(player.description)
        facts.update(file=str(path), backend=player.backend, file_bytes=path.stat().st_size)
        facts["provenance"] = player.description.provenance
        for name, method in facts["methods"].items():
            method["state_bytes"] = player.state_bytes(name)
            method["weights_bytes"] = player.weights_bytes(name)
        operations = getattr(player, "operations", None)
        if operations is not None:
            facts["operations"] = operations()
        return facts
    from engine.models.store import load_model

    stored = load_model(model)
    facts = _model_facts(stored.model, stored.model.describe(stored.name))
    facts.update(backend="pytorch", trained=stored.trained)
    return facts


def _describe(description: Description) -> dict[str, Any]:
    """The description with latencies in both units."""
    methods = {}
    for name, method in description.methods.items():
        methods[name] = _method_facts(method, description.sample_rate_hz)
    return {
        "name": description.name,
        "family": description.family,
        "sample_rate_hz": description.sample_rate_hz,
        "ratio": description.ratio,
        "config": description.config,
        "methods": methods,
        "attributes": {k: asdict(a) for k, a in description.attributes.items()},
    }


def _method_facts(method: Method, rate: int) -> dict[str, Any]:
    field = method.receptive_field_samples
    return {
        "in_channels": method.in_channels, "in_ratio": method.in_ratio,
        "out_channels": method.out_channels, "out_ratio": method.out_ratio,
        "lookahead_samples": method.lookahead_samples,
        "buffering_samples": method.ratio - 1,
        "latency_samples": method.lookahead_samples + method.ratio - 1,
        "latency_ms": 1000 * (method.lookahead_samples + method.ratio - 1) / rate,
        "receptive_field_samples": None if field == inf else field,
    }


def _model_facts(model: Any, description: Description) -> dict[str, Any]:
    """Facts that need the layers: parameters and costs."""
    facts = _describe(description)
    facts["parameters"] = model.parameter_count
    for name, method in facts["methods"].items():
        graph = model.graph(name)
        frames_per_second = description.sample_rate_hz / method["in_ratio"]
        method["macs_per_second"] = graph.macs_per_input_frame() * frames_per_second
        method["state_bytes"] = graph.state_count * 4
        method["weights_bytes"] = graph.weight_count * 4
    graph = model.graph(next(reversed(description.methods)))
    rate = description.sample_rate_hz / description.methods[graph.method].in_ratio
    facts["operations"] = [
        {"name": op.name, "kind": op.kind, "in_channels": op.inputs[0].channels,
         "out_channels": op.output.channels,
         "frame_rate_hz": rate / float(op.output.ratio),
         "macs_per_second": op.macs_per_input_frame() * rate,
         "weights_bytes": op.weight_count * 4, "state_bytes": op.state_count * 4}
        for op in graph.ops
    ]
    return facts


def _print_facts(console: Console, facts: dict[str, Any]) -> None:
    rate = facts["sample_rate_hz"]
    head = f"[bold]{facts['name']}[/]  {facts['family']}, {rate} Hz, ratio {facts['ratio']}, "
    head += f"played by {facts['backend']}"
    if "parameters" in facts:
        head += f", {facts['parameters']:,} parameters"
    if facts.get("trained") is False:
        head += ", not trained"
    console.print(head, highlight=False, soft_wrap=True)
    table = Table(title="methods", title_justify="left")
    for title in ("method", "in", "out", "lookahead", "block", "latency", "sees", "MMAC/s",
                  "weights", "state"):
        table.add_column(title, justify="left" if title == "method" else "right", no_wrap=True)
    for name, m in facts["methods"].items():
        field, macs = m["receptive_field_samples"], m.get("macs_per_second")
        table.add_row(
            name, f"{m['in_channels']} @ {rate / m['in_ratio']:g} Hz",
            f"{m['out_channels']} @ {rate / m['out_ratio']:g} Hz",
            str(m["lookahead_samples"]), str(m["buffering_samples"] + 1),
            f"{m['latency_ms']:.1f} ms",
            "endless" if field is None else f"{1000 * field / rate:.0f} ms",
            "-" if macs is None else f"{macs / 1e6:.1f}",
            f"{m['weights_bytes'] / 1024:.0f} KiB", f"{m['state_bytes'] / 1024:.1f} KiB",
        )
    console.print(table)
    for name, a in facts["attributes"].items():
        console.print(f"  {name} ({a['size']} x {a['minimum']:g} ... {a['maximum']:g}, "
                      f"default {a['default']:g}): {a['help']}", highlight=False, soft_wrap=True)
    if facts["config"]:
        console.print("config: " + ", ".join(f"{k}={v}" for k, v in facts["config"].items()),
                      highlight=False, soft_wrap=True, markup=False)
    for key, value in facts.get("provenance", {}).items():
        console.print(f"{key}: {value}", highlight=False, soft_wrap=True, markup=False)


def _operation_table(rows: list[dict[str, Any]]) -> Table:
    total = sum(row["macs_per_second"] for row in rows) or 1.0
    table = Table(title="operations, in running order", title_justify="left")
    for title in ("operation", "channels", "frames/s", "MMAC/s", "share", "weights", "state"):
        table.add_column(title, justify="left" if title == "operation" else "right")
    for row in rows:
        table.add_row(
            row["name"], f"{row['in_channels']} > {row['out_channels']}",
            f"{row['frame_rate_hz']:g}", f"{row['macs_per_second'] / 1e6:.2f}",
            f"{100 * row['macs_per_second'] / total:.1f} %",
            f"{row['weights_bytes'] / 1024:.1f} KiB", f"{row['state_bytes']} B",
        )
    return table
