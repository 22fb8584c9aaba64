#!/usr/bin/env bash
# On a machine with a CUDA GPU: build for it, run the whole test suite there, look for races and
# invalid accesses, then measure. Writes the logs and gpu.json into the folder given ($1).
#
# Needs nvcc, and a Python with PyTorch for CUDA, Triton and the test extra's packages.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?"usage: bench/on_gpu.sh FOLDER"}
mkdir -p "$out"
failed=()

step() {
    local name=$1
    shift
    printf '\n=== %s (%d s)\n' "$name" "$SECONDS"
    "$@" 2>&1 | tee "$out/$name.log" | tail -n 15
    [ "${PIPESTATUS[0]}" = 0 ] || failed+=("$name")
}

capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
export TRANSFER_KERNELS_CUDA_ARCHS=$capability TRANSFER_KERNELS_REQUIRE_CUDA=1
step build python3 setup.py build_ext --inplace
gpu_tests=(tests/test_triton.py tests/test_cuda_*.py tests/test_torch_gpu.py tests/test_gpu_metrics.py)
step tests_gpu python3 -m pytest -q "${gpu_tests[@]}"
step measure python3 -m bench.gpu --out "$out/gpu.json"
step tests_all python3 -m pytest -q -x
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        step "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
            python3 -m pytest -q -x tests/test_cuda_*.py
    done
else
    failed+=("compute-sanitizer is not here")
fi
printf '\n%s\n' "${failed[*]:-all passed}"
[ ${#failed[@]} = 0 ]
