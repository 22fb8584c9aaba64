// What every CUDA source includes: the device's language, on a GPU or run on the host.
//
// The kernels' text is the same in both worlds. nvcc compiles it for GPUs. With TK_ON_HOST a plain
// C++17 compiler does, and host/ runs the kernels on the CPU, each thread of a block a fiber.
// Kernels keep to what both worlds have:
//  - TK_SHARED and TK_DYNAMIC_SHARED declare shared memory (on the host it starts poisoned);
//  - threads of a block wait for each other at barriers and warp functions only, never in a loop on
//    a flag, and blocks never wait for other blocks;
//  - launch() starts them.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(TK_ON_HOST)
#include "host/device_on_host.h"
#else
#include "gpu/device_on_gpu.cuh"
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

}  // namespace tk
