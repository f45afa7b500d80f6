#!/bin/sh
# Set up everything the project needs to run, test and build, on Debian or Ubuntu, into $VENV.
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

say() { printf '%s\n' "setup: $*"; }

# --- system packages --------------------------------------------------------------------------
# A C compiler and Python's venv for everyone; cross compilers and emulators for the tests.
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need cc 'gcc libc6-dev'
need clang clang
# libtudor as others build and find it.
need g++ g++
need cmake cmake
need pkg-config pkg-config
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
need qemu-aarch64 qemu-user
need arm-none-eabi-gcc gcc-arm-none-eabi
need qemu-system-arm qemu-system-arm
[ -n "$(find /usr/lib/arm-none-eabi -name libc.a 2>/dev/null | head -n 1)" ] || missing="$missing libnewlib-arm-none-eabi"
[ -d /usr/aarch64-linux-gnu/include ] || missing="$missing libc6-dev-arm64-cross"
# A server for the tests of ssh; nobody's machine shall begin to serve because of them.
if [ -n "${CI:-}" ] || [ ! -d /run/systemd/system ]; then
  [ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
fi
# The scripts of the listening test are checked by it.
need node nodejs
# The module: cards are filled with mtools and debugfs, its program plays through ALSA.
need mcopy mtools
need mkfs.vfat dosfstools
need mmdebstrap mmdebstrap
[ -x /usr/sbin/debugfs ] || need debugfs e2fsprogs
need dpkg-deb dpkg
[ -e /usr/include/alsa/asoundlib.h ] || missing="$missing libasound2-dev"
[ -d /usr/lib/gcc/arm-none-eabi ] && [ -n "$(find /usr/include/newlib /usr/lib/arm-none-eabi -name iostream 2>/dev/null | head -n 1)" ] \
  || missing="$missing libstdc++-arm-none-eabi-newlib"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
"$PYTHON" -c 'import sysconfig, os, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' \
  || missing="$missing python3-dev"


install() {  # install the named Debian packages, or say plainly what is missing
  sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo -n"
  if command -v apt-get >/dev/null 2>&1 && $sudo true 2>/dev/null; then
    say "installing system packages: $*"
    [ -n "${updated:-}" ] || $sudo apt-get update -qq
    updated=yes
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "$@" >/dev/null \
      || say "apt could not install all of: $*"
  else
    say "may not install system packages here; please install: $*"
  fi
}

# shellcheck disable=SC2086
[ -z "$missing" ] || install $missing
# The fuzzer and the sanitizers of clang come in a package that carries its version.
if command -v clang >/dev/null 2>&1; then
  [ -e "$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" ] \
    || [ -e "$(clang -print-runtime-dir 2>/dev/null)/libclang_rt.fuzzer.a" ] \
    || install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
fi

# ALSA for arm64, unpacked in a cache: the tests play the module's program with it under emulation.
arm64="${XDG_CACHE_HOME:-$HOME/.cache}/tudor/arm64"
if [ ! -e "$arm64/usr/lib/aarch64-linux-gnu/libasound.so.2" ] && command -v apt-get >/dev/null 2>&1; then
  lists=$(mktemp -d)
  mkdir -p "$lists/partial" "$arm64"
  (
    cd "$lists"
    apt="apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists=$lists"
    apt="$apt -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User= -o Dir::State::status=/dev/null"
    $apt update && { $apt download libasound2 2>/dev/null || $apt download libasound2t64; } \
      && dpkg-deb -x libasound2*.deb "$arm64"
  ) >/dev/null 2>&1 || say "no libasound2 for arm64 here: that test of tudor-module will be skipped"
  rm -rf "$lists"
fi

# --- Python -----------------------------------------------------------------------------------
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { say "Python 3.11 or newer is needed; set PYTHON=python3.x"; exit 1; }
PIP="$VENV/bin/python -m pip --disable-pip-version-check"
say "installing Python packages into $VENV (pinned by constraints.txt)"
# torch first and alone: with it in place, no other package can pull a newer CUDA build.
$PIP install -q -c constraints.txt torch==2.13.0
$PIP install -q -c constraints.txt setuptools wheel cffi
$PIP install -q -c constraints.txt --no-build-isolation -e '.[dev]'
# torchaudio's wheel for Linux holds libraries for CUDA that a CPU build of torch cannot load. What
# is used of it here (spectra, Griffin-Lim, mu-law) is Python alone and works without them.
if ! "$VENV/bin/python" -c 'import torchaudio' 2>/dev/null; then
  folder=$("$VENV/bin/python" -c 'from importlib.util import find_spec
print(find_spec("torchaudio").submodule_search_locations[0])')
  rm -f "$folder"/lib/*.so
  "$VENV/bin/python" -c 'import torchaudio' \
    || { say "torchaudio cannot be imported, with its CUDA libraries or without"; exit 1; }
  say "torchaudio's CUDA libraries are taken out: the torch here is a CPU build"
fi
# nn_tilde pins an old torch; only its description of the nn~ contract is wanted, by the tests.
$PIP install -q --no-deps nn_tilde==1.6.0
say "done"
