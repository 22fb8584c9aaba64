// Spearman correlation of very many pairs, counted in bins until what ties of a bin may cost is small:
// kernels/parc_correlation explains the bound.
#pragma once

#include "bin_counts.h"
#include "pair_ranks.h"

namespace tk {
namespace TK_ISA {

constexpr double kSigmas = 7.0;

// The pairs of one distance: of two sides, apart by class, or of one.
template <class Count>
class BinnedPairs {
public:
    BinnedPairs(RowPairs& pairs, int64_t n_rows, int sides, int n_threads)
        : pairs_(pairs), n_rows_(n_rows), n_threads_(n_threads), counts_(sides) {}

    // Fits bins to a sample, and so many that the error is expected to be below the tolerance, if ties
    // are few.
    template <class MakeWords>
    void fit(double unit, double tolerance, MakeWords make_words) {
        Buffer<int64_t> sampled(2 * kCells);
        sample_pairs(pairs_, n_rows_, sampled.data(), n_threads_, make_words);
        double n_sampled = 0.0, root_sum = 0.0;
        for (int64_t c = 0; c < 2 * kCells; ++c) n_sampled += static_cast<double>(sampled[c]);
        // Squared errors have the least sum where bins are in proportion to the root of what pairs of
        // either kind a cell has. A part follows the number of pairs alone: no bin holds very many.
        constexpr double kEvenPart = 0.125;
        Buffer<double> weights(kCells);
        for (int64_t c = 0; c < kCells; ++c) {
            const double different = of_sample(sampled.data(), c, 0),
                         same = of_sample(sampled.data(), c, 1);
            weights[c] = counts_.sides() == 2 ? __builtin_sqrt(same * different) : different;
            root_sum += weights[c];
        }
        for (int64_t c = 0; c < kCells; ++c) {
            const double all = static_cast<double>(sampled[c] + sampled[kCells + c]);
            weights[c] = (root_sum > 0.0 ? weights[c] / root_sum : 0.0) +
                         kEvenPart * all / n_sampled;
        }
        const double n_pairs = 0.5 * static_cast<double>(n_rows_) *
                               static_cast<double>(n_rows_ - 1);
        const double scale = n_pairs / n_sampled;
        int64_t most = int64_t{1} << 14;
        for (; most < kMostFirstBins && static_cast<double>(most) < 4.0 * n_pairs;
             most += most / 2) {
            double squares = 0.0;
            for (int64_t c = 0; c < kCells; ++c) {
                if (weights[c] == 0.0) continue;
                const double bins = weights[c] * static_cast<double>(most) / (1.0 + kEvenPart);
                squares += bins * expected_square(of_sample(sampled.data(), c, 1) * scale / bins,
                                                  of_sample(sampled.data(), c, 0) * scale / bins);
            }
            constexpr double kMargin = 1.5;  // bins are powers of two in number
            if (kMargin * kSigmas * unit * __builtin_sqrt(squares) <= tolerance) break;
        }
        bins_.fit(weights.data(), smaller(most, kMostFirstBins));
    }
    template <class MakeWords>
    void count(MakeWords make_words) {
        count_pairs(pairs_, bins_, counts_, n_threads_, make_words);
        tally_ = RankTally();
        squares_ = unsure_ties_ = 0.0;
        bins_.for_each([&](int64_t bin, bool several) {
            const uint64_t different = counts_.at(0, bin), same = within(bin);
            if ((same | different) == 0) return;
            append(tally_, same, different);
            if (!several || same + different < 2) return;
            const double most = change(same, different);
            squares_ += most * most;
            unsure_ties_ += static_cast<double>(tie_term(same + different));
        });
    }

    const KeyBins& bins() const { return bins_; }
    const RankTally& tally() const { return tally_; }
    double spread() const {
        return static_cast<double>(rank_spread(tally_.same + tally_.different, tally_.ties));
    }
    // What bins with several keys may change in the coefficient, of which a unit of `change` is `unit`.
    double error(double unit) const { return bound(unit, 0.5 / spread(), squares_, unsure_ties_); }

    // Splits the bins without which the error would be half the tolerance; whether there are any.
    bool split(double unit, double tolerance) {
        // Bins are graded by the exponent of their possible error.
        constexpr int kGrades = 2048;
        const double tie_unit = 0.5 / spread();
        auto grade = [&](int64_t bin) {
            const uint64_t different = counts_.at(0, bin), same = within(bin);
            if (same + different < 2) return -1;
            const double size = change(same, different) * unit +
                                static_cast<double>(tie_term(same + different)) * tie_unit;
            uint64_t bits;
            __builtin_memcpy(&bits, &size, sizeof bits);
            return static_cast<int>(bits >> 52 & (kGrades - 1));
        };
        Buffer<double> squares(kGrades), ties(kGrades);
        for (int g = 0; g < kGrades; ++g) squares[g] = ties[g] = 0.0;
        bins_.for_each([&](int64_t bin, bool several) {
            const int at = several ? grade(bin) : -1;
            if (at < 0) return;
            const uint64_t different = counts_.at(0, bin), same = within(bin);
            const double most = change(same, different);
            squares[at] += most * most;
            ties[at] += static_cast<double>(tie_term(same + different));
        });
        double light_squares = 0.0, light_ties = 0.0;
        int first = 0;
        for (; first < kGrades; ++first) {
            light_squares += squares[first];
            light_ties += ties[first];
            if (ties[first] > 0.0 &&
                !(bound(unit, tie_unit, light_squares, light_ties) <= 0.5 * tolerance))
                break;
        }
        // The possible error of a part is a quarter of its bin's where there are two, and so on.
        return bins_.split([&](int64_t bin) {
            const int at = grade(bin);
            return at < first ? 0 : (at - first) / 2 + 2;
        });
    }

    // Twice the averaged rank of a bin's pairs, less its mean, for every bin.
    void write_ranks(int64_t* ranks) const {
        int64_t below = 0;
        const int64_t n_pairs = static_cast<int64_t>(tally_.same + tally_.different);
        bins_.for_each([&](int64_t bin, bool) {
            const int64_t tied = static_cast<int64_t>(counts_.at(0, bin));
            ranks[bin] = 2 * below + tied - n_pairs;
            below += tied;
        });
    }

private:
    // Pairs of a cell in the sample; half a pair more of either kind where there are any, since what is
    // rare may have been missed.
    double of_sample(const int64_t* sampled, int64_t cell, int side) const {
        const bool any = sampled[cell] + sampled[kCells + cell] > 0;
        return static_cast<double>(sampled[side * kCells + cell]) + (any ? 0.5 : 0.0);
    }
    uint64_t within(int64_t bin) const { return counts_.sides() == 2 ? counts_.at(1, bin) : 0; }
    // The most by which the order within a bin can change the sum of ranks of the pairs of different
    // classes, or, without classes, that of rank times the other distance's rank, as part of all pairs.
    double change(uint64_t same, uint64_t different) const {
        const double all = static_cast<double>(same + different);
        return counts_.sides() == 2
                   ? 0.5 * static_cast<double>(same) * static_cast<double>(different)
                   : 0.125 * all * all;
    }
    // Of the square of `change`, for Poisson distributed pairs of these means.
    double expected_square(double same, double different) const {
        if (counts_.sides() == 2) return 0.25 * same * (1.0 + same) * different * (1.0 + different);
        const double m = different;
        return m * m * (2.0 + m * (4.0 + m)) / 64.0;
    }
    static double bound(double unit, double tie_unit, double squares, double ties) {
        return (squares > 0.0 ? kSigmas * unit * __builtin_sqrt(squares) : 0.0) +
               (ties > 0.0 ? tie_unit * ties : 0.0);
    }

    RowPairs& pairs_;
    const int64_t n_rows_;
    const int n_threads_;
    KeyBins bins_;
    BinCounts<Count> counts_;
    RankTally tally_;           // bins as ties
    double squares_ = 0.0;      // of the most that bins with several keys change
    double unsure_ties_ = 0.0;  // of these
};

struct Coefficient {
    double value, error;
};

// `words` of the pairs are twice the key, plus one within a class.
template <class Count, class MakeWords>
static Coefficient correlate_binned(RowPairs& pairs, int64_t n_rows, uint64_t same,
                                    uint64_t different, double tolerance, int n_threads,
                                    MakeWords words) {
    const double label_spread = static_cast<double>(same) * static_cast<double>(different) /
                                static_cast<double>(same + different);
    auto unit_of = [label_spread](double spread) {
        return 1.0 / __builtin_sqrt(spread / 12.0 * label_spread);
    };
    BinnedPairs<Count> binned(pairs, n_rows, 2, n_threads);
    binned.fit(unit_of(static_cast<double>(tie_term(same + different))), tolerance, words);
    while (true) {
        binned.count(words);
        const double unit = unit_of(binned.spread()), error = binned.error(unit);
        if (error <= tolerance || !binned.split(unit, tolerance))
            return {spearman(same, different, binned.tally().twice_u, binned.tally().ties), error};
    }
}

// Distance keys of the pairs of register tiles, wherever they are.
class TileKeys {
public:
    TileKeys(const MatrixView& x, double magnitude, int n_threads)
        : x_(x), magnitude_(magnitude), width_(padded_width(x.cols)),
          panels_(panel_count(x.rows) * kPanel * x.cols), row_(n_threads * width_), queue_(0) {}

    // To be called by the team first.
    void prepare(const Member& member) {
        share(member, queue_, panel_count(x_.rows), [&](int64_t p) {
            pack_panel(x_, nullptr, p * kPanel, nullptr, nullptr, magnitude_,
                       row_.data() + member.rank * width_, panels_.data() + p * kPanel * x_.cols);
        });
    }
    void operator()(int64_t i, int64_t j, uint64_t* words) const {
        const double* rows = panels_.data() + i / kPanel * kPanel * x_.cols + i % kPanel;
        const double* cols = panels_.data() + j * x_.cols;
        RegisterTile tile = empty_tile();
        for (int64_t k = 0; k < x_.cols; ++k)
            multiply_step(tile, rows + k * kPanel, cols + k * kPanel);
        tile_words(tile, words);
    }

private:
    const MatrixView x_;
    const double magnitude_;
    const int64_t width_;
    Buffer<double> panels_, row_;
    Queue queue_;
};

// Sum of the products of ranks. A word is two bins.
struct RankProducts {
    const int64_t *ranks, *other_ranks;
    __int128 sum = 0;

    __attribute__((always_inline)) void push(uint64_t word) {
        sum += static_cast<__int128>(ranks[word >> 32]) * other_ranks[word & 0xffffffff];
    }
    void settle() {}
    void close() {}
};

template <class Count>
static __int128 sum_of_products(RowPairs& pairs, TileKeys& others, const BinnedPairs<Count>& binned,
                                const BinnedPairs<Count>& other_binned, int n_threads) {
    Buffer<int64_t> ranks(binned.bins().count()), other_ranks(other_binned.bins().count());
    binned.write_ranks(ranks.data());
    other_binned.write_ranks(other_ranks.data());
    Buffer<__int128> sums(n_threads);
    for (int t = 0; t < n_threads; ++t) sums[t] = 0;
    auto body = [&](Member member) {
        others.prepare(member);
        RankProducts sink{ranks.data(), other_ranks.data()};
        pairs.visit(member, sink,
                    [&](int64_t i, int64_t j, const RegisterTile& tile, uint64_t* words) {
                        int64_t found[kTileWords], other_found[kTileWords];
                        tile_words(tile, words);
                        binned.bins().find(words, found);
                        others(i, j, words);
                        other_binned.bins().find(words, other_found);
                        for (int w = 0; w < kTileWords; ++w) {
                            __builtin_prefetch(&ranks[found[w]]);
                            __builtin_prefetch(&other_ranks[other_found[w]]);
                            words[w] = static_cast<uint64_t>(found[w]) << 32 |
                                       static_cast<uint64_t>(other_found[w]);
                        }
                    });
        sums[member.rank] = sink.sum;
    };
    run_team(n_threads, body);
    __int128 total = 0;
    for (int t = 0; t < n_threads; ++t) total += sums[t];
    return total;
}

// Of two distances without classes.
template <class Count>
static Coefficient correlate_binned(RowPairs& pairs, RowPairs& label_pairs, TileKeys& label_keys,
                                    int64_t n_rows, double tolerance, int n_threads) {
    const int64_t n_pairs = n_rows * (n_rows - 1) / 2;
    auto words = [](int64_t, int64_t, const RegisterTile& tile, uint64_t* out) {
        tile_words(tile, out);
    };
    BinnedPairs<Count> binned(pairs, n_rows, 1, n_threads);
    BinnedPairs<Count> other(label_pairs, n_rows, 1, n_threads);
    auto unit_of = [n_pairs](double spread, double other_spread) {
        return 12.0 * static_cast<double>(n_pairs) /
               (__builtin_sqrt(spread) * __builtin_sqrt(other_spread));
    };
    const double full = static_cast<double>(tie_term(n_pairs));
    binned.fit(unit_of(full, full), tolerance / 2, words);
    other.fit(unit_of(full, full), tolerance / 2, words);
    double error;
    bool again = true, other_again = true;
    do {
        if (again) binned.count(words);
        if (other_again) other.count(words);
        const double unit = unit_of(binned.spread(), other.spread());
        error = binned.error(unit) + other.error(unit);
        if (error <= tolerance) break;
        again = binned.error(unit) > tolerance / 2 && binned.split(unit, tolerance / 2);
        other_again = other.error(unit) > tolerance / 2 && other.split(unit, tolerance / 2);
    } while (again || other_again);
    const __int128 product = sum_of_products(pairs, label_keys, binned, other, n_threads);
    return {rank_correlation(n_pairs, product, binned.tally().ties, other.tally().ties), error};
}

}  // namespace TK_ISA
}  // namespace tk
