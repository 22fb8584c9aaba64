// mixture_em on the CPU: forward substitution on a few vectors of samples at once, component by
// component, for as long as one of these samples may survive. Few do after the first axes.
#include "mixture_em.h"

#include "common/buffer.h"
#include "common/integers.h"
#include "common/parallel.h"
#include "common/simd.h"

namespace tk {
namespace TK_ISA {
namespace {

// Vectors of samples side by side, and axes between two looks at whether all of them are out.
constexpr int kVectors = 2;
constexpr int64_t kSamples = kVectors * kLanes;
constexpr int64_t kStep = 4;

TK_INLINE bool any_within(const VecD (&squares)[kVectors], const VecD (&limits)[kVectors],
                          double trusted) {
    VecI within = {};
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) within |= squares[v] * trusted <= limits[v];
    int64_t any = 0;
    for (int lane = 0; lane < kLanes; ++lane) any |= within[lane];
    return any != 0;
}

// The samples first ... first + kSamples - 1, of which `count` are there, and one component.
static void test_samples(const MixtureSurvivorsArgs& args, int64_t first, int64_t count, int64_t k,
                         const double* block, double* solved, bool* found) {
    const int64_t q = args.q;
    const double* mean = args.means + k * q;
    const double* corner = args.corners + k * q * q;
    VecD squares[kVectors] = {}, limits[kVectors];
    for (int64_t i = 0; i < kSamples; ++i)
        limits[i / kLanes][i % kLanes] =
            i < count ? 2.0 * (args.constants[k] - args.floors[first + i]) : -1.0;
    bool alive = true;
    for (int64_t j = 0; j < q && alive; ++j) {
        VecD values[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v)
            values[v] = load(block + j * kSamples + v * kLanes) - mean[j];
        const double* row = corner + j * q;
        for (int64_t t = 0; t < j; ++t)
#pragma GCC unroll 2
            for (int v = 0; v < kVectors; ++v)
                values[v] -= row[t] * load(solved + t * kSamples + v * kLanes);
        const double inverse = 1.0 / row[j];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
            values[v] *= inverse;
            store(solved + j * kSamples + v * kLanes, values[v]);
            squares[v] += values[v] * values[v];
        }
        if (j % kStep == kStep - 1) alive = any_within(squares, limits, args.trusted);
    }
    for (int64_t i = 0; i < count; ++i)
        found[i] = squares[i / kLanes][i % kLanes] * args.trusted <= limits[i / kLanes][i % kLanes];
}

}  // namespace

void mixture_survivors(const MixtureSurvivorsArgs& args) {
    const int64_t n_blocks = ceil_div(args.n, kSamples);
    const int n_threads = static_cast<int>(smaller(args.n_threads, n_blocks));
    const Buffer<double> scratch(n_threads * 2 * args.q * kSamples);
    Queue blocks(n_blocks);
    auto body = [&](Member member) {
        double* const block = scratch.data() + member.rank * 2 * args.q * kSamples;
        double* const solved = block + args.q * kSamples;
        for (int64_t b = blocks.next(); b >= 0; b = blocks.next()) {
            const int64_t first = b * kSamples, count = smaller(kSamples, args.n - first);
            for (int64_t j = 0; j < args.q; ++j)
                for (int64_t i = 0; i < kSamples; ++i)
                    block[j * kSamples + i] = i < count ? args.leading[j * args.n + first + i] : 0.0;
            for (int64_t k = 0; k < args.n_components; ++k)
                test_samples(args, first, count, k, block, solved, args.found + k * args.n + first);
        }
    };
    run_team(n_threads, body);
}

}  // namespace TK_ISA
}  // namespace tk
