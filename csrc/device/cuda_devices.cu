// The devices that kernels can run on: those of the CUDA runtime, or the host, which plays one.
#include "cuda_devices.h"

#include "device.cuh"

namespace tk {

#if defined(TK_ON_HOST)

std::string device_problem() { return ""; }
int device_count() { return 1; }
int multiprocessor_count() { return 6; }  // few, so that tests are quick and still split their work
size_t shared_memory_per_block() { return host::shared_memory_limit(); }

#else

namespace {

__global__ void nothing() {}

int attribute(cudaDeviceAttr which) {
    int device = 0, value = 0;
    check_cuda(cudaGetDevice(&device), "cudaGetDevice");
    check_cuda(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
    return value;
}

}  // namespace

std::string device_problem() {
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess && count == 0) return "there is no CUDA device";
    if (status == cudaSuccess) {
        cudaFuncAttributes attributes{};
        status = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&nothing));
    }
    if (status == cudaSuccess) return "";
    cudaGetLastError();
    return cudaGetErrorString(status);
}

int device_count() {
    int count = 0;
    if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
    cudaGetLastError();
    return 0;
}

int multiprocessor_count() { return attribute(cudaDevAttrMultiProcessorCount); }

size_t shared_memory_per_block() {
    return static_cast<size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
}

#endif

}  // namespace tk
