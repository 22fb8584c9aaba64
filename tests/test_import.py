"""Importing the package is quick, quiet, and brings in nothing heavy."""

import os
import sys
from pathlib import Path

from conftest import in_subprocess


def test_import_is_lean():
    result = in_subprocess(
        "import sys, transfer_kernels\n"
        "heavy = {'torch', 'numba', 'triton', 'scipy', 'pandas', 'matplotlib', 'sklearn', 'tqdm'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert result.stdout == "[]\n", result.stdout
    assert result.stderr == ""


def test_import_is_fast():
    code = (
        "import time, numpy; t = time.perf_counter(); import transfer_kernels; "
        "print(time.perf_counter() - t)"
    )
    assert min(float(in_subprocess(code).stdout) for _ in range(5)) < 0.3


def test_every_public_name_exists():
    import transfer_kernels as tk

    assert sorted(tk.__all__) == sorted(set(tk.__all__))
    for name in tk.__all__:
        assert getattr(tk, name).__doc__, name


def test_the_checkout_holds_the_whole_package():
    """Without an installation: the kernels are in it by a link, which installations do not need."""
    root = Path(__file__).resolve().parents[1]
    assert os.readlink(root / "transfer_kernels" / "kernels") == os.path.join("..", "kernels")
    result = in_subprocess(
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f).lower()]\n"
        "import numpy as np, transfer_kernels as tk\n"
        "from transfer_kernels import kernels\n"
        "print(kernels.__file__, tk.logme(np.eye(9)[:, :4], np.arange(9) % 3, backend='reference'))"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[0] == str(root / "transfer_kernels" / "kernels" / "__init__.py")


def test_works_without_the_extras():
    code = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in 'torch triton matplotlib pandas sklearn'.split():\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "import numpy as np, transfer_kernels as tk\n"
        "X, y = np.random.default_rng(0).normal(size=(90, 5)), np.arange(90) % 3\n"
        "print(len(tk.score(X, y)), len(str(tk.rank({'a': X, 'b': X + 1}, y))) > 20)"
    )
    result = in_subprocess(code)
    assert result.stdout == "3 True\n", result.stderr


def test_version_matches_metadata():
    from importlib.metadata import version

    import transfer_kernels as tk

    assert version("transfer-kernels") == tk.__version__
    assert sys.version_info >= (3, 10)
