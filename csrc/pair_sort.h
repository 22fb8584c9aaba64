// Exact rank sum of few pairs: their keys are collected in buckets of increasing key, then sorted.
#pragma once

#include <sched.h>

#include "buffer.h"
#include "pair_products.h"
#include "rank_tally.h"

namespace tk {
namespace TK_ISA {

// A word is twice the distance key, plus one for pairs within a class.
constexpr int kWordBits = kKeyBits + 2;  // the largest key is 2^45
constexpr int64_t kChunk = 512;  // words
constexpr int kMaxBucketBits = 11;

TK_INLINE int64_t bucket_count(int64_t pairs) {
    int bits = 0;
    while (bits < kMaxBucketBits && (pairs >> bits) > 8192) ++bits;
    return int64_t{1} << bits;
}

// Memory shared by the team: chunks of words, each of one bucket.
struct ChunkPool {
    uint64_t* words;     // aligned to a chunk
    int32_t* bucket;     // of each chunk
    int32_t* filled;     // words in each chunk
    int64_t used;        // chunks handed out
    int shift;           // word -> bucket
    int64_t n_buckets;
};

// One thread's open chunks. A cursor on a chunk boundary has no room left.
class Collector {
public:
    Collector(ChunkPool& pool, uint64_t** cursors) : pool_(pool), cursors_(cursors) {
        for (int64_t b = 0; b < pool.n_buckets; ++b) cursors[b] = nullptr;
    }
    static VecI words(VecI key, VecI same) { return key + key - same; }
    __attribute__((always_inline)) void push(uint64_t word) {
        const uint64_t bucket = word >> pool_.shift;
        uint64_t* at = cursors_[bucket];
        if (__builtin_expect(is_boundary(at), 0)) at = new_chunk(bucket);
        *at = word;
        cursors_[bucket] = at + 1;
    }
    void close() {
        for (int64_t b = 0; b < pool_.n_buckets; ++b)
            if (!is_boundary(cursors_[b])) {
                const int64_t at = cursors_[b] - pool_.words;
                pool_.filled[at / kChunk] = static_cast<int32_t>(at % kChunk);
            }
    }

private:
    static bool is_boundary(const uint64_t* at) {
        return reinterpret_cast<uintptr_t>(at) % (kChunk * sizeof(uint64_t)) == 0;
    }
    __attribute__((noinline)) uint64_t* new_chunk(uint64_t bucket) {
        const int64_t chunk = __atomic_fetch_add(&pool_.used, 1, __ATOMIC_RELAXED);
        pool_.bucket[chunk] = static_cast<int32_t>(bucket);
        pool_.filled[chunk] = kChunk;
        return pool_.words + chunk * kChunk;
    }
    ChunkPool& pool_;
    uint64_t** cursors_;
};

static void insertion_sort(uint64_t* words, int64_t count) {
    for (int64_t i = 1; i < count; ++i) {
        const uint64_t word = words[i];
        int64_t j = i;
        for (; j > 0 && words[j - 1] > word; --j) words[j] = words[j - 1];
        words[j] = word;
    }
}

// Sorts words that agree above their lowest `bits` bits: distributes them on the leading ones of
// these, as many as make the parts small, then sorts the parts.
static void sort_words(uint64_t* words, uint64_t* scratch, int64_t count, int bits) {
    constexpr int64_t kSmall = 24;
    constexpr int kMostBits = 12;
    if (count <= kSmall) return insertion_sort(words, count);
    if (bits == 0) return;
    int part_bits = 2;
    while (part_bits < kMostBits && (count >> part_bits) > 2) ++part_bits;
    if (part_bits > bits) part_bits = bits;
    const int shift = bits - part_bits;
    const int64_t mask = (int64_t{1} << part_bits) - 1;
    int32_t ends[(1 << kMostBits) + 1];
    for (int64_t b = 0; b <= mask + 1; ++b) ends[b] = 0;
    for (int64_t i = 0; i < count; ++i) ++ends[((words[i] >> shift) & mask) + 1];
    for (int64_t b = 0; b <= mask; ++b) ends[b + 1] += ends[b];
    for (int64_t i = 0; i < count; ++i) scratch[ends[(words[i] >> shift) & mask]++] = words[i];
    __builtin_memcpy(words, scratch, count * sizeof(uint64_t));
    int64_t begin = 0;
    for (int64_t b = 0; b <= mask; ++b) {
        if (ends[b] - begin > 1) sort_words(words + begin, scratch, ends[b] - begin, shift);
        begin = ends[b];
    }
}

static RankTally tally_sorted(const uint64_t* words, int64_t count) {
    RankTally tally;
    for (int64_t i = 0; i < count;) {
        const uint64_t key = words[i] >> 1;
        uint64_t groups[2] = {0, 0};
        for (; i < count && words[i] >> 1 == key; ++i) ++groups[words[i] & 1];
        append(tally, groups[1], groups[0]);
    }
    return tally;
}

}  // namespace TK_ISA
}  // namespace tk
