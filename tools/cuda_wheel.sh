#!/usr/bin/env bash
# A wheel with the CUDA kernels for compute capabilities 8.0, 9.0 and 10.0, beside the CPU's:
#
#     tools/cuda_wheel.sh FOLDER [PYTHON]
#
# Needs nvcc, auditwheel and a network for pip; no GPU. A build tag, such as 1cu130, tells the wheel
# from the one without CUDA. It is installed where nothing else is, must load without a driver, and
# scores on the CPU.
set -euo pipefail
out=$(realpath -m "${1:?"usage: tools/cuda_wheel.sh FOLDER [PYTHON]"}")
python=${2:-python3}
cd "$(dirname "$0")/.."
archs="80;90;100"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nvcc=${CUDA_HOME:+$CUDA_HOME/bin/}nvcc
release=$("$nvcc" --version | sed -n 's/.*release \([0-9]*\)\.\([0-9]*\).*/\1\2/p')
export TRANSFER_KERNELS_REQUIRE_NATIVE=1 TRANSFER_KERNELS_REQUIRE_CUDA=1
export TRANSFER_KERNELS_CUDA_ARCHS=$archs
unset TRANSFER_KERNELS_NO_CUDA TRANSFER_KERNELS_DEV TRANSFER_KERNELS_ONLY
"$python" -m venv "$work/builder"
"$work/builder/bin/pip" install -q wheel
git clone -q . "$work/source"
"$work/builder/bin/pip" wheel -q --no-deps --wheel-dir "$work/built" "$work/source"
auditwheel repair -w "$work/repaired" "$work"/built/*.whl
"$work/builder/bin/python" -m wheel tags --build "1cu$release" --remove "$work"/repaired/*.whl

wheel=$(echo "$work"/repaired/*.whl)
"$work/builder/bin/python" - "$wheel" <<'PYTHON'
import sys
import zipfile

names = [name for name in zipfile.ZipFile(sys.argv[1]).namelist() if name.endswith(".so")]
found = sorted(name.split("/")[-1].split(".")[0] for name in names if ".libs/" not in name)
sys.exit(None if found == ["_cuda", "_native"] else f"the wheel holds {found}")
PYTHON
"$python" -m venv "$work/user"
"$work/user/bin/pip" install -q "$wheel"
cd "$work"
"$work/user/bin/python" - <<'PYTHON'
import numpy as np
import transfer_kernels as tk
from transfer_kernels import _cuda

X, y = np.random.default_rng(0).normal(size=(60, 5)), np.arange(60) % 3
assert tk.logme(X, y, backend="native") == tk.logme(X, y)
print(f"  loads; on this machine: {_cuda.device_problem() or 'a GPU that it runs on'}")
PYTHON
mkdir -p "$out"
cp "$wheel" "$out"
ls -l "$out/$(basename "$wheel")" | awk '{print "  " $5 " bytes, " $9}'
