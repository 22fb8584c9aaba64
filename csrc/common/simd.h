// Vectors of TK_LANES doubles through the compiler's vector extension: one source for SSE2, AVX2,
// AVX-512 and NEON.
#pragma once

#include <cstdint>
#include <cstring>

#ifndef TK_ISA
#error "kernel files are compiled once for each instruction set: define TK_ISA and TK_LANES"
#endif

#define TK_INLINE static inline __attribute__((always_inline))

namespace tk {
namespace TK_ISA {

constexpr int kLanes = TK_LANES;

typedef double VecD __attribute__((vector_size(8 * TK_LANES)));
typedef int64_t VecI __attribute__((vector_size(8 * TK_LANES)));
// The same vector at any address.
typedef double VecDU __attribute__((vector_size(8 * TK_LANES), aligned(8), may_alias));

TK_INLINE VecD load(const double* p) { return *reinterpret_cast<const VecDU*>(p); }
TK_INLINE void store(double* p, VecD v) { *reinterpret_cast<VecDU*>(p) = v; }
TK_INLINE VecD broadcast(double x) { return x - VecD{}; }

}  // namespace TK_ISA
}  // namespace tk
