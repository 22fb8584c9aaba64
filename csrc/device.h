// What every CUDA source includes: the device's language, on a GPU or run on the host.
//
// The kernels' text is the same in both worlds. nvcc compiles it for GPUs. With TK_ON_HOST a plain
// C++17 compiler does, and host_device/ runs the kernels on the CPU, each thread of a block a fiber.
// Kernels keep to what both worlds have:
//  - TK_SHARED and TK_DYNAMIC_SHARED declare shared memory (on the host it starts poisoned);
//  - threads of a block wait for each other at barriers and warp functions only, never in a loop on
//    a flag, and blocks never wait for other blocks;
//  - launch() starts them.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(TK_ON_HOST)
#include "host_device/device_on_host.h"
#else
#include "device_on_gpu.h"
#endif

namespace tk {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kFullMask = 0xffffffffu;

// Features in half precision, as bits.
struct Half {
    uint16_t bits;
};
struct BFloat16 {
    uint16_t bits;
};

__device__ __forceinline__ double to_double(double value) { return value; }
__device__ __forceinline__ double to_double(float value) { return value; }
__device__ __forceinline__ double to_double(BFloat16 value) {
    return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
}
__device__ __forceinline__ double to_double(Half value) { return half_bits_to_float(value.bits); }

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(BFloat16 value) {
    return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
}
__device__ __forceinline__ float to_float(Half value) { return half_bits_to_float(value.bits); }

// Rows a[0], a[2] of A are `lane / 4`, a[1], a[3] eight below; columns a[0], a[1] are `lane % 4`,
// a[2], a[3] four to the right. b[0], b[1] are rows `lane % 4` and four below of B's column
// `lane / 4`. c[0], c[1] are row `lane / 4`, columns 2 (lane % 4) and the next; c[2], c[3] eight
// rows below.
__device__ __forceinline__ void mma_m16n8k8_f64(double (&c)[4], const double (&a)[4],
                                                const double (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+d"(c[0]), "+d"(c[1]), "+d"(c[2]), "+d"(c[3])
        : "d"(a[0]), "d"(a[1]), "d"(a[2]), "d"(a[3]), "d"(b[0]), "d"(b[1]));
#else
    mma_m8n8k4_f64(c[0], c[1], a[0], b[0]);
    mma_m8n8k4_f64(c[2], c[3], a[1], b[0]);
    mma_m8n8k4_f64(c[0], c[1], a[2], b[1]);
    mma_m8n8k4_f64(c[2], c[3], a[3], b[1]);
#endif
}

}  // namespace tk
