"""What the Triton kernels share: interpreter or GPU, how a matrix may be loaded, launch options.

Float64 products go through `tl.dot`, which is the FP64 tensor cores' instruction on compute
capabilities 8.0 and 9.0, and from Triton 3.9 on also compiles for 10.0. No release before that
compiles such a product of operands that were loaded as float16 or bfloat16, whatever they are
converted to in between: kernels with products get 32 or 64 bits (`widened_blocks`). Which pairs of
Triton and GPU are refused, `triton_versions.py` tells.
"""

from collections.abc import Iterator
from typing import Any

import torch
import triton

#: Bytes of the widest load.
VECTOR_BYTES = 16
#: Programs that the interpreter pretends to run at a time; few, as it runs them one by one.
INTERPRETED_PROCESSORS = 4
#: Elements of features in half precision that are widened at a time.
WIDENED_ELEMENTS = 1 << 26
#: Options of every launch: products and sums may be fused, whatever a release's default is.
LAUNCH = {"enable_fp_fusion": True}


def is_interpreted() -> bool:
    """Whether the kernels run in Triton's interpreter (TRITON_INTERPRET=1), also on the host."""
    return bool(triton.knobs.runtime.interpret)


def processors(device: torch.device) -> int:
    """Number of the device's multiprocessors."""
    if device.type != "cuda":
        return INTERPRETED_PROCESSORS
    return torch.cuda.get_device_properties(device).multi_processor_count


def widened_blocks(X: torch.Tensor) -> Iterator[Any]:
    """(rows, features of at least 32 bits) of X: all at once where it has as many, else by blocks.

    Float16 and bfloat16 become float32 exactly.
    """
    if X.element_size() >= 4:
        yield slice(None), X
        return
    block_rows = max(1, WIDENED_ELEMENTS // X.shape[1])
    for start in range(0, len(X), block_rows):
        rows = slice(start, start + block_rows)
        yield rows, X[rows].float()


def vector_width(X: torch.Tensor) -> int:
    """Neighbours in a row that an aligned load takes at once; 1 where any of them may not.

    Above 1 it promises that X starts aligned, that its rows are contiguous, and that d and the row
    stride are multiples of it. A kernel passes this on to the compiler by rounding them down to
    such multiples, which changes nothing but what is known of them.
    """
    width = VECTOR_BYTES // X.element_size()
    aligned = X.data_ptr() % VECTOR_BYTES == 0 and X.stride(1) == 1
    return width if aligned and X.stride(0) % width == 0 and X.shape[1] % width == 0 else 1
