// Small kernels that tests hold the device's language to, on a GPU and on the host.
#include "device_check_cuda.h"

#include "device/device.cuh"
#include "device/triangle_schedule.cuh"

namespace tk {

namespace {

__global__ void multiply(const double* a, const double* b, double* c) {
    const int lane = static_cast<int>(threadIdx.x), row = lane / 4, column = lane % 4;
    double left[4], right[2], sums[4];
    for (int i = 0; i < 4; ++i) {
        left[i] = a[(row + i % 2 * 8) * 8 + column + i / 2 * 4];
        sums[i] = c[(row + i / 2 * 8) * 8 + 2 * column + i % 2];
    }
    for (int i = 0; i < 2; ++i) right[i] = b[(column + 4 * i) * 8 + row];
    mma_m16n8k8_f64(sums, left, right);
    for (int i = 0; i < 4; ++i) c[(row + i / 2 * 8) * 8 + 2 * column + i % 2] = sums[i];
}

__global__ void multiply_small(const double* a, const double* b, double* c) {
    const int lane = static_cast<int>(threadIdx.x), row = lane / 4, column = lane % 4;
    double* const to = c + row * 8 + 2 * column;
    mma_m8n8k4_f64(to[0], to[1], a[row * 4 + column], b[column * 8 + row]);
}

__global__ void call_warp_functions(const int64_t* values, int64_t* out) {
    const unsigned lane = threadIdx.x;
    const long long value = values[lane];
    const unsigned word = static_cast<unsigned>(value);
    int row = 0;
    const auto put = [&](int64_t result) { out[row++ * kWarp + lane] = result; };
    put(__shfl_sync(kFullMask, value, static_cast<int>((lane * 7 + 3) % kWarp)));
    put(__shfl_xor_sync(kFullMask, value, 5));
    put(__shfl_up_sync(kFullMask, value, 3));
    put(__shfl_down_sync(kFullMask, value, 4, 8));
    put(__double_as_longlong(__shfl_xor_sync(kFullMask, __longlong_as_double(value), 1)));
    put(__ballot_sync(kFullMask, word % 3 == 0));
    put(__any_sync(kFullMask, word == 7) + 2 * __all_sync(kFullMask, word < 1000000));
    put(__match_any_sync(kFullMask, word % 5));
    // The two halves of the warp apart.
    const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
    put(lane < 16 ? __shfl_xor_sync(half, value, 2) : __shfl_xor_sync(half, value, 9));
    __syncwarp();
    put(__popc(word) + 100 * __clz(static_cast<int>(word)) + 10000 * __ffs(static_cast<int>(word)));
}

__global__ void convert_halves(double* halves, double* bfloats) {
    const unsigned bits = blockIdx.x * blockDim.x + threadIdx.x;
    halves[bits] = to_double(Half{static_cast<uint16_t>(bits)});
    bfloats[bits] = to_double(BFloat16{static_cast<uint16_t>(bits)});
}

__global__ void count_threads(unsigned* in_blocks, unsigned long long* total) {
    TK_SHARED(unsigned, count, [1]);
    if (threadIdx.x == 0) count[0] = 0;
    __syncthreads();
    atomicAdd(&count[0], 1u);
    atomicAdd(total, 1ull);
    __syncthreads();
    if (threadIdx.x == 0) in_blocks[blockIdx.x] = count[0];
}

}  // namespace

void check_product(const double* a, const double* b, double* c, bool small, void* stream) {
    launch(small ? multiply_small : multiply, 1, kWarp, 0, stream, a, b, c);
}

void check_warp_functions(const int64_t* values, int64_t* out, void* stream) {
    launch(call_warp_functions, 1, kWarp, 0, stream, values, out);
}

void check_halves(double* halves, double* bfloats, void* stream) {
    launch(convert_halves, 1 << 6, 1 << 10, 0, stream, halves, bfloats);
}

void check_atomics(int64_t n_blocks, unsigned* in_blocks, unsigned long long* total, void* stream) {
    launch(count_threads, static_cast<unsigned>(n_blocks), 96, 0, stream, in_blocks, total);
}

std::vector<JobNumbers> check_schedule(int64_t side, int64_t steps, int64_t most_blocks,
                                       int64_t least_steps, int64_t block) {
    const TriangleSchedule schedule = TriangleSchedule::make(side, steps, most_blocks, least_steps);
    std::vector<JobNumbers> jobs;
    if (block >= schedule.blocks) return jobs;
    for (int64_t number = 0; number < schedule.jobs(); ++number) {
        const TriangleSchedule::Job job = schedule.job(block, number);
        if (job.first < job.last)
            jobs.push_back({job.place.row, job.place.column, job.first, job.last, job.slot});
    }
    return jobs;
}

#if defined(TK_ON_HOST)

namespace {

void do_wrong(Mistake mistake, double* out) {
    TK_DYNAMIC_SHARED(double, memory);
    TK_SHARED(double, more, [64]);
    const unsigned thread = threadIdx.x, lane = thread % kWarp;
    const bool first_half = lane < 16;
    switch (mistake) {
        case Mistake::missed_barrier:
            if (first_half) __syncthreads();
            __syncwarp();
            break;
        case Mistake::two_barriers:
            if (first_half)
                __syncthreads();
            else
                __syncthreads();
            break;
        case Mistake::missed_lanes:
            if (first_half) __syncwarp();
            __syncwarp(0xffff0000u);
            break;
        case Mistake::returned_lanes:
            if (first_half) return;
            __syncwarp();
            break;
        case Mistake::foreign_lane:
            if (first_half) out[thread] = __shfl_sync(0x0000ffffu, 1.0, 20);
            break;
        case Mistake::race:
            memory[thread] = thread;
            out[thread] = memory[63 - thread];
            break;
        case Mistake::never_written:
            out[thread] = thread % 2 ? memory[thread] : more[thread];
            memory[thread] = more[thread] = 1.0;
            break;
        case Mistake::too_much_memory: break;
    }
}

}  // namespace

void make_mistake(Mistake mistake, double* out) {
    const size_t bytes = mistake == Mistake::too_much_memory ? 1 << 20 : 64 * sizeof(double);
    // Two blocks, so that the second one finds what the first one left behind.
    launch(do_wrong, 2, 64, bytes, nullptr, mistake, out);
}

#endif

}  // namespace tk
