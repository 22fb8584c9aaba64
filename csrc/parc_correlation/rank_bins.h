// Spearman correlation of two distances of the same pairs of rows, too many to be sorted.
//
// Either distance's keys are counted in bins, and the pairs of one bin count as tied. What that may
// cost is bounded as in pair_histogram.h: m pairs of a bin, ranked among themselves in whatever way,
// change the sum of products of N pairs' ranks by at most m^2 N / 8; the errors of distinct bins have
// no common cause. Where the bound is not small enough, bins with many pairs are split and their pairs
// counted again, at last in single keys, which are true ties.
#pragma once

#include "pair_histogram.h"
#include "pair_ranks.h"

namespace tk {
namespace TK_ISA {

// A tree: cells of equal width, each a bin or split into cells of equal width that follow later.
class RankBins {
public:
    explicit RankBins(int64_t n_pairs)
        : n_pairs_(n_pairs), root_shift_(kKeyBits - root_bits(n_pairs)),
          n_roots_((int64_t{1} << root_bits(n_pairs)) + 1), first_new_(0), n_cells_(n_roots_),
          cells_(kMostCells) {
        for (int64_t cell = 0; cell < n_roots_; ++cell) cells_[cell] = 0;
    }

    // Of the keys of a register tile. The cells are seldom in a cache: they are fetched together.
    void find_bins(const int64_t* keys, int64_t* bins) const {
        for (int w = 0; w < kTileWords; ++w) __builtin_prefetch(&cells_[keys[w] >> root_shift_]);
        for (int w = 0; w < kTileWords; ++w) {
            const int64_t root = keys[w] >> root_shift_, value = cells_[root];
            bins[w] = is_split(value) ? child(value, keys[w]) : root;
            __builtin_prefetch(&cells_[bins[w]]);
        }
        for (int w = 0; w < kTileWords; ++w)
            while (is_split(cells_[bins[w]])) bins[w] = child(cells_[bins[w]], keys[w]);
    }
    // Of a bin, after `rank`.
    int64_t rank_of(int64_t bin) const { return cells_[bin] >> 1; }
    Wide ties() const { return ties_; }

    // Cells from here on have not been counted yet.
    int64_t first_new() const { return first_new_; }
    template <class Count>
    void take_counts(const Histogram<Count>& histogram) {
        for (int64_t cell = first_new_; cell < n_cells_; ++cell) {
            const bool used = histogram.used[cell >> kSegmentBits];
            cells_[cell] = used ? static_cast<int64_t>(histogram.counts[cell]) << 1 : 0;
        }
        ties_ = 0;
        fourth_powers_ = unsure_ties_ = 0.0;
        for_each_bin([&](int64_t bin, int64_t, int width_bits) {
            const int64_t pairs = cells_[bin] >> 1;
            if (pairs < 2) return;
            const Wide ties = tie_term(pairs);
            ties_ += ties;
            if (width_bits == 0) return;
            unsure_ties_ += static_cast<double>(ties);
            fourth_powers_ += static_cast<double>(pairs) * static_cast<double>(pairs) *
                              static_cast<double>(pairs) * static_cast<double>(pairs);
        });
    }

    // Bound of the correlation's error through bins with several keys; `unit` is what a bin of one
    // pair would add to it.
    double error(double unit) const {
        const double spread = static_cast<double>(rank_spread(n_pairs_, ties_));
        const double swaps = fourth_powers_ > 0 ? kSigmas * unit * __builtin_sqrt(fourth_powers_)
                                                : 0.0;
        return unsure_ties_ > 0 ? swaps + 0.5 * unsure_ties_ / spread : swaps;
    }

    // Splits bins of so many pairs that others like them would bring the error above `tolerance`;
    // whether there are any.
    bool split(double unit, double tolerance) {
        const double ratio = tolerance / (kSigmas * unit);
        double most = __builtin_cbrt(ratio * ratio / static_cast<double>(n_pairs_));
        if (!(most > 0.5)) most = 0.5;
        int64_t n_children;
        do {
            n_children = 0;
            for_each_bin([&](int64_t bin, int64_t, int width_bits) {
                const int bits = split_bits(cells_[bin] >> 1, width_bits, most);
                n_children += bits ? int64_t{1} << bits : 0;
            });
            if (n_children > kMostCells - n_cells_) most *= 1.5;
        } while (n_children > kMostCells - n_cells_);
        first_new_ = n_cells_;
        for_each_bin([&](int64_t bin, int64_t key, int width_bits) {
            const int bits = split_bits(cells_[bin] >> 1, width_bits, most);
            if (bits == 0) return;
            const int shift = width_bits - bits;
            cells_[bin] = link(n_cells_ - (key >> shift), shift);
            for (int64_t c = 0; c < int64_t{1} << bits; ++c) cells_[n_cells_++] = 0;
        });
        return n_children > 0;
    }

    // Turns the bins' counts into their ranks.
    void rank() {
        int64_t below = 0;
        for_each_bin([&](int64_t bin, int64_t, int) {
            const int64_t pairs = cells_[bin] >> 1;
            cells_[bin] = (2 * below + pairs - n_pairs_) * 2;
            below += pairs;
        });
    }

private:
    static constexpr int kMostRootBits = 23;
    static constexpr int64_t kMostCells = 2 * kBins;  // of a histogram

    static int root_bits(int64_t pairs) {
        int bits = 1;
        while (bits < kMostRootBits && int64_t{1} << bits < pairs) ++bits;
        return bits;
    }

    // A cell is twice a bin's count or rank, or else where it is split: its keys' cells are
    // [first + (key >> shift)].
    static bool is_split(int64_t cell) { return cell & 1; }
    static int64_t link(int64_t first, int shift) { return (first * 64 + shift) * 2 + 1; }
    static int shift_of(int64_t cell) { return static_cast<int>(cell >> 1 & 63); }
    static int64_t child(int64_t cell, int64_t key) {
        return (cell >> 7) + (key >> shift_of(cell));
    }

    // log2 of the number of cells for a bin, in which its pairs should weigh no more than pairs of
    // bins of `most`; that is, the fourth powers of counts that are Poisson distributed, ones left out.
    static int split_bits(int64_t pairs, int width_bits, double most) {
        double mean = static_cast<double>(pairs);
        if (pairs < 2 || mean <= most) return 0;
        int bits = 0;
        for (; bits < width_bits && mean * (8.0 + mean * (6.0 + mean)) > most * most * most; ++bits)
            mean *= 0.5;
        return bits;
    }

    // Calls visit(bin, its first key, log2 of its width) in the order of the keys.
    template <class Visit>
    void for_each_bin(Visit visit) {
        for (int64_t cell = 0; cell < n_roots_; ++cell) {
            if (cell % kSegment == 0) throw_if_stopped();
            visit_cell(cell, cell << root_shift_, root_shift_, visit);
        }
    }
    template <class Visit>
    void visit_cell(int64_t cell, int64_t key, int width_bits, Visit& visit) {
        const int64_t value = cells_[cell];
        if (!is_split(value)) return visit(cell, key, width_bits);
        const int shift = shift_of(value);
        for (int64_t c = 0; c < int64_t{1} << (width_bits - shift); ++c)
            visit_cell(child(value, key) + c, key + (c << shift), shift, visit);
    }

    const int64_t n_pairs_;
    const int root_shift_;
    const int64_t n_roots_;
    int64_t first_new_, n_cells_;
    Buffer<int64_t> cells_;
    Wide ties_ = 0;                                   // bins as ties
    double unsure_ties_ = 0.0, fourth_powers_ = 0.0;  // of bins with several keys
};

// Counts the pairs of bins that have not been counted yet.
template <class Count>
class NewBinCounter {
public:
    NewBinCounter(int64_t first, Counter<Count> counter) : first_(first), counter_(counter) {}
    __attribute__((always_inline)) void push(uint64_t bin) {
        if (static_cast<int64_t>(bin) >= first_) counter_.push(bin);
    }
    __attribute__((always_inline)) void settle() { counter_.settle(); }
    void close() { counter_.close(); }

private:
    const int64_t first_;
    Counter<Count> counter_;
};

template <class Count>
static void count_new_cells(RowPairs& pairs, RankBins& bins, const CountingMemory<Count>& memory,
                            int n_threads) {
    Histogram<Count> histogram = memory.histogram();
    auto body = [&](Member member) {
        pairs.prepare(member);
        NewBinCounter<Count> sink(bins.first_new(), memory.counter(histogram, member.rank));
        pairs.visit(member, sink, [&](int64_t, int64_t, const RegisterTile& tile, uint64_t* words) {
            int64_t keys[kTileWords], found[kTileWords];
            tile_keys(tile, keys);
            bins.find_bins(keys, found);
            for (int w = 0; w < kTileWords; ++w) words[w] = found[w];
        });
    };
    run_team(n_threads, body);
    bins.take_counts(histogram);
}

// Counts all pairs, in ever finer bins where the error bound is above the tolerance. Returns the bound.
template <class Count>
static double count_in_bins(RowPairs& pairs, RowPairs& others, RankBins& bins, RankBins& other_bins,
                            int64_t n_pairs, double tolerance, int n_threads) {
    const CountingMemory<Count> memory(n_threads);
    count_new_cells(pairs, bins, memory, n_threads);
    count_new_cells(others, other_bins, memory, n_threads);
    while (true) {
        const double spread = static_cast<double>(rank_spread(n_pairs, bins.ties()));
        const double other_spread = static_cast<double>(rank_spread(n_pairs, other_bins.ties()));
        const double unit = 1.5 * static_cast<double>(n_pairs) /
                            (__builtin_sqrt(spread) * __builtin_sqrt(other_spread));
        const double error = bins.error(unit), other_error = other_bins.error(unit);
        if (error + other_error <= tolerance) return error + other_error;
        const bool again = bins.split(unit, tolerance / 2);
        const bool other_again = other_bins.split(unit, tolerance / 2);
        if (!again && !other_again) return error + other_error;
        if (again) count_new_cells(pairs, bins, memory, n_threads);
        if (other_again) count_new_cells(others, other_bins, memory, n_threads);
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
    void operator()(int64_t i, int64_t j, int64_t* keys) const {
        const double* rows = panels_.data() + i / kPanel * kPanel * x_.cols + i % kPanel;
        const double* cols = panels_.data() + j * x_.cols;
        RegisterTile tile = empty_tile();
        for (int64_t k = 0; k < x_.cols; ++k)
            multiply_step(tile, rows + k * kPanel, cols + k * kPanel);
        tile_keys(tile, keys);
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
    const RankBins &bins, &other_bins;
    __int128 sum = 0;

    static uint64_t word(int64_t bin, int64_t other_bin) {
        return static_cast<uint64_t>(bin) << 32 | static_cast<uint64_t>(other_bin);
    }
    __attribute__((always_inline)) void push(uint64_t word) {
        sum += static_cast<__int128>(bins.rank_of(word >> 32)) *
               other_bins.rank_of(word & 0xffffffff);
    }
    void settle() {}
    void close() {}
};

static __int128 sum_of_products(RowPairs& pairs, TileKeys& others, const RankBins& bins,
                                const RankBins& other_bins, int n_threads) {
    Buffer<__int128> sums(n_threads);
    for (int t = 0; t < n_threads; ++t) sums[t] = 0;
    auto body = [&](Member member) {
        pairs.prepare(member);
        others.prepare(member);
        RankProducts sink{bins, other_bins};
        pairs.visit(member, sink,
                    [&](int64_t i, int64_t j, const RegisterTile& tile, uint64_t* words) {
                        int64_t keys[kTileWords], found[kTileWords], other_found[kTileWords];
                        tile_keys(tile, keys);
                        bins.find_bins(keys, found);
                        others(i, j, keys);
                        other_bins.find_bins(keys, other_found);
                        for (int w = 0; w < kTileWords; ++w)
                            words[w] = RankProducts::word(found[w], other_found[w]);
                    });
        sums[member.rank] = sink.sum;
    };
    run_team(n_threads, body);
    __int128 total = 0;
    for (int t = 0; t < n_threads; ++t) total += sums[t];
    return total;
}

}  // namespace TK_ISA
}  // namespace tk
