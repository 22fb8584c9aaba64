// PARC's rank correlation: all pairs of rows, sorted or looked up where they are few, binned where many.
#include "parc_correlation.h"

#include "binned_correlation.h"
#include "common/integers.h"
#include "pair_lookup.h"
#include "pair_ranks.h"
#include "pair_sort.h"
#include "row_pairs.h"

namespace tk {
namespace TK_ISA {
namespace {

// Class codes of the rows in `order`, or in their own where it is null; whole panels of them.
class Codes {
public:
    Codes(const int64_t* codes, const int64_t* order, int64_t n) : codes_(panel_count(n) * kPanel) {
        for (int64_t i = 0; i < panel_count(n) * kPanel; ++i)
            codes_[i] = i < n ? codes[order ? order[i] : i] : -1;
    }

    // What RowPairs::visit asks for, with the sink's layout of the words.
    template <class Sink>
    auto words() const {
        const int64_t* codes = codes_.data();
        return [codes](int64_t i, int64_t j, const RegisterTile& tile, uint64_t* words) {
#pragma GCC unroll 8
            for (int v = 0; v < kPanelVectors; ++v) {
                VecI col_codes;
                __builtin_memcpy(&col_codes, codes + j + v * kLanes, sizeof col_codes);
#pragma GCC unroll 8
                for (int r = 0; r < kTileRows; ++r) {
                    const VecI same = col_codes == codes[i + r];
                    const VecI word = Sink::words(distance_keys(tile.sum[r][v]), same);
                    __builtin_memcpy(words + r * kPanel + v * kLanes, &word, sizeof word);
                }
            }
        };
    }

private:
    Buffer<int64_t> codes_;
};

// Words that sort by distance, and tell pairs within a class.
struct SortedWords {
    static VecI words(VecI key, VecI same) { return key + key - same; }
};

RankTally sorted_tally(RowPairs& pairs, const Codes& codes, int64_t n_pairs, int n_threads) {
    Buffer<RankTally> tallies(bucket_count(n_pairs));
    sort_pairs(pairs, n_pairs, kKeyBits + 1, n_threads, codes.words<SortedWords>(),
               [&](int64_t bucket, int64_t, const uint64_t* words, int64_t count) {
                   tallies[bucket] = tally_sorted(words, count);
               });
    RankTally total;
    for (int64_t b = 0; b < bucket_count(n_pairs); ++b) append(total, tallies[b]);
    return total;
}

// All pairs may fall in one bin.
bool fits_narrow_counters(int64_t n_pairs, int64_t limit) {
    return n_pairs <= limit && n_pairs >> 32 == 0;
}

}  // namespace

void parc_correlation_vectors(const ParcVectorsArgs& args) {
    const int64_t n = args.x.rows, n_pairs = n * (n - 1) / 2;
    RowPairs pairs(args.x, args.n_threads);
    RowPairs label_pairs(args.labels, args.n_threads, args.label_magnitude);
    *args.error = 0.0;
    if (n_pairs <= smaller(args.sort_limit, kMostNumberedPairs)) {
        *args.correlation = sorted_correlation(pairs, label_pairs, n, args.n_threads);
        return;
    }
    TileKeys label_keys(args.labels, args.label_magnitude, args.n_threads);
    auto correlate = fits_narrow_counters(n_pairs, args.narrow_limit) ? &correlate_binned<uint32_t>
                                                                      : &correlate_binned<uint64_t>;
    const Coefficient found = correlate(pairs, label_pairs, label_keys, n, args.tolerance,
                                        args.n_threads);
    *args.correlation = found.value;
    *args.error = found.error;
}

void parc_correlation(const ParcArgs& args) {
    const int64_t n = args.x.rows, n_pairs = n * (n - 1) / 2;
    const uint64_t same = args.same_pairs, different = n_pairs - args.same_pairs;
    *args.correlation = __builtin_nan("");
    *args.error = 0.0;
    if (same == 0 || different == 0) return;
    const bool few_pairs = n_pairs <= args.sort_limit;
    const double share = static_cast<double>(same) / static_cast<double>(n_pairs);
    const bool look_up = few_pairs && n_pairs >= kFewestLookedUp && n_pairs <= kMostLookedUp &&
                         args.x.cols <= kMostLookedUpColumns && share <= args.lookup_share;
    const int64_t* order = look_up ? args.order : nullptr;
    RowPairs pairs(args.x, args.n_threads, 0.0, order);
    const Codes codes(args.codes, order, args.x.rows);
    if (look_up) {
        SamePairs same_pairs(args.codes, order, args.x.rows, args.same_pairs);
        const LookupSum sum = look_up_pairs(pairs, same_pairs, args.n_threads,
                                            codes.words<Lookup>());
        *args.correlation = spearman(same, different, sum.twice_u, 0);
        const double lowest = spearman(same, different, sum.twice_u, sum.most_ties);
        *args.error = __builtin_fabs(lowest - *args.correlation);
        if (*args.error <= args.tolerance) return;
        *args.error = 0.0;
    }
    if (few_pairs) {
        const RankTally tally = sorted_tally(pairs, codes, n_pairs, args.n_threads);
        *args.correlation = spearman(same, different, tally.twice_u, tally.ties);
        return;
    }
    const auto words = codes.words<SortedWords>();
    const Coefficient found = fits_narrow_counters(n_pairs, args.narrow_limit)
                                  ? correlate_binned<uint32_t>(pairs, n, same, different,
                                                               args.tolerance, args.n_threads,
                                                               words)
                                  : correlate_binned<uint64_t>(pairs, n, same, different,
                                                               args.tolerance, args.n_threads,
                                                               words);
    *args.correlation = found.value;
    *args.error = found.error;
}

}  // namespace TK_ISA
}  // namespace tk
