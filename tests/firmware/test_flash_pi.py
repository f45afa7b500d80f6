"""`tudor flash pi` on images that are made here: what goes on, what is refused, what is kept."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from card_image import (
    BOOKWORM,
    BOOT_BYTES,
    BOOT_OFFSET,
    CMDLINE,
    MIB,
    make_image,
    make_package,
    stock_tree,
)
from flash_card import MODEL, RefusedError, content, flash, refused
from machines import machine as instrument

from engine.errors import TudorError
from firmware.flash import card, edits, pi
from firmware.flash.codecs import CODECS
from firmware.flash.deb import read_package
from firmware.flash.disk import ImageError
from firmware.tools import MissingToolError, tool

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJust4Test me@here\n"


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    for name in ("mcopy", "debugfs", "mkfs.vfat", "mkfs.ext4", "dpkg-deb", "ssh-keygen"):
        try:
            tool(name)
        except MissingToolError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stock")
    return make_image(folder, stock_tree(folder / "tree", kind=BOOKWORM), kind=BOOKWORM)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("package"))


def test_everything_lands_on_the_card(stock: Path, package: Path, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str],
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    key, out = tmp_path / "key.pub", tmp_path / "card.img"
    key.write_text(KEY)
    monkeypatch.setenv("TUDOR_WIFI_PASSWORD", " open\\sesame")
    before = stock.read_bytes()
    flash(stock, out, package, "--ssh-key", str(key), "--wifi", "Café", "--country", "de",
          "--hostname", "Rack-1", "--json")
    assert stock.read_bytes() == before
    report = json.loads(capsys.readouterr().out)
    assert report["models"] == ["techno-tiny.tudor"]
    assert report["hostname"] == "rack-1"
    boot, root = content(out)
    assert boot.read("/tudor/techno-tiny.tudor") == MODEL.read_bytes()
    assert boot.read("/tudor/module.conf") == b"# settings\nperiod = 128\n"
    config = (boot.read("/config.txt") or b"").decode()
    assert config.index("[cm4]") < config.index("[all]") < config.index("dtoverlay=audioinjector")
    cmdline = (boot.read("/cmdline.txt") or b"").decode()
    assert cmdline.split() == [*CMDLINE.split()[1:-1],  # without the console at the UART
                               "cpufreq.default_governor=performance",
                               "cfg80211.ieee80211_regdom=DE",
                               "init=/usr/lib/tudor/overlay-init"]
    files = root.read(["/usr/bin/tudor-module", "/root/.ssh/authorized_keys", "/etc/hostname",
                       "/etc/hosts", "/var/lib/dpkg/status", "/etc/ssh/ssh_host_ed25519_key",
                       "/etc/NetworkManager/system-connections/tudor-wifi.nmconnection"])
    assert files["/usr/bin/tudor-module"] == b"\x7fELF program"
    assert files["/root/.ssh/authorized_keys"] == KEY.encode()
    assert files["/etc/hostname"] == b"rack-1\n"
    assert b"127.0.1.1\track-1" in (files["/etc/hosts"] or b"")
    assert b"OPENSSH PRIVATE KEY" in (files["/etc/ssh/ssh_host_ed25519_key"] or b"")
    network = files["/etc/NetworkManager/system-connections/tudor-wifi.nmconnection"] or b""
    assert b"psk=\\sopen\\\\sesame\n" in network
    assert b"ssid=67;97;102;195;169;\n" in network
    entries = root.stat(["/usr/bin/tudor-module", "/root/.ssh/authorized_keys", card.WANTED,
                         "/etc/ssh/ssh_host_ed25519_key"])
    modes = [entry.mode if entry else None for entry in entries.values()]
    assert modes == [0o755, 0o600, 0o777, 0o600]
    assert entries[card.WANTED].target == card.UNIT  # type: ignore[union-attr]
    root.check()


def test_dpkg_knows_the_package(stock: Path, package: Path, tmp_path: Path) -> None:
    out, tree = tmp_path / "card.img", tmp_path / "root"
    flash(stock, out, package)
    _, root = content(out)
    paths = ["status", *(f"info/tudor-module.{end}" for end in ("list", "md5sums", "conffiles"))]
    for path, data in root.read(f"/var/lib/dpkg/{p}" for p in paths).items():
        to = tree / path.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(data or b"")
    query = ["dpkg-query", f"--admindir={tree}/var/lib/dpkg"]
    told = subprocess.run([*query, "-W", "-f", "${db:Status-Abbrev}${Version}", "tudor-module"],
                          capture_output=True, text=True, check=True)
    assert told.stdout == "ii 1.0"
    listed = subprocess.run([*query, "-L", "tudor-module"], capture_output=True, text=True,
                            check=True)
    assert "/usr/bin/tudor-module" in listed.stdout.splitlines()
    others = subprocess.run([*query, "-W"], capture_output=True, text=True, check=True)
    assert "libasound2" in others.stdout


def test_flashing_a_flashed_image_changes_nothing(stock: Path, package: Path, tmp_path: Path
                                                  ) -> None:
    key, once, twice = tmp_path / "key.pub", tmp_path / "once.img", tmp_path / "twice.img"
    key.write_text(KEY)
    flash(stock, once, package, "--ssh-key", str(key))
    flash(once, twice, package, "--ssh-key", str(key))
    assert once.stat().st_size > 50 * MIB
    assert once.read_bytes() == twice.read_bytes()


def test_a_second_flash_replaces_package_and_codec(stock: Path, package: Path, tmp_path: Path
                                                   ) -> None:
    once, twice = tmp_path / "once.img", tmp_path / "twice.img"
    flash(stock, once, package)
    newer = make_package(tmp_path, "1.1", b"newer")
    flash(once, twice, newer, "--codec", "pcm5102a", "--writable")
    boot, root = content(twice)
    files = root.read(["/usr/bin/tudor-module", "/var/lib/dpkg/status"])
    assert files["/usr/bin/tudor-module"] == b"newer"
    status = (files["/var/lib/dpkg/status"] or b"").decode()
    assert status.count("Package: tudor-module") == 1
    assert "Version: 1.1" in status
    config = (boot.read("/config.txt") or b"").decode()
    assert "wm8731" not in config
    assert config.count(edits.BEGIN) == 1
    assert "dtoverlay=hifiberry-dac\n" in config
    assert b"init=" not in (boot.read("/cmdline.txt") or b"init=")


def test_models_take_the_order_given_and_bring_their_mappings(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.tudor").write_bytes(MODEL.read_bytes())
    (tmp_path / "a.map").write_text("knob1 -> latent1\n")
    models, mappings = pi.read_models([tmp_path / "b.tudor", tmp_path / "a.tudor"])
    assert sorted(models) == ["1-b.tudor", "2-a.tudor"]
    assert list(mappings) == ["2-a.map"]
    models, _ = pi.read_models([tmp_path / "a.tudor", tmp_path / "b.tudor"])
    assert sorted(models) == ["a.tudor", "b.tudor"]


def damaged(stock: Path, to: Path, offset: int, data: bytes) -> Path:
    to.write_bytes(stock.read_bytes())
    with to.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    return to


ROOT_AT = BOOT_OFFSET + BOOT_BYTES


@pytest.mark.parametrize(("offset", "data", "word"), [
    (510, b"\0\0", "no partition table"),
    (450, b"\xee", "GPT"),
    (466, b"\x07", "wants a FAT partition 1"),
    (446 + 16 + 12, b"\xff\xff\xff\x00", "cut short"),
    (446 + 16 + 8, b"\x00\x20\x00\x00", "overlap"),
    (BOOT_OFFSET + 510, b"\0\0", "no FAT"),
    (ROOT_AT + 1024 + 56, b"\0\0", "no ext4"),
    (ROOT_AT + 1024 + 58, b"\0\0", "not unmounted cleanly"),
    (ROOT_AT + 1024 + 96, b"\xc6\x02", "not unmounted cleanly"),
    (ROOT_AT + 1024 + 4, b"\xff\xff\xff\x00", "larger than its partition"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_broken_and_foreign_images_are_refused(stock: Path, package: Path, tmp_path: Path,
                                               offset: int, data: bytes, word: str,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    bad = damaged(stock, tmp_path / "bad.img", offset, data)
    with pytest.raises(RefusedError):
        flash(bad, tmp_path / "card.img", package)
    assert refused(capsys, word).startswith(f"error: {bad}")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.img"]


def test_what_is_not_for_the_module_is_refused(stock: Path, package: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "card.img"
    small = make_image(tmp_path, stock_tree(tmp_path / "arm", "arm-linux-gnueabihf"))
    with pytest.raises(RefusedError):
        flash(small, out, package)
    refused(capsys, "32-bit", "64-bit")
    (tmp_path / "broken.tudor").write_bytes(MODEL.read_bytes()[:-1000])
    with pytest.raises(RefusedError):
        flash(stock, out, package, "--models", str(tmp_path / "broken.tudor"))
    refused(capsys, "broken.tudor")
    instrument("native")  # a compiler
    (tmp_path / "a.tudor").write_bytes(MODEL.read_bytes())
    (tmp_path / "a.map").write_text("knob1 wat\n")
    with pytest.raises(RefusedError):
        flash(stock, out, package, "--models", str(tmp_path / "a.tudor"))
    refused(capsys, f"error: {tmp_path}/a.map: line 1: there is no target 'wat'")
    with pytest.raises(RefusedError):
        flash(stock, out, package, "--hostname", "not a name")
    refused(capsys, "--hostname")
    with pytest.raises(RefusedError):
        flash(stock, stock, package)
    refused(capsys, "stays as it is")
    with pytest.raises(RefusedError):
        flash(stock, out, package, "--codec", "wm8371")
    refused(capsys, "did you mean 'wm8731'")
    with pytest.raises(RefusedError):
        flash(stock, out, MODEL)
    refused(capsys, "no Debian package")
    assert not out.exists()


def test_a_full_boot_partition_is_seen_before_anything_is_written(stock: Path, package: Path,
                                                                  tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    image.write_bytes(stock.read_bytes())
    before = image.read_bytes()
    load = card.Load(read_package(package), CODECS["wm8731"], {"a.tudor": bytes(BOOT_BYTES)})
    with pytest.raises(TudorError, match="boot partition has"):
        card.put(image, load)
    assert image.read_bytes() == before


def test_a_full_root_partition_is_told(package: Path, tmp_path: Path) -> None:
    tree = stock_tree(tmp_path / "tree")
    (tree / "filler").write_bytes(os.urandom(int(17.5 * MIB)))
    image = make_image(tmp_path, tree)
    big = make_package(tmp_path, "2.0", os.urandom(4 * MIB))
    load = card.Load(read_package(big), CODECS["wm8731"], {"a.tudor": MODEL.read_bytes()})
    with pytest.raises(ImageError, match="root partition"):
        card.put(image, load)


def test_what_reads_back_otherwise_is_found(stock: Path, package: Path, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    image.write_bytes(stock.read_bytes())
    load = card.Load(read_package(package), CODECS["wm8731"], {"a.tudor": MODEL.read_bytes()})
    there = card.put(image, load)
    data = image.read_bytes()
    boot, root = content(image)
    for part in (MODEL.read_bytes()[4096:8192], b"\x7fELF program"):
        at = data.index(part)
        with image.open("r+b") as file:
            file.seek(at)
            file.write(b"\xff" + part[1:])
        with pytest.raises(ImageError, match="reads back otherwise"):
            card.verify(boot, root, there, image)
        with image.open("r+b") as file:
            file.seek(at)
            file.write(part)
    card.verify(boot, root, there, image)


def test_an_image_that_is_too_old_for_the_package_is_refused(tmp_path: Path) -> None:
    tree = stock_tree(tmp_path / "tree")
    with (tree / "var/lib/dpkg/status").open("a") as file:
        file.write("\nPackage: libc6\nStatus: install ok installed\nVersion: 2.31-13\n")
    image = make_image(tmp_path, tree)
    models = {"a.tudor": MODEL.read_bytes()}
    newer = make_package(tmp_path, "3.0", needs="libc6 (>= 2.34)")
    with pytest.raises(ImageError, match=r"2\.31, the package needs 2\.34"):
        card.put(image, card.Load(read_package(newer), CODECS["wm8731"], models))
    older = make_package(tmp_path, "4.0", needs="libc6 (>= 2.4)")
    card.put(image, card.Load(read_package(older), CODECS["wm8731"], models))
    _, root = content(image)
    folder = root.stat(["/var/lib/tudor"])["/var/lib/tudor"]
    assert folder is not None
    assert (folder.kind, folder.mode) == ("directory", 0o755)
