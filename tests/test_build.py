"""What setup.py decides: for which GPUs, with which nvcc."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))  # `build_support` is not installed

from build_support import cuda  # noqa: E402


@pytest.mark.parametrize(
    "listed,archs",
    [("80;90", ["80", "90"]), ("8.0 9.0+PTX", ["80", "90"]), ("90a, 90a", ["90a"])],
)
def test_architectures_are_listed_as_pytorch_lists_them(listed, archs):
    assert cuda.parse_architectures(listed) == archs


@pytest.mark.parametrize("listed", ["", " ; ", "hopper", "9"])
def test_what_is_no_architecture(listed):
    with pytest.raises(ValueError, match="compute capability"):
        cuda.parse_architectures(listed)


def test_architectures_are_those_asked_for_else_the_machines():
    asked = {"TRANSFER_KERNELS_CUDA_ARCHS": "100", "TORCH_CUDA_ARCH_LIST": "8.0"}
    assert cuda.wanted_architectures(asked, lambda: ["90"]) == ["100"]
    del asked["TRANSFER_KERNELS_CUDA_ARCHS"]
    assert cuda.wanted_architectures(asked, lambda: ["90"]) == ["80"]
    assert cuda.wanted_architectures({}, lambda: ["75", "90"]) == ["90"]
    required = {"TRANSFER_KERNELS_REQUIRE_CUDA": "1"}
    assert cuda.wanted_architectures(required, list) == ["80", "90", "100"]


@pytest.mark.parametrize("found,reason", [([], "no GPU.*CUDA_ARCHS=80;90"), (["75"], "is 75")])
def test_without_a_gpu_that_serves_nothing_is_built(found, reason):
    with pytest.raises(cuda.Skipped, match=reason):
        cuda.wanted_architectures({}, lambda: found)


def test_nvcc_on_path_serves_where_cuda_home_is_wrong(tmp_path):
    nvcc = tmp_path / "right" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.touch(0o755)
    path = {"PATH": str(nvcc.parent)}
    assert cuda.find_nvcc(path) == (str(nvcc), None)
    found, remark = cuda.find_nvcc({**path, "CUDA_HOME": str(tmp_path / "wrong")})
    assert found == str(nvcc)
    assert "wrong holds no bin/nvcc" in remark and str(nvcc) in remark
    assert cuda.find_nvcc({"PATH": str(tmp_path)}) == (None, None)
