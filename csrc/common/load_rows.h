// Reading of features in float16, float32 or float64 as doubles, at any address and stride.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "array_view.h"
#include "simd.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace tk {
namespace TK_ISA {

struct Half {
    uint16_t bits;
};

namespace detail {
typedef float VecF
    __attribute__((vector_size(4 * TK_LANES)));  // as many floats as VecD has doubles
typedef float VecFAny __attribute__((vector_size(4 * TK_LANES), aligned(1), may_alias));
typedef double VecDAny __attribute__((vector_size(8 * TK_LANES), aligned(1), may_alias));
}  // namespace detail

TK_INLINE double load_one(const double* p) {
    double value;
    __builtin_memcpy(&value, p, sizeof value);
    return value;
}

TK_INLINE double load_one(const float* p) {
    float value;
    __builtin_memcpy(&value, p, sizeof value);
    return value;
}

// A half's exponent and mantissa, moved into a float, are off by the difference of the biases; the
// multiplication puts that right, for subnormal halves too.
TK_INLINE double load_one(const Half* p) {
    uint16_t half;
    __builtin_memcpy(&half, p, sizeof half);
    const uint32_t magnitude = half & 0x7fffu;
    const uint32_t bits = magnitude << 13;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    const double finite = static_cast<double>(value * 0x1p112f);
    const double infinite = magnitude == 0x7c00u ? __builtin_inf() : __builtin_nan("");
    const double absolute = magnitude < 0x7c00u ? finite : infinite;
    return half & 0x8000u ? -absolute : absolute;
}

// kLanes neighbours.
TK_INLINE VecD load_vector(const double* p) { return *reinterpret_cast<const detail::VecDAny*>(p); }

TK_INLINE VecD load_vector(const float* p) {
    const detail::VecF values = *reinterpret_cast<const detail::VecFAny*>(p);
    return __builtin_convertvector(values, VecD);
}

TK_INLINE VecD load_vector(const Half* p) {
#if defined(__F16C__) && TK_LANES == 8
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return __builtin_convertvector((detail::VecF)_mm256_cvtph_ps(halves), VecD);
#elif defined(__F16C__) && TK_LANES == 4
    const __m128i halves = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return __builtin_convertvector((detail::VecF)_mm_cvtph_ps(halves), VecD);
#else
    VecD values;
    for (int lane = 0; lane < kLanes; ++lane) values[lane] = load_one(p + lane);
    return values;
#endif
}

// `count` numbers of a row, `stride` elements apart, as doubles side by side.
template <class T>
static inline void row_as_doubles(const T* x, int64_t stride, int64_t count, double* row) {
    int64_t j = 0;
    if (stride == 1)
        for (; j + kLanes <= count; j += kLanes) store(row + j, load_vector(x + j));
    for (; j < count; ++j) row[j] = load_one(x + j * stride);
}

namespace detail {

// Exchanges the off-diagonal quarters of every 2S x 2S block that vectors a and b are rows of.
template <int S, size_t... Lane>
TK_INLINE void exchange(VecD& a, VecD& b, std::index_sequence<Lane...>) {
#if defined(__clang__)
    const VecD low = __builtin_shufflevector(a, b, (Lane & S ? kLanes + Lane - S : Lane)...);
    const VecD high = __builtin_shufflevector(a, b, (Lane & S ? kLanes + Lane : Lane + S)...);
#else
    const VecD low = __builtin_shuffle(a, b, VecI{(Lane & S ? kLanes + Lane - S : Lane)...});
    const VecD high = __builtin_shuffle(a, b, VecI{(Lane & S ? kLanes + Lane : Lane + S)...});
#endif
    a = low;
    b = high;
}

template <int S>
TK_INLINE void transpose_from(VecD (&rows)[kLanes]) {
    if constexpr (S < kLanes) {
        constexpr auto lanes = std::make_index_sequence<kLanes>();
#pragma GCC unroll 8
        for (int i = 0; i < kLanes; ++i)
            if (!(i & S)) exchange<S>(rows[i], rows[i + S], lanes);
        transpose_from<2 * S>(rows);
    }
}

}  // namespace detail

// Transposes a square of kLanes vectors in registers.
TK_INLINE void transpose(VecD (&rows)[kLanes]) { detail::transpose_from<1>(rows); }

// to[k * width + i] = from[k * k_stride + i * i_stride] for k < depth and i < count, and zero for
// count <= i < width. `to` is aligned to a vector and `width` a multiple of kLanes.
template <class T>
static inline void copy_as_doubles(const T* from, int64_t k_stride, int64_t i_stride, int64_t depth,
                                   int64_t count, double* to, int64_t width) {
    for (int64_t i0 = 0; i0 < width; i0 += kLanes) {
        const T* source = from + i0 * i_stride;
        double* target = to + i0;
        const int64_t valid = count - i0 < kLanes ? count - i0 : kLanes;
        int64_t k = 0;
        if (valid == kLanes && i_stride == 1) {
            for (; k < depth; ++k) store(target + k * width, load_vector(source + k * k_stride));
        } else if (valid == kLanes && k_stride == 1) {
            for (; k + kLanes <= depth; k += kLanes) {
                VecD square[kLanes];
#pragma GCC unroll 8
                for (int i = 0; i < kLanes; ++i) square[i] = load_vector(source + k + i * i_stride);
                transpose(square);
#pragma GCC unroll 8
                for (int i = 0; i < kLanes; ++i) store(target + (k + i) * width, square[i]);
            }
        }
        for (; k < depth; ++k)
            for (int64_t i = 0; i < kLanes; ++i)
                target[k * width + i] = i < valid ? load_one(source + k * k_stride + i * i_stride)
                                                  : 0.0;
    }
}

}  // namespace TK_ISA
}  // namespace tk
