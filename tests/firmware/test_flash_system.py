"""`tudor flash pi` on images with the traits of Raspberry Pi OS as it is: what it does of its own
is stopped, its names for codecs are found, and what cannot work is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from card_image import BOOKWORM, OVERLAYS, TRIXIE, make_image, make_package, stock_tree
from flash_card import MODEL, RefusedError, content, flash, refused

from firmware.flash import card, codecs, flash_pi
from firmware.flash.codecs import CODECS
from firmware.flash.deb import read_package
from firmware.flash.disk import ImageError
from firmware.pi import build

NETWORK = "/var/lib/NetworkManager/NetworkManager.state"
CLOUD = "/etc/cloud/cloud-init.disabled"


@pytest.fixture(scope="module", params=[BOOKWORM, TRIXIE])
def stock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return make_image(folder, stock_tree(folder / "tree", kind=request.param), kind=request.param)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(autouse=True)
def _no_playing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether models play is another test's question, and takes a compiler long."""
    monkeypatch.setattr(flash_pi, "check_playable", lambda path, board: None)


def is_trixie(stock: Path) -> bool:
    return stock.parent.name.startswith(TRIXIE)


def test_what_a_stock_image_does_of_its_own_is_stopped(stock: Path, package: Path, tmp_path: Path
                                                       ) -> None:
    out, again = tmp_path / "card.img", tmp_path / "again.img"
    flash(stock, out, package)
    boot, root = content(out)
    paths = ["/etc/machine-id", "/etc/rpi/swap.conf.d/tudor.conf", "/etc/default/cpu_governor",
             "/etc/tudor/codec.conf", NETWORK, CLOUD]
    files = root.read(paths)
    machine_id = files["/etc/machine-id"] or b""
    assert re.fullmatch(rb"[0-9a-f]{32}\n", machine_id)
    assert files["/etc/rpi/swap.conf.d/tudor.conf"] == b"[Main]\nMechanism=none\n"
    assert files["/etc/default/cpu_governor"] == b"CPU_DEFAULT_GOVERNOR=performance\n"
    assert (files["/etc/tudor/codec.conf"] or b"").endswith(
        b"\ncodec = audioinjectorpi\nmidi_port = /dev/ttyAMA0\n")
    assert b"WirelessEnabled=false" in (files[NETWORK] or b"")  # nobody asked for a network
    assert files[CLOUD] == (b"" if is_trixie(stock) else None)
    swap = root.stat(["/etc/systemd/system/dphys-swapfile.service", "/etc/machine-id"])
    assert swap["/etc/systemd/system/dphys-swapfile.service"].target == "/dev/null"  # type: ignore[union-attr]
    assert swap["/etc/machine-id"].mode == 0o444  # type: ignore[union-attr]
    cmdline = (boot.read("/cmdline.txt") or b"").decode().split()
    assert cmdline.count("cpufreq.default_governor=performance") == 1
    flash(out, again, package)
    assert again.read_bytes() == out.read_bytes(), "a second flash keeps its identity"
    other = tmp_path / "other.img"
    flash(stock, other, package)
    assert content(other)[1].read(["/etc/machine-id"])["/etc/machine-id"] != machine_id


UNITS = "/etc/systemd/system/"


def masked(root, *units: str) -> list[bool]:
    there = root.stat([UNITS + unit for unit in units])
    return [entry is not None and entry.target == "/dev/null" for entry in there.values()]


def test_what_a_module_has_no_use_for_does_not_start(stock: Path, package: Path, tmp_path: Path
                                                     ) -> None:
    """A network is one of them unless there is a key to come in by."""
    idle = ("bluetooth.service", "apt-daily.timer", "NetworkManager-wait-online.service",
            "cron.service")
    network = ("NetworkManager.service", "ssh.service", "avahi-daemon.service",
               "systemd-timesyncd.service")
    key = tmp_path / "key.pub"
    key.write_text(f"ssh-ed25519 {'A' * 68} me\n")
    for name, words, reached in (("shut", (), False), ("open", ("--ssh-key", str(key)), True)):
        out = tmp_path / f"{name}.img"
        flash(stock, out, package, *words)
        _, root = content(out)
        assert all(masked(root, *idle))
        assert masked(root, *network) == [not reached] * len(network)
        assert masked(root, "tudor-module.service", "systemd-udevd.service") == [False, False]
    flash(tmp_path / "shut.img", tmp_path / "opened.img", package, "--ssh-key", str(key))
    boot, root = content(tmp_path / "opened.img")
    assert masked(root, *network) == [False] * len(network)
    # The firmware goes by the last line, and by those for all models of Pi.
    lines = (boot.read("/config.txt") or b"").decode().splitlines()
    assert lines.count("boot_delay=0") == 1, "flashed twice"
    assert lines.index("[all]") < lines.index("boot_delay=0")
    assert lines.index("camera_auto_detect=0") > lines.index("[all]")


def test_wifi_switches_the_radio_on_where_networkmanager_looks(
        stock: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUDOR_WIFI_PASSWORD", "open sesame")
    flash(stock, tmp_path / "card.img", package, "--wifi", "Home", "--country", "de")
    _, root = content(tmp_path / "card.img")
    assert root.read([NETWORK])[NETWORK] == b"[main]\nWirelessEnabled=true\n"
    entry = root.stat([NETWORK])[NETWORK]
    assert entry is not None
    assert (entry.mode, entry.uid) == (0o600, 0)


@pytest.mark.parametrize(("codec", "old", "new"), [
    ("proto", "rpi-proto", "proto-codec"),
    ("rpi-proto", "rpi-proto", "proto-codec"),  # the old name, as an alias
    ("dac", "hifiberry-dacplus", "hifiberry-dacplus-std"),
    ("dac-pro", "hifiberry-dacplus", "hifiberry-dacplus-pro"),
    ("hifiberry-dacplus", "hifiberry-dacplus", "hifiberry-dacplus-std"),
    ("codec-zero", "iqaudio-codec", "iqaudio-codec"),
])
def test_an_overlay_is_named_as_the_image_names_it(
        stock: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        codec: str, old: str, new: str) -> None:
    flash(stock, tmp_path / "card.img", package, "--codec", codec, "--json")
    report = json.loads(capsys.readouterr().out)
    wanted = new if is_trixie(stock) else old
    config = (content(tmp_path / "card.img")[0].read("/config.txt") or b"").decode()
    assert f"dtoverlay={wanted}\n" in config
    assert report["overlay"] == wanted
    assert (report["notes"] == []) == (codec in CODECS)
    if report["notes"]:
        assert report["notes"][0].startswith(f"--codec {codec}: taken for {report['codec']}")


def test_midi_has_the_uart_if_the_image_has_its_overlays(
        stock: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    flash(stock, tmp_path / "card.img", package, "--json")
    assert json.loads(capsys.readouterr().out)["notes"] == []
    boot, _ = content(tmp_path / "card.img")
    config = (boot.read("/config.txt") or b"").decode()
    assert ("\nenable_uart=1\ndtparam=uart0=on\ndtoverlay=disable-bt\ndtoverlay=midi-uart0\n"
            in config[config.index("[all]"):])
    cmdline = (boot.read("/cmdline.txt") or b"").decode().split()
    assert [word for word in cmdline if word.startswith("console=")] == ["console=tty1"]
    kind = TRIXIE if is_trixie(stock) else BOOKWORM
    monkeypatch.setitem(OVERLAYS, kind, tuple(n for n in OVERLAYS[kind] if n != "midi-uart0"))
    image = make_image(tmp_path, stock_tree(tmp_path / "tree", kind=kind), kind=kind)
    flash(image, tmp_path / "less.img", package, "--json")
    assert "no overlay disable-bt and midi-uart0: MIDI comes by USB alone" in json.loads(
        capsys.readouterr().out)["notes"][0]
    boot, root = content(tmp_path / "less.img")
    assert b"midi" not in (boot.read("/config.txt") or b"")
    assert b"console=serial0,115200" in (boot.read("/cmdline.txt") or b"")
    conf = "/etc/tudor/codec.conf"
    assert b"midi_port" not in (root.read([conf])[conf] or b"")


def test_an_overlay_that_is_missing_is_refused_before_anything_is_written(
        package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OVERLAYS, TRIXIE, ("proto-codec", "hifiberry-dac", "spi0-1cs"))
    image = make_image(tmp_path, stock_tree(tmp_path / "tree", kind=TRIXIE), kind=TRIXIE)
    with pytest.raises(RefusedError):
        flash(image, tmp_path / "card.img", package)
    said = refused(capsys, "has no overlay audioinjector-wm8731-audio for --codec wm8731")
    assert "codecs that it has one for: pcm5102a, proto;" in said
    assert said.startswith(f"error: {image}: ")
    assert not (tmp_path / "card.img").exists()
    before = image.read_bytes()
    load = card.Load(read_package(package), CODECS["dac"], {"a.tudor": MODEL.read_bytes()})
    with pytest.raises(ImageError, match="no overlay hifiberry-dacplus-std or hifiberry-dacplus "):
        card.put(image, load)
    assert image.read_bytes() == before
    flash(image, tmp_path / "card.img", package, "--codec", "usb")  # needs none
    config = content(tmp_path / "card.img")[1].read(["/etc/tudor/codec.conf"])
    assert b"\ncodec = " not in (config["/etc/tudor/codec.conf"] or b"")


def test_an_image_without_overlays_is_told_as_such() -> None:
    with pytest.raises(ImageError, match=r"x\.img: the boot partition has no overlays"):
        codecs.overlay_on(CODECS["wm8731"], ["README"], "x.img")


def test_the_ids_of_cards_are_those_that_are_switched_on() -> None:
    """firmware/pi/start wakes some by the same ids."""
    start = (build.HERE / "start").read_text()
    for name in ("wm8731", "proto", "codec-zero"):
        for card_id in CODECS[name].cards:
            assert re.search(rf"\b{card_id}\b", start), card_id
            assert len(card_id) <= 15
