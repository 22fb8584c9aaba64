// device.cuh under nvcc: the few things that plain CUDA C++ lacks, and kernel launches.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#define TK_SHARED(type, name, extents) __shared__ type name extents
#define TK_DYNAMIC_SHARED(type, name)                                  \
    extern __shared__ __align__(16) unsigned char tk_dynamic_shared[]; \
    type* const name = reinterpret_cast<type*>(tk_dynamic_shared)

namespace tk {

__device__ __forceinline__ float half_bits_to_float(uint16_t bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

// C += A B on the tensor cores, 8 x 4 times 4 x 8: `a` is row lane / 4, column lane % 4 of A, `b` row
// lane % 4, column lane / 4 of B, `c0` and `c1` row lane / 4, columns 2 (lane % 4) and the next of C.
__device__ __forceinline__ void mma_m8n8k4_f64(double& c0, double& c1, double a, double b) {
    asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%0,%1};"
                 : "+d"(c0), "+d"(c1)
                 : "d"(a), "d"(b));
}

// The same for 16 x 8 times 8 x 8. a[0] is as `a` above, a[1] eight rows below, a[2] and a[3] four
// columns to the right of those; b[0] as `b` above, b[1] four rows below; c[0] and c[1] as above, c[2]
// and c[3] eight rows below those.
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

inline void check_cuda(cudaError_t status, const char* what) {
    if (status != cudaSuccess)
        throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}

// Queues the kernel on the stream (a cudaStream_t) of the current device.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, void* stream,
            Arguments&&... arguments) {
    if (shared_bytes > 48 * 1024)
        check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                        cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(shared_bytes)),
                   "shared memory for a CUDA kernel");
    std::tuple<Parameters...> values(std::forward<Arguments>(arguments)...);
    std::apply(
        [&](Parameters&... parameters) {
            void* pointers[] = {const_cast<void*>(static_cast<const void*>(&parameters))...};
            check_cuda(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block,
                                        pointers, shared_bytes, static_cast<cudaStream_t>(stream)),
                       "launch of a CUDA kernel");
        },
        values);
}

}  // namespace tk
