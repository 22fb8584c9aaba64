#!/usr/bin/env bash
# On a machine with a CUDA GPU: build, test, measure, stage by stage; bench/gpu_stages.py tells which.
#
#     bench/on_gpu.sh build --out FOLDER      then truth, metrics, bench, rivals, triton, sanitize
#
# Each stage ends within ten minutes and can be started again. Needs nvcc, and a Python with PyTorch
# for CUDA, Triton, pip, setuptools, pybind11 and the test extra's packages; no network.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python3}" -m bench.gpu_stages "$@"
