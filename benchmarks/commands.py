"""The command `rtf-bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from engine.errors import ConfigError, TudorError
from engine.friendly import friendly

SUITES = ("shapes", "ops")
app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def parse_blocks(text: str) -> list[int]:
    """'128,512' as numbers of samples, in the order given and without repeats."""
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = [0]
    if not all(1 <= size <= 1 << 20 for size in sizes):
        raise ConfigError(f"--block takes sample counts such as 128,512,2048, got {text!r}")
    return list(dict.fromkeys(sizes))


@app.command()
def bench(
    models: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer evaluates it on every supported Python)
        typer.Argument(metavar="MODEL...", help="Model files (.ts, .onnx, .tudor), run "
                       "directories or presets; several are compared by turns."),
    ] = None,
    block: Annotated[
        str, typer.Option(help="Block sizes in samples.", metavar="N,N...")
    ] = "128,512,2048",
    seconds: Annotated[
        float, typer.Option(help="Seconds of audio per file and block size; at least 300 blocks "
                            "are timed where a minute suffices.", min=0.01)
    ] = 10.0,
    threads: Annotated[int, typer.Option(
        help="Threads of each backend; the native runtime computes on one.", min=1)] = 1,
    device: Annotated[str, typer.Option(
        help="cpu, cuda or cuda:N; ssh:HOST: copied to another machine and timed there; m7 or "
             "aarch64: instructions counted in an emulator.")] = "cpu",
    instrument: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="With --device m7 or aarch64: also count whole callbacks of the "
                     "instrument that plays the file as effect or bend.", metavar="effect|bend")
    ] = None,
    method: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Method to play; default: the model's main one.")
    ] = None,
    warmup: Annotated[
        float, typer.Option(help="Seconds of warm-up, not counted, per file and block.", min=0.0)
    ] = 1.0,
    layers: Annotated[
        bool, typer.Option("--layers", help="Add a table of what each layer costs, and what "
                           "impedes real time.")
    ] = False,
    silence: Annotated[
        float, typer.Option(help="Also play this many seconds of silence after a burst, and "
                            "compare silent with loud blocks.", min=0.0)
    ] = 0.0,
    cold: Annotated[
        bool, typer.Option(help="Measure cold start and memory in fresh processes.")
    ] = True,
    suite: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Instead of files: 'shapes', networks of published shapes with random "
                     "weights on every backend; 'ops', each operation alone on every instruction "
                     "set.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A short run of the suite.")] = False,
    only: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Cases of the suite, such as brave/128,nam-a1/64 or conv1d,gru.",
                     metavar="CASE,...")
    ] = None,
    dtype: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The suite's native rows in more number formats.", metavar="bf16w,q16x8")
    ] = None,
    json_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--json", help="Write all figures here.", metavar="FILE")
    ] = None,
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write a picture of the block times here.", metavar="FILE.png")
    ] = None,
) -> None:
    """Measure how fast models play: real-time factor = processing time / audio time, lower is
    better.

    Example: rtf-bench model.ts model.onnx --block 128,512 --json bench.json --plot bench.png
    """
    if json_file and json_file.is_dir():  # an hour's run must not end in this
        raise TudorError(f"--json {json_file} is a directory; name a file")
    if suite is not None:
        if models:
            raise ConfigError("--suite brings its own networks: leave out MODEL")
        if threads != 1 or device != "cpu":
            raise ConfigError(f"--suite {suite} runs on one thread of the processor: leave out "
                              "--threads, --device")
        _run_suite(suite, quick, only, json_file, dtype)
        return
    if not models:
        raise ConfigError("name at least one model file, run directory or preset (or --suite)")
    if quick or only or dtype:
        raise ConfigError("--quick, --only and --dtype belong to --suite")
    if device in ("m7", "aarch64"):
        if plot or silence or threads != 1:
            raise ConfigError(f"--device {device} counts instructions: leave out --plot, "
                              "--silence, --threads")
        _count_files(device, models, method, parse_blocks(block), json_file, instrument)
        return
    if instrument:
        raise ConfigError("--instrument belongs to --device m7 or aarch64")
    if device.startswith("ssh:"):
        if plot or silence or layers or threads != 1:
            raise ConfigError("--device ssh:HOST times the native runtime on one thread: leave out "
                              "--plot, --silence, --layers, --threads")
        _measure_remote(device, models, method, parse_blocks(block), seconds, warmup, json_file)
        return
    from benchmarks.run import Request

    request = Request(models, parse_blocks(block), seconds, threads, device, method, warmup, cold)
    _run_files(request, layers, silence, json_file, plot)


def _run_files(
    request: object, layers: bool, silence: float, json_file: Path | None, plot: Path | None
) -> None:
    from benchmarks.plot import check_plot_path, plot_report
    from benchmarks.run import Request, measure_files
    from benchmarks.tables import console_for_output, print_report

    assert isinstance(request, Request)
    if plot:
        check_plot_path(plot)
    console = console_for_output()
    with console.status("loading") as status:
        report = measure_files(request, lambda text: status.update(text))
        if silence:
            from benchmarks.silence import add_silence

            status.update(f"{silence:g} seconds of silence after a burst")
            add_silence(report, request, silence)
    print_report(report, console)
    if silence:
        from benchmarks.silence import print_silence

        print_silence(report, console)
    if layers:
        from benchmarks.layers import print_layers

        print_layers(report, request, console)
    if json_file:
        write_json(report.to_json(), json_file)
    if plot:
        plot_report(report, plot)


def _count_files(
    device: str, models: list[str], method: str | None, blocks: list[int], json_file: Path | None,
    way: str | None
) -> None:
    from benchmarks.emulated import count_file, print_counts
    from benchmarks.instrument import count_instrument, print_instrument
    from benchmarks.tables import console_for_output

    console, files = console_for_output(), _native_files(models)
    with console.status("") as status:
        counted = [count_file(device, path, method, blocks, status.update) for path in files]
        played = [count_instrument(device, path, way, say=status.update)
                  for path in files] if way else []
    for counts in counted:
        print_counts(counts, console)
    for whole in played:
        print_instrument(whole, console)
    if json_file:
        results = [counts.to_json() for counts in counted]
        for result, whole in zip(results, played, strict=False):
            result["instrument"] = whole.to_json()
        write_json({"results": results}, json_file)


def _native_files(models: list[str]) -> list[Path]:
    """The files that are named, a preset's own among them."""
    from engine.resolve import resolve

    return [resolve(model).native or Path(model) for model in models]


def _measure_remote(
    device: str, models: list[str], method: str | None, blocks: list[int], seconds: float,
    warm_up_seconds: float, json_file: Path | None,
) -> None:
    from benchmarks.remote import Wanted, measure_remote, print_remote
    from benchmarks.tables import console_for_output

    console = console_for_output()
    wanted = Wanted(method, blocks, seconds, warm_up_seconds)
    with console.status("") as status:
        report = measure_remote(device, _native_files(models), wanted, status.update)
    print_remote(report, console)
    if json_file:
        write_json(report.to_json(), json_file)


def _run_suite(
    suite: str, quick: bool, only: str | None, json_file: Path | None, dtype: str | None
) -> None:
    from engine.errors import nearest

    if suite not in SUITES:
        raise ConfigError(f"unknown suite {suite!r}{nearest(suite, SUITES)}")
    from benchmarks.shape_numbers import parse_dtypes
    from benchmarks.tables import console_for_output

    console, cases = console_for_output(), only.split(",") if only else None
    dtypes = parse_dtypes(dtype or "")
    if suite == "shapes":
        from benchmarks.suite import run_shapes

        report = run_shapes(quick, cases, console, dtypes=dtypes).to_json()
    else:
        from benchmarks.ops import print_lines, run_ops, to_json

        with console.status("") as status:
            lines = run_ops(cases, dtypes, quick, status.update)
        print_lines(lines, console)
        report = to_json(lines)
    if json_file:
        write_json(report, json_file)


def write_json(data: dict[str, object], path: Path) -> None:
    """The figures, whole or not at all."""
    import json

    from engine.files import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", "utf-8")


def main(argv: list[str] | None = None) -> None:
    """Entry point: a user's mistake becomes one line on stderr and exit code 1."""
    with friendly():
        app(args=argv)


if __name__ == "__main__":
    main()
