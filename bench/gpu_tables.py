"""The table of the GPU backends: what was measured, or that nothing has run on one yet."""

from __future__ import annotations

from pathlib import Path

from .markdown import percent, seconds, size_text, table

#: How an op's version for a backend is made, in the order in which the backends look for one.
VERSIONS = {
    "cuda": {"cuda_gpu": "CUDA C++", "torch_gpu": "PyTorch"},
    "torch": {"torch_gpu": "PyTorch"},
    "triton": {"triton_gpu": "Triton", "torch_gpu": "PyTorch"},
}


def section(reports: list[dict], kernels: Path) -> str:
    """The tables of all devices; where there are none, which versions wait for one."""
    if reports:
        return "\n\n".join(device_table(report) for report in reports)
    return unproven(kernels)


def unproven(kernels: Path) -> str:
    """What versions there are, none of which has run on a GPU."""
    rows = []
    for folder in sorted(path.parent for path in kernels.glob("*/reference.py")):
        made = [version_of(folder, backend) for backend in VERSIONS]
        rows.append([f"`{folder.name}`", *made, "unproven"])
    return (
        "**None of this has run on a GPU yet: none was at hand.** What holds without one: every "
        "kernel agrees with the definition on the CPU (Triton in its interpreter; the CUDA "
        "sources under a layer that runs a block's threads as fibers, in several orders, with "
        "poisoned shared memory), and compiles for sm_80, sm_90 and sm_100 without a spilled "
        "register (Triton's by release 3.9; by 3.6 for the first two, where three kernels spill "
        "8 to 32 bytes). No speed is claimed: "
        "`bench/on_gpu.sh` tests and measures all of it, stage by stage. “PyTorch” means its "
        "operators, cuBLAS and cuSOLVER among them; it also serves PARC of few pairs and of label "
        "vectors in every backend, and the eigenvectors of LogME in `triton`.\n\n"
        + table(["op", *(f"`{backend}`" for backend in VERSIONS), "on a GPU"], rows)
    )


def version_of(folder: Path, backend: str) -> str:
    """How the op of a folder is made for a backend."""
    for module, how in VERSIONS[backend].items():
        if (folder / f"{module}.py").exists():
            return how
    return "missing"


def device_table(report: dict) -> str:
    """What was measured on one device."""
    device, ceilings = report["device"], report["ceilings"]
    caption = (
        f"{device['name']}, driver {device['driver']}, CUDA {device['cuda']}, PyTorch "
        f"{device['torch']}; transfer_kernels at {report['commit']}; {report['date']}. Measured "
        f"ceilings: {ceilings['float64_flops'] / 1e12:.0f} TFLOP/s float64, "
        f"{ceilings['tf32_flops'] / 1e12:.0f} TF32, {ceilings['bytes'] / 1e12:.1f} TB/s. Float32 "
        "features on the device; medians with a cold cache. “Floor” is what bytes or "
        "multiply-adds alone take at the ceilings; “error” is relative to the CPU's values."
    )
    rows = [
        [
            row["name"],
            row["size"],
            row["backend"],
            seconds(row["seconds"]),
            seconds(row["floor_s"]),
            percent(100.0 * row["floor_s"] / row["seconds"]["median"]),
            seconds(row["plain"]),
            f"{row['error']:.0e}",
            size_text(row["extra_bytes"]),
        ]
        for row in report["rows"]
    ]
    header = ["", "size", "backend", "time", "floor", "of it", "plain PyTorch", "error", "memory"]
    return caption + "\n\n" + table(header, rows)
