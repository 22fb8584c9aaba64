#!/usr/bin/env bash
# The source distribution and a wheel, as they would be published: each is installed where nothing
# else is, must bring the compiled backend, and scores. The wheel is repaired by auditwheel and
# installed where there is no compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

score='
import numpy as np, transfer_kernels as tk
rng = np.random.default_rng(0)
y = np.arange(400) % 4
X = rng.normal(size=(400, 32)) + np.eye(4, 32)[y]
for metric in ("sfda", "logme", "parc"):
    ours, plain = (tk.score(X, y, [metric], backend=b)[metric] for b in ("native", "reference"))
    assert abs(ours - plain) <= 1e-9 * abs(plain), (metric, ours, plain)
    print(f"  {metric} {ours:.6f}")
'

git clone -q "$root" "$work/source"
echo "source distribution"
(cd "$work/source" && python -m build -q --sdist --outdir "$work/dist" .)
tar -tzf "$work"/dist/*.tar.gz | cut -d/ -f2- | sort >"$work/held"
(cd "$work/source" && git ls-files setup.py csrc kernels transfer_kernels build_support tests docs) |
    sort >"$work/wanted"
if [ -n "$(comm -13 "$work/held" "$work/wanted")" ]; then
    echo "it lacks:" >&2
    comm -13 "$work/held" "$work/wanted" >&2
    exit 1
fi
python -m venv "$work/from-source"
TRANSFER_KERNELS_REQUIRE_NATIVE=1 "$work/from-source/bin/pip" install -q "$work"/dist/*.tar.gz
(cd "$work" && from-source/bin/python -c "$score")

echo "wheel"
(cd "$work" && TRANSFER_KERNELS_REQUIRE_NATIVE=1 TRANSFER_KERNELS_NO_CUDA=1 \
    pip wheel -q --no-deps --wheel-dir "$work/wheels" "$work"/dist/*.tar.gz)
auditwheel repair -w "$work/repaired" "$work"/wheels/*.whl
ls -l "$work"/repaired/*.whl | awk '{print "  " $5 " bytes"}'
unzip -l "$work"/repaired/*.whl >"$work/wheel-holds"
unzip -Z1 "$work"/repaired/*.whl | sort >"$work/names"
# The kernels once, though the checkout shows them twice.
if uniq -d "$work/names" | grep . >&2 || ! grep -qx transfer_kernels/py.typed "$work/names" ||
    [ "$(grep -c 'kernels/fisher_scatter/reference.py$' "$work/names")" != 1 ]; then
    echo "the wheel holds something twice, or lacks py.typed or the kernels" >&2
    exit 1
fi
if grep _cuda_on_host "$work/wheel-holds" >&2; then
    echo "the wheel holds what serves tests only" >&2
    exit 1
fi
python -m venv "$work/from-wheel"
"$work/from-wheel/bin/pip" install -q "$work"/repaired/*.whl
(cd "$work" && PATH="$work/from-wheel/bin" from-wheel/bin/python -c "
import shutil
assert not any(map(shutil.which, ['cc', 'c++', 'gcc', 'g++', 'clang'])), 'a compiler is in reach'
$score")
