// Integer helpers of the kernel files, kept inside their instruction set.
#pragma once

#include "simd.h"

namespace tk {
namespace TK_ISA {

TK_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
TK_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
TK_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace TK_ISA
}  // namespace tk
