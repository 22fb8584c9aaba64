// Counts of pairs in bins, which outgrow every cache: a pair is first put, as 16 bits, into a chunk that
// belongs to one segment of the counters; a full chunk is counted at once, while its segment is in cache.
#pragma once

#include <sched.h>

#include "key_bins.h"
#include "pair_chunks.h"

namespace tk {
namespace TK_ISA {

constexpr int kSegmentBits = 16;
constexpr int64_t kSegment = int64_t{1} << kSegmentBits;
constexpr int64_t kMostSegments = kMostBins / kSegment;

constexpr int64_t kEntryChunkBytes = 131072;
typedef Chunks<uint16_t, kEntryChunkBytes> EntryChunks;

// Pairs in each bin: side 0 between classes, or all where there are none; side 1 within a class.
template <class Count>
class BinCounts {
public:
    explicit BinCounts(int sides)
        : sides_(sides), counts_(sides * kMostBins), used_(sides * kMostSegments),
          lock_(sides * kMostSegments) {
        __builtin_memset(used_.data(), 0, sides * kMostSegments);
        __builtin_memset(lock_.data(), 0, sides * kMostSegments);
    }
    int sides() const { return sides_; }
    uint64_t at(int side, int64_t bin) const {
        const int64_t segment = side * kMostSegments + (bin >> kSegmentBits);
        return used_[segment] ? counts_[side * kMostBins + bin] : 0;
    }
    // The segments of side 1 follow those of side 0.
    void add(int64_t segment, const uint16_t* begin, const uint16_t* end) const {
        while (__atomic_test_and_set(&lock_[segment], __ATOMIC_ACQUIRE)) sched_yield();
        Count* counters = counts_.data() + segment * kSegment;
        if (!used_[segment]) __builtin_memset(counters, 0, kSegment * sizeof(Count));
        used_[segment] = 1;
        for (; begin < end; ++begin) ++counters[*begin];
        __atomic_clear(&lock_[segment], __ATOMIC_RELEASE);
    }

private:
    const int sides_;
    Buffer<Count> counts_;  // a segment is zeroed when first used
    Buffer<uint8_t> used_, lock_;
};

// One thread's chunks, one for each segment in use. Pushed are a bin, and above it the side.
template <class Count>
class Counter {
public:
    Counter(const BinCounts<Count>& counts, const KeyBins& bins, uint16_t* chunks,
            uint16_t** cursors)
        : counts_(counts), first_new_(bins.first_new()), segments_(segments(bins)), chunks_(chunks),
          writer_(cursors) {
        for (int64_t s = 0; s < counts.sides() * segments_; ++s) writer_.cursor(s) = begin(s);
    }
    static int64_t segments(const KeyBins& bins) { return ceil_div(bins.count(), kSegment); }

    // Pairs of bins that have been counted before are left out.
    __attribute__((always_inline)) void push(uint64_t word) {
        if (static_cast<int64_t>(word >> 1) < first_new_) return;
        const int64_t segment = static_cast<int64_t>(word >> (kSegmentBits + 1)) +
                                (segments_ & -static_cast<int64_t>(word & 1));
        writer_.push(static_cast<uint32_t>(segment),
                     static_cast<uint16_t>(word >> 1 & (kSegment - 1)));
    }
    __attribute__((always_inline)) void settle() {
        writer_.settle([&](uint32_t segment) { flush(segment); });
    }
    void close() {
        for (int64_t s = 0; s < counts_.sides() * segments_; ++s)
            if (writer_.cursor(s) != begin(s)) flush(s);
    }

private:
    uint16_t* begin(int64_t segment) const { return EntryChunks::begin(chunks_, segment, segment); }
    __attribute__((noinline)) void flush(int64_t segment) {
        const int64_t of_side = segment < segments_ ? segment : segment - segments_ + kMostSegments;
        counts_.add(of_side, begin(segment), writer_.cursor(segment));
        writer_.cursor(segment) = begin(segment);
    }
    const BinCounts<Count>& counts_;
    const int64_t first_new_, segments_;
    uint16_t* chunks_;
    ChunkWriter<uint16_t, kEntryChunkBytes> writer_;
};

// Counts the pairs of the bins that have not been counted yet; see RowPairs::visit for make_words.
// The rows must have been prepared, as sample_pairs does.
template <class Count, class MakeWords>
static void count_pairs(RowPairs& pairs, const KeyBins& bins, const BinCounts<Count>& counts,
                        int n_threads, MakeWords make_words) {
    const int64_t n_chunks = counts.sides() * Counter<Count>::segments(bins);
    const int64_t thread_entries = EntryChunks::memory(n_chunks);
    Buffer<uint16_t> chunks(n_threads * thread_entries);
    Buffer<uint16_t*> cursors(n_threads * n_chunks);
    auto body = [&](Member member) {
        Counter<Count> counter(counts, bins,
                               EntryChunks::align(chunks.data() + member.rank * thread_entries),
                               cursors.data() + member.rank * n_chunks);
        pairs.visit(member, counter,
                    [&](int64_t i, int64_t j, const RegisterTile& tile, uint64_t* words) {
                        int64_t found[kTileWords];
                        make_words(i, j, tile, words);
                        bins.find(words, found);
                        for (int w = 0; w < kTileWords; ++w)
                            words[w] = static_cast<uint64_t>(found[w]) << 1 | (words[w] & 1);
                    });
    };
    run_team(n_threads, body);
}

// Counts the pairs of some blocks in cells: all pairs of rows from a few stretches.
template <class MakeWords>
static void sample_pairs(RowPairs& pairs, int64_t n_rows, int64_t* sampled, int n_threads,
                         MakeWords make_words) {
    constexpr int64_t kStretches = 8;
    const int64_t n_blocks = ceil_div(n_rows, kBlock);
    auto chosen = [n_blocks](int64_t block) { return block * kStretches % n_blocks < kStretches; };
    Buffer<int64_t> counts(n_threads * 2 * kCells);
    for (int64_t c = 0; c < n_threads * 2 * kCells; ++c) counts[c] = 0;
    auto body = [&](Member member) {
        pairs.prepare(member);
        CellCounter counter{counts.data() + member.rank * 2 * kCells};
        pairs.visit(member, counter, make_words, [&](int64_t i, int64_t j) {
            return chosen((i - 1) / kBlock) && chosen(j / kBlock);
        });
    };
    run_team(n_threads, body);
    for (int64_t c = 0; c < 2 * kCells; ++c) {
        sampled[c] = 0;
        for (int t = 0; t < n_threads; ++t) sampled[c] += counts[t * 2 * kCells + c];
    }
}

}  // namespace TK_ISA
}  // namespace tk
