// Spearman correlation of distances with weights of the pairs: for each bin of distances, the pairs in
// it and the sum of their weights.
//
// As in pair_histogram.h a pair is first put into a chunk that belongs to one segment of the counters.
// Pairs of one bin count as tied; bins of 2^-22 misplace a pair's rank by some 1e-7 of all pairs, and
// the errors of millions of pairs have no common sign.
#pragma once

#include <sched.h>

#include "buffer.h"
#include "pair_chunks.h"
#include "rank_tally.h"

namespace tk {
namespace TK_ISA {

// A weight is twice the rank of a pair's label distance, less its mean: pairs of n rows, n < 2^20.
constexpr int kWeightBits = 40;
constexpr int64_t kWeightOffset = int64_t{1} << (kWeightBits - 1);
constexpr int kWeightedBinBits = 23;
constexpr int kWeightedShift = kKeyBits - kWeightedBinBits;
constexpr int kWeightedSegmentBits = 13;
constexpr int64_t kWeightedSegment = int64_t{1} << kWeightedSegmentBits;
constexpr int64_t kWeightedSegments =
    (int64_t{1} << (kWeightedBinBits - kWeightedSegmentBits)) + 1;

struct WeightedBin {
    int64_t pairs;
    __int128 weight;
};

// Memory shared by the team.
struct WeightedHistogram {
    WeightedBin* bins;  // a segment is zeroed when first used
    uint8_t* used;      // of each segment
    uint8_t* lock;

    void count(int64_t segment, const uint64_t* begin, const uint64_t* end) {
        while (__atomic_test_and_set(lock + segment, __ATOMIC_ACQUIRE)) sched_yield();
        WeightedBin* first = bins + segment * kWeightedSegment;
        if (!used[segment])
            for (int64_t b = 0; b < kWeightedSegment; ++b) first[b] = WeightedBin{0, 0};
        used[segment] = 1;
        for (; begin < end; ++begin) {
            WeightedBin& bin = first[*begin >> kWeightBits & (kWeightedSegment - 1)];
            ++bin.pairs;
            bin.weight += static_cast<int64_t>(*begin & (2 * kWeightOffset - 1)) - kWeightOffset;
        }
        __atomic_clear(lock + segment, __ATOMIC_RELEASE);
    }

    template <class Visit>
    void for_each_bin(Visit visit) const {
        for (int64_t s = 0; s < kWeightedSegments; ++s) {
            if (!used[s]) continue;
            for (int64_t b = s * kWeightedSegment; b < (s + 1) * kWeightedSegment; ++b)
                if (bins[b].pairs) visit(b, bins[b]);
        }
    }
};

constexpr int64_t kWeightedChunkBytes = 32768;
typedef Chunks<uint64_t, kWeightedChunkBytes> WeightedChunks;

// One thread's chunks, one for each segment. A word is a bin and, below it, a weight.
class WeightedCounter {
public:
    WeightedCounter(WeightedHistogram& histogram, uint64_t* chunks, uint64_t** cursors)
        : histogram_(histogram), chunks_(chunks), writer_(cursors) {
        for (int64_t s = 0; s < kWeightedSegments; ++s) writer_.cursor(s) = begin(s);
    }
    static uint64_t word(int64_t key, int64_t weight) {
        return static_cast<uint64_t>(key >> kWeightedShift << kWeightBits) |
               static_cast<uint64_t>(weight + kWeightOffset);
    }
    __attribute__((always_inline)) void push(uint64_t word) {
        writer_.push(static_cast<uint32_t>(word >> (kWeightBits + kWeightedSegmentBits)), word);
    }
    __attribute__((always_inline)) void settle() {
        writer_.settle([&](uint32_t segment) { flush(segment); });
    }
    void close() {
        for (int64_t s = 0; s < kWeightedSegments; ++s)
            if (writer_.cursor(s) != begin(s)) flush(s);
    }

private:
    uint64_t* begin(int64_t segment) const {
        return WeightedChunks::begin(chunks_, segment, segment);
    }
    __attribute__((noinline)) void flush(int64_t segment) {
        histogram_.count(segment, begin(segment), writer_.cursor(segment));
        writer_.cursor(segment) = begin(segment);
    }
    WeightedHistogram& histogram_;
    uint64_t* chunks_;
    ChunkWriter<uint64_t, kWeightedChunkBytes> writer_;
};

// What each thread's counter needs, and the histogram that they share.
class WeightedMemory {
public:
    explicit WeightedMemory(int n_threads)
        : bins_(kWeightedSegments * kWeightedSegment),
          used_(kWeightedSegments),
          lock_(kWeightedSegments),
          chunks_(n_threads * kThreadChunks),
          cursors_(n_threads * kWeightedSegments) {
        clear();
    }
    void clear() {
        __builtin_memset(used_.data(), 0, kWeightedSegments);
        __builtin_memset(lock_.data(), 0, kWeightedSegments);
    }
    WeightedHistogram histogram() const {
        return WeightedHistogram{bins_.data(), used_.data(), lock_.data()};
    }
    uint64_t* chunks(int rank) const {
        return WeightedChunks::align(chunks_.data() + rank * kThreadChunks);
    }
    uint64_t** cursors(int rank) const { return cursors_.data() + rank * kWeightedSegments; }

private:
    static constexpr int64_t kThreadChunks = WeightedChunks::memory(kWeightedSegments);
    Buffer<WeightedBin> bins_;
    Buffer<uint8_t> used_, lock_;
    Buffer<uint64_t> chunks_;
    Buffer<uint64_t*> cursors_;
};

// Twice the ranks of the bins, less their mean: calls visit(bin index, bin, rank) in order.
template <class Visit>
static void rank_bins(const WeightedHistogram& histogram, int64_t n_pairs, Visit visit) {
    int64_t below = 0;
    histogram.for_each_bin([&](int64_t index, const WeightedBin& bin) {
        visit(index, bin, 2 * below + bin.pairs - n_pairs);
        below += bin.pairs;
    });
}

// Correlation of the ranks of the bins with the weights; NaN where either is constant.
static double weighted_spearman(const WeightedHistogram& histogram, int64_t n_pairs,
                                double weight_squares) {
    Wide ties = 0;
    __int128 product = 0;
    rank_bins(histogram, n_pairs, [&](int64_t, const WeightedBin& bin, int64_t rank) {
        ties += tie_term(bin.pairs);
        product += rank * bin.weight;
    });
    const Wide spread = rank_spread(n_pairs, ties);
    if (spread == 0 || !(weight_squares > 0)) return __builtin_nan("");
    return (double)product / (__builtin_sqrt((double)spread / 3.0) * __builtin_sqrt(weight_squares));
}

}  // namespace TK_ISA
}  // namespace tk
