"""What pyproject.toml cannot say: the C runtime is built at install by the system's compiler, for
the stable ABI, so that one wheel serves every Python from 3.11 on."""

import sysconfig

from setuptools import setup

# A Python without the global lock has no stable ABI yet, and cffi builds for that very version.
stable = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["engine/players/native_build.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if stable else {},
)
