// A word for each of few pairs, in ascending order: collected in buckets by leading bits, then sorted.
#pragma once

#include "common/buffer.h"
#include "common/integers.h"
#include "pair_chunks.h"
#include "row_pairs.h"

namespace tk {
namespace TK_ISA {

constexpr int kMaxBucketBits = 11;

TK_INLINE int bucket_bits(int64_t pairs) {
    int bits = 0;
    while (bits < kMaxBucketBits && (pairs >> bits) > 8192) ++bits;
    return bits;
}
// The last bucket is for the largest key, a power of two.
TK_INLINE int64_t bucket_count(int64_t pairs) { return (int64_t{1} << bucket_bits(pairs)) + 1; }

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
static int64_t list_chunks(const ChunkPool& pool, int64_t* first, int64_t* size,
                           int32_t* by_bucket) {
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
    constexpr int64_t kSmall = 32, kStretch = 1 << 20;
    constexpr int kMostBits = 13;
    if (count <= kSmall) return insertion_sort(words, count);
    const bool large = count > kSmall * 1024;
    if (bits == 0 || (large && stopped())) return;
    int part_bits = 1;
    while (part_bits < kMostBits && part_bits < bits && count >> part_bits > 0) ++part_bits;
    const int shift = bits - part_bits;
    const int64_t mask = (int64_t{1} << part_bits) - 1;
    int32_t ends[(1 << kMostBits) + 1];
    for (int64_t b = 0; b <= mask + 1; ++b) ends[b] = 0;
    for (int64_t i = 0; i < count;) {
        if (large && stopped()) return;
        for (const int64_t end = smaller(i + kStretch, count); i < end; ++i)
            ++ends[((words[i] >> shift) & mask) + 1];
    }
    for (int64_t b = 0; b <= mask; ++b) ends[b + 1] += ends[b];
    for (int64_t i = 0; i < count;) {
        if (large && stopped()) return;
        for (const int64_t end = smaller(i + kStretch, count); i < end; ++i)
            scratch[ends[(words[i] >> shift) & mask]++] = words[i];
    }
    __builtin_memcpy(words, scratch, count * sizeof(uint64_t));
    int64_t begin = 0;
    for (int64_t b = 0; b <= mask; ++b) {
        if (ends[b] - begin > kSmall) sort_words(words + begin, scratch, ends[b] - begin, shift);
        begin = ends[b];
    }
    if (large && stopped()) return;  // its parts may be in disorder, and large
    insertion_sort(words, count);    // the parts are in order: words move only within tiny ones
}

// Sorts the words of all pairs and calls visit(bucket, words in lower buckets, words, count) for every
// bucket, on any thread. A word starts with the distance key: keys below the largest, 2^kKeyBits, give
// words below 2^word_bits. See RowPairs::visit for make_words.
template <class MakeWords, class Visit>
static void sort_pairs(RowPairs& pairs, int64_t n_pairs, int word_bits, int n_threads,
                       MakeWords make_words, Visit visit) {
    const int64_t n_buckets = bucket_count(n_pairs);
    const int64_t max_chunks = n_pairs / (WordChunks::kEntries - WordChunks::kMostLost) +
                               n_threads * n_buckets;
    Buffer<uint64_t> words(WordChunks::memory(max_chunks));
    Buffer<int32_t> bucket(max_chunks), filled(max_chunks), by_bucket(max_chunks);
    Buffer<uint64_t*> cursors(n_threads * n_buckets);
    Buffer<int64_t> first(n_buckets + 1), size(n_buckets), below(n_buckets);
    ChunkPool pool{WordChunks::align(words.data()),  bucket.data(), filled.data(), 0,
                   word_bits - bucket_bits(n_pairs), n_buckets};
    auto collect = [&](Member member) {
        pairs.prepare(member);
        Collector collector(pool, cursors.data() + member.rank * n_buckets);
        pairs.visit(member, collector, make_words);
    };
    run_team(n_threads, collect);

    const int64_t largest = list_chunks(pool, first.data(), size.data(), by_bucket.data());
    below[0] = 0;
    for (int64_t b = 1; b < n_buckets; ++b) below[b] = below[b - 1] + size[b - 1];
    // Equal distances may all lie in one bucket: then fewer threads, with more memory each.
    constexpr int64_t kScratchWords = int64_t{1} << 24;
    int n_sorters = n_threads;
    while (n_sorters > 1 && n_sorters * 2 * largest > kScratchWords) --n_sorters;
    Buffer<uint64_t> scratch(n_sorters * 2 * largest);
    Queue queue(n_buckets);
    auto sort = [&](Member member) {
        uint64_t* sorted = scratch.data() + member.rank * 2 * largest;
        for (int64_t b; (b = queue.next()) >= 0;) {
            uint64_t* end = sorted;
            for (int64_t c = first[b]; c < first[b + 1]; ++c) {
                const int64_t chunk = by_bucket[c];
                __builtin_memcpy(end, WordChunks::begin(pool.words, chunk, b),
                                 pool.filled[chunk] * sizeof(uint64_t));
                end += pool.filled[chunk];
            }
            sort_words(sorted, sorted + largest, size[b], pool.shift);
            visit(b, below[b], sorted, size[b]);
        }
    };
    run_team(n_sorters, sort);
}

}  // namespace TK_ISA
}  // namespace tk
