// Rank sum of very many pairs: two histograms of the distances, of pairs within and between classes.
//
// The counters outgrow every cache, so a pair is first put, as 16 bits, into a chunk that belongs to
// one segment of the counters; a full chunk is counted at once, while its segment is in cache.
//
// Pairs of one bin count as tied. What that may cost is bounded: in a bin with s and d pairs of either
// kind the rank sum is off by at most s d / 2. The errors of distinct bins have no common cause, so
// by Hoeffding's inequality their sum exceeds seven times the root of the sum of (s d / 2)^2 with
// probability under 1e-10, however the pairs lie within each bin. Where that bound is not small enough
// (duplicate rows, distances that concentrate), the bins that matter are counted again in finer bins,
// level by level, down to single keys, which are true ties.
#pragma once

#include <sched.h>

#include "common/buffer.h"
#include "common/parallel.h"
#include "pair_chunks.h"
#include "rank_tally.h"

namespace tk {
namespace TK_ISA {

constexpr int kSegmentBits = 16;
constexpr int64_t kSegment = int64_t{1} << kSegmentBits;
constexpr int kBinBits = 24;  // of a level's index; the largest key adds one bin to the first level
constexpr int64_t kSegments = (int64_t{1} << (kBinBits - kSegmentBits)) + 1;
constexpr int64_t kBins = kSegments * kSegment;
constexpr int kFirstShift = kKeyBits - kBinBits;
constexpr double kSigmas = 7.0;

// Refined bins of one level, in order: each becomes a cell of 2^bits finer bins.
struct Level {
    static constexpr int64_t kWords = kBins / 64;
    static constexpr int kMinBits = 5;
    static constexpr int64_t kMaxCells = int64_t{1} << (kBinBits - kMinBits);
    uint64_t* flags;   // one bit for each bin of the level above
    uint32_t* before;  // flagged bins before each word of flags
    int64_t n_cells;
    int bits;   // 2^bits bins a cell
    int shift;  // key -> bin, up to the cell
};
constexpr int kMaxLevels = (kFirstShift + Level::kMinBits - 1) / Level::kMinBits;

// Index of a key at the deepest level, or -1 if its bin was not refined.
TK_INLINE int64_t deepest_bin(const Level* levels, int n_levels, int64_t key) {
    int64_t bin = key >> kFirstShift;
    for (int l = 0; l < n_levels; ++l) {
        const uint64_t word = levels[l].flags[bin >> 6];
        if (!(word >> (bin & 63) & 1)) return -1;
        const uint64_t below = word & ((uint64_t{1} << (bin & 63)) - 1);
        const int64_t cell = levels[l].before[bin >> 6] + __builtin_popcountll(below);
        const int64_t mask = (int64_t{1} << levels[l].bits) - 1;
        bin = cell << levels[l].bits | (key >> levels[l].shift & mask);
    }
    return bin;
}

// Memory shared by the team. Side 0 counts pairs between classes, side 1 pairs within one.
template <class Count>
struct Histogram {
    Count* counts;  // 2 x kBins; a segment is zeroed when first used
    uint8_t* used;  // 2 x kSegments
    uint8_t* lock;

    void count(int64_t segment, const uint16_t* begin, const uint16_t* end) {
        while (__atomic_test_and_set(lock + segment, __ATOMIC_ACQUIRE)) sched_yield();
        Count* counters = counts + segment * kSegment;
        if (!used[segment]) __builtin_memset(counters, 0, kSegment * sizeof(Count));
        used[segment] = 1;
        for (; begin < end; ++begin) ++counters[*begin];
        __atomic_clear(lock + segment, __ATOMIC_RELEASE);
    }
};

constexpr int64_t kEntryChunkBytes = 131072;
typedef Chunks<uint16_t, kEntryChunkBytes> EntryChunks;

// One thread's chunks, one for each segment.
template <class Count>
class Counter {
public:
    Counter(Histogram<Count>& histogram, uint16_t* chunks, uint16_t** cursors)
        : histogram_(histogram), chunks_(chunks), writer_(cursors) {
        for (int64_t s = 0; s < 2 * kSegments; ++s) writer_.cursor(s) = begin(s);
    }
    // Bin of the first level, plus kBins for pairs within a class.
    static VecI words(VecI key, VecI same) {
        return ((key >> kFirstShift) & 0x7fffffff) + (same & kBins);
    }
    __attribute__((always_inline)) void push(uint64_t word) {
        writer_.push(static_cast<uint32_t>(word) >> kSegmentBits,
                     static_cast<uint16_t>(word & (kSegment - 1)));
    }
    __attribute__((always_inline)) void settle() {
        writer_.settle([&](uint32_t segment) { flush(segment); });
    }
    void close() {
        for (int64_t s = 0; s < 2 * kSegments; ++s)
            if (writer_.cursor(s) != begin(s)) flush(s);
    }

private:
    uint16_t* begin(int64_t segment) const { return EntryChunks::begin(chunks_, segment, segment); }
    __attribute__((noinline)) void flush(int64_t segment) {
        histogram_.count(segment, begin(segment), writer_.cursor(segment));
        writer_.cursor(segment) = begin(segment);
    }
    Histogram<Count>& histogram_;
    uint16_t* chunks_;
    ChunkWriter<uint16_t, kEntryChunkBytes> writer_;
};

// What each thread's counter needs, and the histogram that they share.
template <class Count>
class CountingMemory {
public:
    explicit CountingMemory(int n_threads)
        : counts_(2 * kBins), used_(2 * kSegments), lock_(2 * kSegments),
          chunks_(n_threads * kThreadChunks), cursors_(n_threads * 2 * kSegments) {}
    // Without any counts.
    Histogram<Count> histogram() const {
        __builtin_memset(used_.data(), 0, 2 * kSegments);
        __builtin_memset(lock_.data(), 0, 2 * kSegments);
        return Histogram<Count>{counts_.data(), used_.data(), lock_.data()};
    }
    Counter<Count> counter(Histogram<Count>& histogram, int rank) const {
        return Counter<Count>(histogram, EntryChunks::align(chunks_.data() + rank * kThreadChunks),
                              cursors_.data() + rank * 2 * kSegments);
    }

private:
    static constexpr int64_t kThreadChunks = EntryChunks::memory(2 * kSegments);
    Buffer<Count> counts_;
    Buffer<uint8_t> used_, lock_;
    Buffer<uint16_t> chunks_;
    Buffer<uint16_t*> cursors_;
};

// Counts again the pairs whose bins were refined.
template <class Count>
class RefiningCounter {
public:
    RefiningCounter(Counter<Count>& counter, const Level* levels, int n_levels)
        : counter_(counter), levels_(levels), n_levels_(n_levels) {}
    static VecI words(VecI key, VecI same) { return key + key - same; }
    __attribute__((always_inline)) void push(uint64_t word) {
        const int64_t bin = deepest_bin(levels_, n_levels_, word >> 1);
        if (bin >= 0) counter_.push(bin + ((word & 1) ? kBins : 0));
    }
    __attribute__((always_inline)) void settle() { counter_.settle(); }
    void close() { counter_.close(); }

private:
    Counter<Count>& counter_;
    const Level* levels_;
    const int n_levels_;
};

// Calls visit(bin, same, different) for every bin that is not empty, in order.
template <class Count, class Visit>
static void for_each_bin(const Histogram<Count>& histogram, Visit visit) {
    for (int64_t s = 0; s < kSegments; ++s) {
        throw_if_stopped();
        const bool has_different = histogram.used[s], has_same = histogram.used[kSegments + s];
        if (!has_different && !has_same) continue;
        const Count* different = histogram.counts + s * kSegment;
        const Count* same = different + kBins;
        for (int64_t b = 0; b < kSegment; ++b) {
            const uint64_t here_different = has_different ? different[b] : 0;
            const uint64_t here_same = has_same ? same[b] : 0;
            if (here_same | here_different) visit(s * kSegment + b, here_same, here_different);
        }
    }
}

// Possible error of the correlation through bins that hold several keys: the sum of the squared effects
// on the rank sum, and of the effects on the tie term.
struct BinErrors {
    double squares = 0, ties = 0;
    void add(double swap, double tie) {
        squares += swap * swap;
        ties += tie;
    }
    void add(const BinErrors& more) {
        squares += more.squares;
        ties += more.ties;
    }
    double bound() const { return kSigmas * __builtin_sqrt(squares) + ties; }
};

// Sums up levels of bins, refining on the way.
class RankSum {
public:
    RankSum(uint64_t same, uint64_t different, double tolerance)
        : same_(same), different_(different), tolerance_(tolerance) {
        const double pairs = (double)same + (double)different;
        spread_ = (double)tie_term(same + different);
        swap_ = 1.0 / __builtin_sqrt(spread_ / 12.0 * ((double)same * (double)different / pairs));
        tie_ = 0.5 / spread_;
    }

    // Adds what was counted on the deepest level and writes the next one's cells, if the bound of the
    // error is above the tolerance; returns whether there are any.
    template <class Count>
    bool add_level(const Histogram<Count>& histogram, const Level* last, Level* next) {
        const int cell_bits = last ? last->bits : kBinBits + 1;
        const int shift = last ? last->shift : kFirstShift;
        BinErrors errors[kGrades];
        int64_t members[kGrades] = {};
        int64_t cell = -1;
        RankTally tally;
        for_each_bin(histogram, [&](int64_t bin, uint64_t same, uint64_t different) {
            if (bin >> cell_bits != cell) {
                add(tally);
                tally = RankTally();
                cell = bin >> cell_bits;
            }
            append(tally, same, different);
            if (shift == 0 || same + different < 2) return;
            const int at = grade(same, different);
            errors[at].add(swap_error(same, different), tie_error(same, different));
            ++members[at];
        });
        add(tally);
        ++level_;
        if (shift == 0 || next == nullptr) {
            for (const BinErrors& error : errors) unresolved_.add(error);
            return false;
        }

        // Keep the lightest grades that fit into this level's share of the tolerance.
        const double inflation = spread_ / (double)rank_spread(same_ + different_, ties_);
        const double share = tolerance_ * (1.0 - __builtin_exp2(-level_));
        int first = 0;
        for (; first < kGrades; ++first) {
            BinErrors sum = unresolved_;
            sum.add(errors[first]);
            if (!(sum.bound() * inflation <= share) && members[first] > 0) break;
            unresolved_ = sum;
        }
        int64_t n_cells = 0;
        for (int g = first; g < kGrades; ++g) n_cells += members[g];
        for (; n_cells > Level::kMaxCells; ++first) {
            n_cells -= members[first];
            unresolved_.add(errors[first]);
        }
        if (n_cells == 0) return false;

        next->n_cells = 0;
        __builtin_memset(next->flags, 0, Level::kWords * sizeof(uint64_t));
        for_each_bin(histogram, [&](int64_t bin, uint64_t same, uint64_t different) {
            if (same + different < 2 || grade(same, different) < first) return;
            next->flags[bin >> 6] |= uint64_t{1} << (bin & 63);
            ++next->n_cells;
            // The cell's own sums take the place of the tied bin's.
            twice_u_ -= (Wide)same * different;
            ties_ -= tie_term(same + different);
        });
        uint32_t before = 0;
        for (int64_t w = 0; w < Level::kWords; ++w) {
            next->before[w] = before;
            before += static_cast<uint32_t>(__builtin_popcountll(next->flags[w]));
        }
        next->bits = 0;
        while (next->bits < shift && next->n_cells << (next->bits + 1) <= int64_t{1} << kBinBits)
            ++next->bits;
        next->shift = shift - next->bits;
        return true;
    }

    double correlation() const { return spearman(same_, different_, twice_u_, ties_); }
    // Of the correlation; see the top of this file.
    double error_bound() const {
        const Wide spread = rank_spread(same_ + different_, ties_);
        const double bound = unresolved_.bound();
        return bound > 0 ? bound * (spread_ / (double)spread) : 0.0;
    }

private:
    // Bins are graded by the exponent of their possible error.
    static constexpr int kGrades = 2048;
    int grade(uint64_t same, uint64_t different) const {
        const double size = swap_error(same, different) + tie_error(same, different);
        uint64_t bits;
        __builtin_memcpy(&bits, &size, sizeof bits);
        return static_cast<int>(bits >> 52);
    }
    double swap_error(uint64_t same, uint64_t different) const {
        return 0.5 * (double)same * (double)different * swap_;
    }
    double tie_error(uint64_t same, uint64_t different) const {
        const double tied = (double)(same + different);
        return tied * tied * tied * tie_;
    }
    void add(const RankTally& tally) {
        twice_u_ += tally.twice_u;
        ties_ += tally.ties;
    }

    const uint64_t same_, different_;
    const double tolerance_;
    double spread_;  // rank_spread without ties
    double swap_;    // effect of one unit of the rank sum
    double tie_;     // at most the effect of one unit of the tie term
    int level_ = 0;
    Wide twice_u_ = 0, ties_ = 0;
    BinErrors unresolved_;
};

}  // namespace TK_ISA
}  // namespace tk
