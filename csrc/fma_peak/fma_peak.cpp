// fma_peak: independent multiply-adds in registers, timed in short spells, the best of which counts.
#include "fma_peak.h"

#include <time.h>

#include "common/buffer.h"
#include "common/parallel.h"
#include "common/simd.h"

namespace tk {
namespace TK_ISA {
namespace {

typedef float VecF __attribute__((vector_size(8 * TK_LANES)));

constexpr int kChains = 12;  // latency times rate, with some to spare; fit 16 registers
constexpr int kSteps = 20000;

static double now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// GFLOP/s of one thread in the best spell.
template <class Vec, class Number>
static double measure(double seconds) {
    constexpr int64_t kWidth = sizeof(Vec) / sizeof(Number);
    Vec factor = Vec{} + Number(0.5), sum[kChains];
    for (int i = 0; i < kChains; ++i) sum[i] = factor;
    asm volatile("" : : "r"(&factor) : "memory");  // unknown to the compiler from here on
    const double begin = now();
    double best = 1e30, end = begin;
    while (end - begin < seconds && !stopped()) {
        const double start = now();
        Vec a = sum[0], b = sum[1], c = sum[2], d = sum[3], e = sum[4], f = sum[5];
        Vec g = sum[6], h = sum[7], i = sum[8], j = sum[9], k = sum[10], l = sum[11];
        for (int step = 0; step < kSteps; ++step) {
            a = a * factor + factor, b = b * factor + factor, c = c * factor + factor;
            d = d * factor + factor, e = e * factor + factor, f = f * factor + factor;
            g = g * factor + factor, h = h * factor + factor, i = i * factor + factor;
            j = j * factor + factor, k = k * factor + factor, l = l * factor + factor;
        }
        sum[0] = a, sum[1] = b, sum[2] = c, sum[3] = d, sum[4] = e, sum[5] = f;
        sum[6] = g, sum[7] = h, sum[8] = i, sum[9] = j, sum[10] = k, sum[11] = l;
        asm volatile("" : : "r"(sum) : "memory");
        end = now();
        if (end - start < best) best = end - start;
    }
    return 1e-9 * 2.0 * kChains * kSteps * kWidth / best;
}

}  // namespace

void fma_peak(const FmaPeakArgs& args) {
    const Buffer<double> rates(2 * args.n_threads);
    int size = args.n_threads;
    auto body = [&](Member member) {
        rates[2 * member.rank] = measure<VecD, double>(args.seconds / 2);
        member.barrier.wait();
        rates[2 * member.rank + 1] = measure<VecF, float>(args.seconds / 2);
        if (member.rank == 0) size = member.size;
    };
    run_team(args.n_threads, body);
    *args.float64 = *args.float32 = 0.0;
    for (int rank = 0; rank < size; ++rank) {
        *args.float64 += rates[2 * rank];
        *args.float32 += rates[2 * rank + 1];
    }
}

}  // namespace TK_ISA
}  // namespace tk
