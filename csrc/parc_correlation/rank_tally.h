// Rank sum of two groups of values, with ties, in exact integers.
#pragma once

#include <cstdint>

#include "common/simd.h"

namespace tk {
namespace TK_ISA {

typedef unsigned __int128 Wide;  // the cube of the number of pairs of a million rows fits

TK_INLINE Wide tie_term(uint64_t tied) { return (Wide)tied * tied * tied - tied; }

// Values in increasing order, each of the group `same` (pairs within a class) or `different`.
struct RankTally {
    uint64_t same = 0, different = 0;
    Wide twice_u = 0;  // twice the number of (same, different) with same < different, ties one half
    Wide ties = 0;     // sum of t^3 - t over groups of t equal values
};

// Appends equal values.
TK_INLINE void append(RankTally& tally, uint64_t same, uint64_t different) {
    tally.twice_u += (Wide)different * (2 * tally.same + same);
    tally.ties += tie_term(same + different);
    tally.same += same;
    tally.different += different;
}

// Appends values that are all larger.
TK_INLINE void append(RankTally& tally, const RankTally& larger) {
    tally.twice_u += larger.twice_u + (Wide)2 * tally.same * larger.different;
    tally.ties += larger.ties;
    tally.same += larger.same;
    tally.different += larger.different;
}

// Of sorted words, each twice a value plus one where it is of the group `same`.
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

// Twelve times the sum of squared deviations of the ranks of `pairs` values.
TK_INLINE Wide rank_spread(uint64_t pairs, Wide ties) { return tie_term(pairs) - ties; }

// Spearman's correlation of the values with "different"; NaN where either side is constant.
TK_INLINE double spearman(uint64_t same, uint64_t different, Wide twice_u, Wide ties) {
    const uint64_t pairs = same + different;
    const Wide spread = rank_spread(pairs, ties);
    if (same == 0 || different == 0 || spread == 0) return __builtin_nan("");
    const double excess = (double)((__int128)twice_u - (__int128)((Wide)same * different));
    const double label_spread = (double)same * (double)different / (double)pairs;
    return 0.5 * excess / __builtin_sqrt((double)spread / 12.0 * label_spread);
}

}  // namespace TK_ISA
}  // namespace tk
