"""What `tudor presets` and `tudor info` print: facts about models, as tables or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from math import inf
from typing import Any

from rich.console import Console
from rich.table import Table

from engine.description import Description, Method
from engine.errors import ConfigError, nearest
from engine.players.base import Player, load
from engine.presets import preset_names, preset_settings, shipped_native
from engine.resolve import FILE, PRESET, RUN, resolve

LATENCY = ("latency: lookahead plus waiting for a frame's last sample; a host's own buffers come "
           "on top")


def wide_console(width: int = 140, stderr: bool = False) -> Console:
    """A console that does not squeeze tables when the output is a pipe or a file."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(width=width, stderr=stderr)


def print_presets(as_json: bool) -> None:
    """One row per preset: shape, size, cost and delay."""
    rows = [preset_row(name) for name in preset_names()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(title="presets", title_justify="left")
    for title in ("preset", "Hz", "parameters", "MMAC/s", "latency", "latents", "trained",
                  "what for"):
        left = title in ("preset", "what for")
        table.add_column(title, justify="left" if left else "right", no_wrap=title == "preset")
    for row in rows:
        forward, parameters = row["methods"].get(row["main"]), row.get("parameters")
        table.add_row(
            row["name"], f"{row['sample_rate_hz']}", f"{parameters:,}" if parameters else "-",
            f"{forward['macs_per_second'] / 1e6:.1f}" if forward else "-",
            f"{forward['latency_ms']:.1f} ms" if forward else "-",
            str(row["config"].get("latents", "-")), "yes" if row["trained"] else "no",
            row["summary"],
        )
    console = wide_console()
    console.print(table)
    console.print(LATENCY, highlight=False)
    console.print("train one: tudor train techno-tiny --data FOLDER --out RUN", highlight=False)


def preset_row(name: str) -> dict[str, Any]:
    """Facts of a preset; without PyTorch, of one that ships no native file, only its settings."""
    settings = preset_settings(name)
    summary = {"summary": settings.get("summary", "")}
    if find_spec("torch") is None and shipped_native(name) is None:
        shape = settings["model"]
        return {"name": name, "family": shape["family"], "config": shape, "methods": {},
                "main": "", "sample_rate_hz": shape.get("sample_rate_hz"), "trained": False,
                **summary}
    facts = model_facts(name)
    del facts["operations"], facts["operations_of"]
    return {**facts, **summary}


def print_info(model: str, layers: bool, method: str | None, as_json: bool) -> None:
    """Everything known of a model file, a run directory or a preset."""
    facts = model_facts(model, method)
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    console = wide_console()
    _print_facts(console, facts)
    if layers or facts["backend"] == "native":
        console.print(_operation_table(facts["operations_of"], facts["operations"]))


def model_facts(model: str, method: str | None = None) -> dict[str, Any]:
    """Plain data about `model`, for JSON and tables; operations of `method` (default: the last,
    which is the whole of the model)."""
    meant = resolve(model, (RUN, FILE, PRESET))
    path = meant.path if meant.kind == FILE else None
    if meant.kind == PRESET and find_spec("torch") is None:
        path = meant.native  # without PyTorch, what a preset's native file tells
    if path is not None:
        player = load(path)
        facts = _describe(player.description)
        facts.update(file=str(path), backend=player.backend, file_bytes=path.stat().st_size,
                     provenance=player.description.provenance,
                     trained=player.description.provenance.get("trained"))
        costs = _file_costs(player)
        for name, row in facts["methods"].items():
            row["state_bytes"], row["weights_bytes"] = (player.state_bytes(name),
                                                        player.weights_bytes(name))
    else:
        from engine.models.store import load_model

        stored = load_model(model)
        facts = _describe(stored.model.describe(stored.name))
        facts.update(backend="pytorch", trained=stored.trained,
                     parameters=stored.model.parameter_count)
        costs = _model_costs(stored.model)
        for name, row in facts["methods"].items():
            for key in ("state_bytes", "weights_bytes"):
                row[key] = sum(op[key] for op in costs[name])
    for name, operations in costs.items():
        facts["methods"][name]["macs_per_second"] = sum(o["macs_per_second"] for o in operations)
    chosen = method or list(facts["methods"])[-1]
    if chosen not in facts["methods"]:
        raise ConfigError(f"{model} has no method {chosen!r}{nearest(chosen, facts['methods'])}")
    return {**facts, "operations_of": chosen, "operations": costs.get(chosen, [])}


def _model_costs(model: Any) -> dict[str, list[dict[str, Any]]]:
    """Operations of every method with what each costs and how late it is, from the layers."""
    from engine.boards.cost import method_cost

    rate = model.sample_rate_hz
    costs = {}
    for name, method in model.methods.items():
        costs[name] = [asdict(op) for op in
                       method_cost(model.graph(name), rate / method.in_ratio).ops]
        for row in costs[name]:
            delay = row.pop("delay_seconds")
            row.update(delay_samples=round(delay * rate, 6), delay_ms=1000 * delay)
    return costs


def _file_costs(player: Player) -> dict[str, list[dict[str, Any]]]:
    """The same for a file: the op table of a native one, else its family's, if torch is here."""
    layers = _family_costs(player.description)
    if player.backend != "native":
        return layers
    tables: dict[str, list[dict[str, Any]]] = player.operations()  # type: ignore[attr-defined]
    for name, rows in tables.items():
        _tell_delays(rows, layers.get(name, []))
    return tables


def _family_costs(description: Description) -> dict[str, list[dict[str, Any]]]:
    try:
        from engine.models.registry import FAMILIES, build
    except ModuleNotFoundError:
        return {}
    if description.family not in FAMILIES:  # a foreign file, playable but not ours
        return {}
    costs = _model_costs(build(description.family, description.config))
    return {name: rows for name, rows in costs.items() if name in description.methods}


def _tell_delays(rows: list[dict[str, Any]], layers: list[dict[str, Any]]) -> None:
    """Give native operations the delays of the layers they come from. Both are named by their
    place; what fuses or casts adds to the name: "0/conv1d + gated", "0/conv1d/quantise"."""
    known = {row["name"]: (row["delay_samples"], row["delay_ms"]) for row in layers}
    for row in rows:
        name = row["name"].split(" + ")[0]
        while name and name not in known:
            name = name.rpartition("/")[0]
        row["delay_samples"], row["delay_ms"] = known.get(name, (None, None))


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
        "main": description.main.name,
        "attributes": {k: asdict(a) for k, a in description.attributes.items()},
        "latents": [asdict(latent) for latent in description.latents],
        "controls": list(description.controls),
    }


def _method_facts(method: Method, rate: int) -> dict[str, Any]:
    field = method.receptive_field_samples
    return {
        "role": method.role, "in_channels": method.in_channels, "in_ratio": method.in_ratio,
        "out_channels": method.out_channels, "out_ratio": method.out_ratio,
        "lookahead_samples": method.lookahead_samples,
        "buffering_samples": method.ratio - 1,
        "latency_samples": method.lookahead_samples + method.ratio - 1,
        "latency_ms": 1000 * (method.lookahead_samples + method.ratio - 1) / rate,
        "receptive_field_samples": None if field == inf else field,
        "inputs": [{"label": label, "low": low, "high": high} for label, (low, high) in
                   zip(method.input_labels, method.input_ranges, strict=False)],
    }


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
    console.print(LATENCY, highlight=False)
    ranged = facts["methods"][facts["main"]]["inputs"]
    if ranged:
        console.print(f"  inputs of {facts['main']}: " + ", ".join(
            f"{each['label']} {each['low']:g} ... {each['high']:g}" for each in ranged),
            highlight=False, soft_wrap=True)
    for name, a in facts["attributes"].items():
        console.print(f"  {name} ({a['size']} x {a['minimum']:g} ... {a['maximum']:g}, "
                      f"default {a['default']:g}): {a['help']}", highlight=False, soft_wrap=True)
    controls = facts["controls"]
    for number, latent in enumerate(facts["latents"], 1):
        span = f"{latent['low']:g} ... {latent['high']:g} on the corpus"
        at = number - 1 - (len(facts["latents"]) - len(controls))
        follows = f"follows {latent['follows']}, " if latent["follows"] else ""
        use = (f"{follows}{span}, {latent['nats']:.2f} nats per frame" if latent["active"]
               else "unused")
        console.print(f"{controls[at]}: {span}" if at >= 0 else f"latent {number}: {use}",
                      highlight=False)
    if facts["config"]:
        console.print("config: " + ", ".join(f"{k}={v}" for k, v in facts["config"].items()),
                      highlight=False, soft_wrap=True, markup=False)
    for key, value in facts.get("provenance", {}).items():
        if key not in ("verification", "quantisation"):
            console.print(f"{key}: {value}", highlight=False, soft_wrap=True, markup=False)
    quantisation = facts.get("provenance", {}).get("quantisation")
    if quantisation:
        figures = ", ".join(f"{name} {m['snr_db']} dB" for name, m in
                            quantisation.get("methods", {}).items())
        kept = ", ".join(quantisation.get("kept", ())) or "none"
        console.print(f"{quantisation.get('dtype')} against float32 (SNR on held-out audio): "
                      f"{figures}; calibrated with {quantisation.get('calibration')}; layers kept "
                      f"at more bits: {kept}", highlight=False, soft_wrap=True, markup=False)
    verification = facts.get("provenance", {}).get("verification")
    if verification:
        errors = ", ".join(f"{name} {m['max_abs_error']:.1e}"
                           for name, m in verification.get("methods", {}).items())
        verdict = "passed" if verification.get("passed") else "FAILED"
        console.print(f"verified when exported: {verdict}, largest error against offline PyTorch: "
                      f"{errors}", highlight=False, soft_wrap=True)


def _delay_text(row: dict[str, Any]) -> str:
    if row.get("delay_samples") is None:
        return "-"
    return f"{row['delay_samples']:g} ({row['delay_ms']:.1f} ms)"


def _operation_table(method: str, rows: list[dict[str, Any]]) -> Table | str:
    if not rows:
        return "no operation table: the file is not of a family that this installation knows"
    total = sum(row["macs_per_second"] for row in rows) or 1.0
    scratch = "scratch_bytes" in rows[0]
    table = Table(title=f"operations of {method}, in running order", title_justify="left")
    for title in ("operation", "kind", "channels", "delay", "MMAC/s", "share", "weights", "state",
                  *(["scratch"] if scratch else [])):
        left = title in ("operation", "kind")
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"], row["kind"], f"{row['in_channels']} > {row['out_channels']}",
            _delay_text(row),
            f"{row['macs_per_second'] / 1e6:.2f}",
            f"{100 * row['macs_per_second'] / total:.1f} %",
            f"{row['weights_bytes'] / 1024:.1f} KiB", f"{row['state_bytes']} B",
            *([f"{row['scratch_bytes']} B"] if scratch else []),
        )
    return table
