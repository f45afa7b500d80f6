"""`tudor flash`. Heavy imports wait inside, so that --help is quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="Put the instrument on a Raspberry Pi's card, a running module, or a Daisy.\n\n"
    "Example: tudor flash daisy --model techno-daisy --dry-run",
    no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON when done.")]
Models = Annotated[list[Path], typer.Option(
    "--models", help=".tudor file, run directory or preset, one for each slot; repeat the option. "
    "A NAME.map beside it goes along.")]
Force = Annotated[bool, typer.Option(
    "--force", help="Also take what does not fit the board by `tudor fit`.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")]


@app.command("pi")
def flash_pi(
    more: Annotated[Optional[list[Path]], typer.Argument(  # noqa: UP045
        metavar="[MODELS]...", help="More models, as in --models A.tudor B.tudor.")] = None,
    image: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        help="Raspberry Pi OS Lite (64-bit), .img or .img.xz.")] = None,
    out: Annotated[Optional[Path], typer.Option(help="Card image to write.")] = None,  # noqa: UP045
    device: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        help="Card to write, such as /dev/sdb.")] = None,
    ssh: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="Update a running module instead, such as root@tudor.local.")] = None,
    models: Models = [],  # noqa: B006
    codec: Annotated[Optional[str], typer.Option(help="Sound card; `list` lists them.")] = None,  # noqa: UP045
    hostname: Annotated[str, typer.Option(help="Name on the network.")] = "tudor",
    ssh_key: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        help="Public key that may log in as root; switches ssh on.")] = None,
    wifi: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="Network's name; its password is asked for, or in TUDOR_WIFI_PASSWORD.")] = None,
    country: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="Two letters: whose radio rules hold for --wifi.")] = None,
    package: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        help="tudor-module_*_arm64.deb; default: it is built from this checkout.")] = None,
    writable: Annotated[bool, typer.Option(
        "--writable", help="Leave the root file system writable, as the stock image has it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing a card.")] = False,
    fixed_disk: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        "--fixed-disk", metavar="DEVICE", help="With --yes: the --device again, where it is a disk "
        "that cannot be taken out.")] = None,
    target: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="Which Pi it is for, as `tudor fit` names them; default: any.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a card for a Raspberry Pi from a stock image, or update a running module.

    Nothing is mounted and nobody need be root (but for writing to a device). What is written is
    read back.

    Example: tudor flash pi --image raspios-lite-arm64.img.xz --out card.img --models techno.tudor
    --codec wm8731 --hostname tudor --ssh-key ~/.ssh/id_ed25519.pub
    """
    from firmware.flash import flash_pi as job

    request = job.Request(image, out, device, ssh, [*models, *(more or [])], codec, hostname,
                          ssh_key, wifi, country, package, writable, yes, fixed_disk, target, force)
    report = job.flash(request)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        for line in job.lines(report):
            typer.echo(line)


@app.command("daisy")
def flash_daisy(
    application: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        "--app", help="The app, built by LIBDAISY_DIR=... make -C firmware/daisy.")] = None,
    model: Annotated[list[str], typer.Option(
        help=".tudor file, run directory or preset, one for each slot; repeat the option. Of a "
        "preset the file in q16x8. A NAME.map beside it goes along.")
    ] = [],  # noqa: B006
    calibration: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        help="How this board's inputs read (calibration.txt), stored beside the models.")] = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write the app, models, or both into a Daisy that runs the Daisy bootloader.

    Example: tudor flash daisy --app firmware/daisy/build/patch_sm-BOOT_QSPI/tudor.bin
    --model techno-daisy
    """
    from firmware.fits import check_fit, model_file
    from firmware.flash import daisy
    from firmware.simulate import mapping_beside

    paths = [model_file(each, "daisy") for each in model]
    verdicts = [check_fit(path, "daisy", None, force, mapping=mapping_beside(path))
                for path in paths]
    writes = daisy.plan(application, paths, calibration)
    shown = [{"what": w.what, "address": f"0x{w.address:08x}", "bytes": len(w.data),
              "command": w.command()} for w in writes]
    if not as_json:
        for line, _ in verdicts:
            typer.echo(line)
        for item, w in zip(shown, writes, strict=True):
            typer.echo(f"{item['what']}: {len(w.data)} bytes to {item['address']}")
    if not dry_run:
        daisy.check_device()
        daisy.write(writes)
    elif not as_json:
        for w in writes:
            typer.echo(" ".join(w.command()))
    if as_json:
        typer.echo(json.dumps({"written": not dry_run, "writes": shown,
                               "fit": [data for _, data in verdicts]}, indent=2))
    elif not dry_run:
        typer.echo("done" if writes[-1].leave else "done; press RESET to play it")
