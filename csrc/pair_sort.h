// Exact rank sum of few pairs: their keys are collected in buckets of increasing key, then sorted.
#pragma once

#include "buffer.h"
#include "pair_chunks.h"
#include "rank_tally.h"

namespace tk {
namespace TK_ISA {

// A word is twice the distance key, plus one for pairs within a class. The largest key is 2^45.
constexpr int kWordBits = kKeyBits + 2;
constexpr int kMaxBucketBits = 11;

TK_INLINE int bucket_bits(int64_t pairs) {
    int bits = 0;
    while (bits < kMaxBucketBits && (pairs >> bits) > 8192) ++bits;
    return bits;
}

constexpr int64_t kWordChunkBytes = 8192;
typedef Chunks<uint64_t, kWordChunkBytes> WordChunks;

// Memory shared by the team: chunks of words, each of one bucket.
struct ChunkPool {
    uint64_t* words;  // aligned
    int32_t* bucket;  // of each chunk
    int32_t* filled;  // words in each chunk
    int64_t used;     // chunks handed out
    int shift;        // word -> bucket
    int64_t n_buckets;
};

// One thread's open chunks.
class Collector {
public:
    Collector(ChunkPool& pool, uint64_t** cursors) : pool_(pool), writer_(cursors) {
        for (int64_t b = 0; b < pool.n_buckets; ++b) open(b);
    }
    // `same` is -1 for pairs within a class, else 0.
    static VecI words(VecI key, VecI same) { return key + key - same; }
    __attribute__((always_inline)) void push(uint64_t word) {
        writer_.push(static_cast<uint32_t>(word >> pool_.shift), word);
    }
    __attribute__((always_inline)) void settle() {
        writer_.settle([&](uint32_t bucket) {
            note(bucket);
            open(bucket);
        });
    }
    void close() {
        for (int64_t b = 0; b < pool_.n_buckets; ++b) note(b);
    }

private:
    __attribute__((noinline)) void open(int64_t bucket) {
        const int64_t chunk = __atomic_fetch_add(&pool_.used, 1, __ATOMIC_RELAXED);
        pool_.bucket[chunk] = static_cast<int32_t>(bucket);
        writer_.cursor(bucket) = WordChunks::begin(pool_.words, chunk, bucket);
    }
    // A full chunk's cursor is past its end by less than the slack.
    __attribute__((noinline)) void note(int64_t bucket) {
        const int64_t at = writer_.cursor(bucket) - WordChunks::begin(pool_.words, 0, bucket);
        const int64_t chunk = at / WordChunks::kEntries;
        pool_.filled[chunk] = static_cast<int32_t>(at - chunk * WordChunks::kEntries);
    }
    ChunkPool& pool_;
    ChunkWriter<uint64_t, kWordChunkBytes> writer_;
};

// Lists the chunks bucket by bucket: those of bucket b are by_bucket[first[b]] ... [first[b + 1] - 1].
// Writes the words in each bucket to `size` and returns the largest.
static int64_t list_chunks(const ChunkPool& pool, int64_t* first, int64_t* size, int32_t* by_bucket) {
    for (int64_t b = 0; b < pool.n_buckets; ++b) first[b] = size[b] = 0;
    first[pool.n_buckets] = 0;
    for (int64_t c = 0; c < pool.used; ++c) {
        ++first[pool.bucket[c] + 1];
        size[pool.bucket[c]] += pool.filled[c];
    }
    int64_t largest = 0;
    for (int64_t b = 0; b < pool.n_buckets; ++b) {
        first[b + 1] += first[b];
        if (size[b] > largest) largest = size[b];
    }
    for (int64_t c = pool.used - 1; c >= 0; --c) by_bucket[--first[pool.bucket[c] + 1]] = c;
    for (int64_t b = 0; b < pool.n_buckets; ++b) first[b] = first[b + 1];
    first[pool.n_buckets] = pool.used;
    return largest;
}

static void insertion_sort(uint64_t* words, int64_t count) {
    for (int64_t i = 1; i < count; ++i) {
        const uint64_t word = words[i];
        int64_t j = i;
        for (; j > 0 && words[j - 1] > word; --j) words[j] = words[j - 1];
        words[j] = word;
    }
}

// Sorts words that agree above their lowest `bits` bits: distributes them on the leading ones of
// these, as many as make nearly all parts tiny, and sorts large parts likewise.
static void sort_words(uint64_t* words, uint64_t* scratch, int64_t count, int bits) {
    constexpr int64_t kSmall = 32;
    constexpr int kMostBits = 13;
    if (count <= kSmall) return insertion_sort(words, count);
    if (bits == 0) return;
    int part_bits = 1;
    while (part_bits < kMostBits && part_bits < bits && count >> part_bits > 0) ++part_bits;
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
        if (ends[b] - begin > kSmall) sort_words(words + begin, scratch, ends[b] - begin, shift);
        begin = ends[b];
    }
    insertion_sort(words, count);  // the parts are in order: words move only within tiny ones
}

static RankTally tally_sorted(const uint64_t* words, int64_t count) {
    RankTally tally;
    for (int64_t i = 0; i < count;) {
        const uint64_t key = words[i] >> 1;
        int64_t end = i;
        uint64_t same = 0;
        for (; end < count && words[end] >> 1 == key; ++end) same += words[end] & 1;
        if (end - i == 1) {  // by far the most frequent case, and free of cubes
            tally.twice_u += same ? 0 : 2 * tally.same;
            tally.same += same;
            tally.different += 1 - same;
        } else {
            append(tally, same, end - i - same);
        }
        i = end;
    }
    return tally;
}

}  // namespace TK_ISA
}  // namespace tk
