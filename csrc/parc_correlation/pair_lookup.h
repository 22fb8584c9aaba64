// Rank sum where few pairs are within a class: a table holds their keys, and all others are looked up.
//
// Rows stand in the order of their classes, so that pairs within classes lie in few blocks of all pairs.
// A sample of the pairs tells how to divide the keys into buckets that are about equally full. The rank
// sum is exact. Ties are not counted: there can be no more than if all pairs of a bucket were tied.
#pragma once

#include "common/buffer.h"
#include "common/integers.h"
#include "key_bins.h"
#include "pair_sort.h"
#include "rank_tally.h"
#include "row_pairs.h"

namespace tk {
namespace TK_ISA {

// Pairs: buckets of fewer say little about ties, and more are not counted in 32 bits.
constexpr int64_t kFewestLookedUp = int64_t{1} << 18;
constexpr int64_t kMostLookedUp = (int64_t{1} << 31) - 1;
// Features: of more, it takes longer to multiply the blocks within classes twice than to sort.
constexpr int64_t kMostLookedUpColumns = 512;

// Keys of the pairs within classes, of rows in the order of their classes.
class SamePairs {
public:
    SamePairs(const int64_t* codes, const int64_t* order, int64_t n, int64_t n_pairs)
        : n_rows_(n), n_pairs_(n_pairs), ends_(n), offsets_(n), keys_(n_pairs) {
        int64_t first = 0;
        for (int64_t begin = 0, end; begin < n; begin = end) {
            for (end = begin + 1; end < n && codes[order[end]] == codes[order[begin]];) ++end;
            for (int64_t i = begin; i < end; ++i) {
                ends_[i] = end;
                offsets_[i] = first - (i + 1);
                first += end - (i + 1);
            }
        }
    }

    // Whether the last row before position i has the class of one from position j.
    bool meet(int64_t i, int64_t j) const { return j < ends_[smaller(i, n_rows_) - 1]; }

    // Keeps the keys of the pairs i < j within classes, of a register tile with row i and column j first.
    void keep(int64_t i, int64_t j, const uint64_t* keys) {
        for (int64_t row = i; row < smaller(i + kTileRows, n_rows_); ++row, keys += kPanel) {
            const int64_t end = smaller(j + kPanel, ends_[row]);
            for (int64_t column = larger(j, row + 1); column < end; ++column)
                keys_[offsets_[row] + column] = keys[column - j];
        }
    }

    int64_t count() const { return n_pairs_; }
    const uint64_t* keys() const { return keys_.data(); }

private:
    const int64_t n_rows_, n_pairs_;
    Buffer<int64_t> ends_, offsets_;  // the pairs of a row are [offset + column], column < end
    Buffer<uint64_t> keys_;
};

// What is not looked up lies in a cell above all others.
constexpr int64_t kNoKey = kCells << kCellBits;

// One access to memory serves a look-up: lane 0 counts them, the others hold keys in any order, of which
// the lower half tells those of one bucket apart. kMore in lane 0 tells that some did not fit.
typedef int32_t Bucket __attribute__((vector_size(32)));
constexpr int kSlots = 7;
constexpr int32_t kEmpty = 0x7fffffff;  // no key, and above all
static_assert(kCellBits <= 31, "a bucket is of keys with equal signs of their lower halves");
constexpr uint32_t kMore = uint32_t{1} << 31;

class KeyTable {
public:
    // `sampled` pairs are in each cell. There is a copy of the buckets for every thread.
    KeyTable(const SamePairs& same_pairs, const int64_t* sampled, int n_threads)
        : links_(kCells + 1), n_buckets_(divide(sampled, bucket_target(same_pairs.count()))),
          buckets_(n_threads * n_buckets_), keys_in_(n_buckets_), first_more_(n_buckets_ + 1),
          more_(same_pairs.count()) {
        const Bucket empty = {0, kEmpty, kEmpty, kEmpty, kEmpty, kEmpty, kEmpty, kEmpty};
        for (int64_t b = 0; b < n_buckets_; ++b) {
            buckets_[b] = empty;
            keys_in_[b] = 0;
        }
        int64_t n_more = 0;
        for (int64_t k = 0; k < same_pairs.count(); ++k) {
            const uint64_t place = locate(same_pairs.keys()[k]);
            const uint32_t slot = keys_in_[place >> 32]++;
            if (slot < kSlots)
                buckets_[place >> 32][1 + slot] = static_cast<int32_t>(place);
            else
                more_[n_more++] = place;
        }
        sort_more(n_more);
    }

    int64_t n_buckets() const { return n_buckets_; }
    Bucket* buckets(int thread) const { return buckets_.data() + thread * n_buckets_; }
    uint64_t keys_in(int64_t bucket) const { return keys_in_[bucket]; }

    // A key's place: its bucket, and its lower half.
    __attribute__((always_inline)) uint64_t locate(uint64_t key) const {
        const int64_t link = links_[key >> kCellBits];
        const int64_t bucket = (link >> 6) + static_cast<int64_t>(key >> (link & 63));
        return static_cast<uint64_t>(bucket) << 32 | static_cast<uint32_t>(key);
    }

    // Twice the averaged rank of a key among those that did not fit into its bucket.
    int64_t twice_rank(uint64_t place) const {
        const int64_t begin = first_more_[place >> 32], end = first_more_[(place >> 32) + 1];
        return count_below(place, begin, end) + count_below(place + 1, begin, end);
    }

private:
    // Few of the buckets overflow; more of them would be further away.
    static int64_t bucket_target(int64_t n_keys) {
        int64_t target = int64_t{1} << 15;
        while (target * 5 < n_keys) target *= 2;
        return target;
    }

    // Writes the cells' links and returns the number of buckets, at most about twice the target.
    int64_t divide(const int64_t* sampled, int64_t target) {
        int64_t n_sampled = 0, n_buckets = 0;
        for (int64_t c = 0; c < kCells; ++c) n_sampled += sampled[c];
        const double scale = static_cast<double>(target) / static_cast<double>(n_sampled);
        for (int64_t c = 0; c <= kCells; ++c) {
            double expected = c < kCells ? static_cast<double>(sampled[c]) * scale : 0.0;
            int bits = 0;
            for (; bits < kCellBits && expected > 1.0; ++bits) expected *= 0.5;
            links_[c] = (n_buckets - (c << bits)) * 64 + (kCellBits - bits);
            n_buckets += int64_t{1} << bits;
        }
        return n_buckets;
    }

    // Lists the keys that did not fit into their buckets, in order.
    void sort_more(int64_t n_more) {
        Buffer<uint64_t> found(n_more), scratch(n_more);
        __builtin_memcpy(found.data(), more_.data(), n_more * sizeof(uint64_t));
        uint32_t first = 0;
        for (int64_t b = 0; b < n_buckets_; ++b) {
            first_more_[b] = first;
            if (keys_in_[b] <= kSlots) continue;
            buckets_[b][0] = static_cast<int32_t>(kMore);
            first += keys_in_[b] - kSlots;
        }
        first_more_[n_buckets_] = first;
        for (int64_t k = 0; k < n_more; ++k) more_[first_more_[found[k] >> 32]++] = found[k];
        first = 0;
        for (int64_t b = 0; b < n_buckets_; ++b) {
            const uint32_t end = first_more_[b];
            if (end > first)
                sort_words(more_.data() + first, scratch.data(), end - first, kCellBits);
            first_more_[b] = first;
            first = end;
        }
    }

    int64_t count_below(uint64_t place, int64_t begin, int64_t end) const {
        int64_t low = begin;
        while (low < end) {
            const int64_t middle = (low + end) / 2;
            if (more_[middle] < place)
                low = middle + 1;
            else
                end = middle;
        }
        return low - begin;
    }

    Buffer<int64_t>
        links_;  // of a cell: its keys' buckets are [(link >> 6) + (key >> (link & 63))]
    const int64_t n_buckets_;
    Buffer<Bucket> buckets_;
    Buffer<uint32_t> keys_in_, first_more_;
    Buffer<uint64_t> more_;  // places of the keys that did not fit, in order
};

// One thread's look-ups. Words are places of keys in the table.
class Lookup : public TileSink {
public:
    Lookup(const KeyTable& table, int thread) : table_(table), buckets_(table.buckets(thread)) {}

    // Pairs within a class are not looked up.
    static VecI words(VecI key, VecI same) { return ((key + key) & ~same) | (same & kNoKey); }

    // Turns keys into places, whose buckets are fetched while the next tile is multiplied.
    __attribute__((always_inline)) void locate(uint64_t* words) const {
        for (int w = 0; w < kTileWords; ++w) {
            words[w] = table_.locate(words[w]);
            __builtin_prefetch(buckets_ + (words[w] >> 32), 1);
        }
    }

    __attribute__((always_inline)) void take(const uint64_t* words, int count) {
        const Bucket one = {1};
        Bucket above = above_;
        uint64_t* more = more_ + n_more_;
        for (int w = 0; w < count; ++w) {
            Bucket& bucket = buckets_[words[w] >> 32];
            const Bucket keys = bucket;
            const Bucket key = Bucket{} + static_cast<int32_t>(words[w]);
            *more = words[w];
            more += static_cast<uint32_t>(keys[0]) >> 31;
            above += (keys < key) - (keys > key);
            bucket = keys + one;
        }
        above_ = above;
        taken_ += count;
        n_more_ = static_cast<int>(more - more_);
        if (__builtin_expect(n_more_ > kMostMore, 0)) search_more();
    }
    void close() { search_more(); }

    // Sum over all look-ups of twice the averaged rank of a key among those of its bucket.
    int64_t twice_ranks() const {
        int64_t sum = kSlots * taken_ + twice_more_;  // an empty slot is above every key
        for (int slot = 1; slot <= kSlots; ++slot) sum -= above_[slot];
        return sum;
    }

private:
    static constexpr int kMostMore = 1024;

    __attribute__((noinline)) void search_more() {
        for (int m = 0; m < n_more_; ++m) twice_more_ += table_.twice_rank(more_[m]);
        n_more_ = 0;
    }

    const KeyTable& table_;
    Bucket* const buckets_;
    Bucket above_ = {};  // of each slot: keys looked up below it, minus keys above it
    int64_t taken_ = 0, twice_more_ = 0;
    int n_more_ = 0;
    uint64_t more_[kMostMore + kTileWords + 1];
};

struct LookupSum {
    Wide twice_u = 0;    // see RankTally
    Wide most_ties = 0;  // upper bound of the tie term
};

// `pairs` in the order of the classes; see RowPairs::visit for make_keys.
template <class MakeKeys>
static LookupSum look_up_pairs(RowPairs& pairs, SamePairs& same_pairs, int n_threads,
                               MakeKeys make_keys) {
    Buffer<int64_t> sampled(n_threads * 2 * kCells);
    for (int64_t c = 0; c < n_threads * 2 * kCells; ++c) sampled[c] = 0;
    auto sample = [&](Member member) {
        pairs.prepare(member);
        CellCounter counter{sampled.data() + member.rank * 2 * kCells};
        auto keep = [&](int64_t i, int64_t j, const RegisterTile& tile, uint64_t* words) {
            tile_words(tile, words);
            if (same_pairs.meet(i + kTileRows, j)) same_pairs.keep(i, j, words);
        };
        // Some of the other blocks too: they tell where other keys are.
        pairs.visit(member, counter, keep, [&](int64_t i, int64_t j) {
            return same_pairs.meet(i, j) || (i / kBlock + 5 * (j / kBlock)) % 16 == 0;
        });
    };
    run_team(n_threads, sample);
    for (int64_t t = 1; t < n_threads; ++t)
        for (int64_t c = 0; c < kCells; ++c) sampled[c] += sampled[t * 2 * kCells + c];

    const KeyTable table(same_pairs, sampled.data(), n_threads);
    Buffer<int64_t> twice_ranks(n_threads);
    int n_members = 0;
    auto look_up = [&](Member member) {
        if (member.rank == 0)
            n_members = member.size;
        else
            __builtin_memcpy(table.buckets(member.rank), table.buckets(0),
                             table.n_buckets() * sizeof(Bucket));
        member.barrier.wait();  // thread 0 counts in the table itself
        Lookup lookup(table, member.rank);
        auto make_places = [&](int64_t i, int64_t j, const RegisterTile& tile, uint64_t* words) {
            make_keys(i, j, tile, words);
            lookup.locate(words);
        };
        pairs.visit(member, lookup, make_places);
        twice_ranks[member.rank] = lookup.twice_ranks();
    };
    run_team(n_threads, look_up);

    LookupSum sum;
    for (int t = 0; t < n_members; ++t) sum.twice_u += static_cast<Wide>(twice_ranks[t]);
    uint64_t below = 0;
    for (int64_t b = 0; b < table.n_buckets() - 1; ++b) {
        uint64_t looked_up = 0;
        for (int t = 0; t < n_members; ++t)
            looked_up += static_cast<uint32_t>(table.buckets(t)[b][0]) & ~kMore;
        sum.twice_u += static_cast<Wide>(looked_up) * (2 * below);
        sum.most_ties += tie_term(looked_up + table.keys_in(b));
        below += table.keys_in(b);
    }
    return sum;
}

}  // namespace TK_ISA
}  // namespace tk
