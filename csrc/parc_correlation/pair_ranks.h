// Spearman correlation of two distances of the same pairs of rows, few enough to be sorted.
//
// Sorted by the second distance, the pairs get their ranks in it; sorted by the first, these ranks are
// summed up with weights. A rank is twice the averaged one, less its mean: an integer.
#pragma once

#include "common/buffer.h"
#include "pair_sort.h"
#include "rank_tally.h"

namespace tk {
namespace TK_ISA {

// A word is a distance key and, below it, the number of the pair, row by row.
constexpr int kPairNumberBits = 63 - kKeyBits;
constexpr int64_t kMostNumberedPairs = int64_t{1} << kPairNumberBits;

class NumberedKeys {
public:
    explicit NumberedKeys(int64_t n) : n_(n) {}
    // What RowPairs::visit asks for.
    void operator()(int64_t i, int64_t j, const RegisterTile& tile, uint64_t* words) const {
        tile_words(tile, words);
        for (int r = 0; r < kTileRows; ++r) {
            const int64_t row = i + r;
            const int64_t first = row * (2 * n_ - row - 3) / 2 - 1 + j;
            for (int c = 0; c < kPanel; ++c)
                words[r * kPanel + c] = words[r * kPanel + c] << (kPairNumberBits - 1) |
                                        static_cast<uint64_t>(first + c);
        }
    }
    static int64_t number(uint64_t word) { return word & (kMostNumberedPairs - 1); }

private:
    const int64_t n_;
};

// Correlation of ranks from their products and from the ties of either distance; NaN where one is
// constant.
TK_INLINE double rank_correlation(uint64_t n_pairs, __int128 product, Wide ties, Wide other_ties) {
    const Wide spread = rank_spread(n_pairs, ties), other_spread = rank_spread(n_pairs, other_ties);
    if (spread == 0 || other_spread == 0) return __builtin_nan("");
    return 3.0 * static_cast<double>(product) /
           (__builtin_sqrt(static_cast<double>(spread)) *
            __builtin_sqrt(static_cast<double>(other_spread)));
}

// Calls visit(begin, end, rank) for each run of words with equal keys; returns their tie term.
template <class Visit>
static Wide visit_ties(const uint64_t* words, int64_t count, int64_t below, int64_t n_pairs,
                       Visit visit) {
    Wide ties = 0;
    for (int64_t begin = 0; begin < count;) {
        const uint64_t key = words[begin] >> kPairNumberBits;
        int64_t end = begin + 1;
        while (end < count && words[end] >> kPairNumberBits == key) ++end;
        if (end - begin > 1) ties += tie_term(end - begin);
        visit(begin, end, 2 * (below + begin) + (end - begin) - n_pairs);
        begin = end;
    }
    return ties;
}

// Number of a pair some words later: its rank is fetched ahead of its turn.
TK_INLINE int64_t number_ahead(const uint64_t* words, int64_t at, int64_t count) {
    constexpr int64_t kAhead = 32;
    return NumberedKeys::number(words[at + kAhead < count ? at + kAhead : count - 1]);
}

static double sorted_correlation(RowPairs& pairs, RowPairs& others, int64_t n, int n_threads) {
    const int64_t n_pairs = n * (n - 1) / 2, n_buckets = bucket_count(n_pairs);
    Buffer<int32_t> ranks(n_pairs);
    Buffer<Wide> ties(n_buckets), other_ties(n_buckets);
    Buffer<__int128> products(n_buckets);
    const NumberedKeys words_of(n);
    sort_pairs(others, n_pairs, kKeyBits + kPairNumberBits, n_threads, words_of,
               [&](int64_t bucket, int64_t below, const uint64_t* words, int64_t count) {
                   auto keep = [&](int64_t begin, int64_t end, int64_t rank) {
                       __builtin_prefetch(&ranks[number_ahead(words, begin, count)], 1);
                       for (int64_t w = begin; w < end; ++w)
                           ranks[NumberedKeys::number(words[w])] = static_cast<int32_t>(rank);
                   };
                   other_ties[bucket] = visit_ties(words, count, below, n_pairs, keep);
               });
    sort_pairs(pairs, n_pairs, kKeyBits + kPairNumberBits, n_threads, words_of,
               [&](int64_t bucket, int64_t below, const uint64_t* words, int64_t count) {
                   __int128 product = 0;
                   auto add = [&](int64_t begin, int64_t end, int64_t rank) {
                       __builtin_prefetch(&ranks[number_ahead(words, begin, count)]);
                       int64_t sum = 0;
                       for (int64_t w = begin; w < end; ++w)
                           sum += ranks[NumberedKeys::number(words[w])];
                       product += static_cast<__int128>(rank) * sum;
                   };
                   ties[bucket] = visit_ties(words, count, below, n_pairs, add);
                   products[bucket] = product;
               });
    for (int64_t b = 1; b < n_buckets; ++b) {
        products[0] += products[b];
        ties[0] += ties[b];
        other_ties[0] += other_ties[b];
    }
    return rank_correlation(n_pairs, products[0], ties[0], other_ties[0]);
}

}  // namespace TK_ISA
}  // namespace tk
