// The devices that kernels can run on: those of the CUDA runtime, or the host, which plays one.
#include "cuda_devices.h"

#include "device.h"

namespace tk {

#if defined(TK_ON_HOST)

std::string device_problem() { return ""; }
int device_count() { return 1; }
int multiprocessor_count() { return 6; }  // few, so that tests are quick and still split their work

#else

std::string device_problem() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess && count > 0) return "";
    cudaGetLastError();
    return status == cudaSuccess ? "there is no CUDA device" : cudaGetErrorString(status);
}

int device_count() {
    int count = 0;
    if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
    cudaGetLastError();
    return 0;
}

int multiprocessor_count() {
    int device = 0, count = 0;
    check_cuda(cudaGetDevice(&device), "cudaGetDevice");
    check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
               "cudaDeviceGetAttribute");
    return count;
}

#endif

}  // namespace tk
