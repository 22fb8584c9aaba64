// Bins of the distances of pairs: fitted to a sample of them, and split where ties of a bin could matter.
//
// A word is twice a distance key, plus one where the pair is within a class; so bins are intervals of
// words, and one of a single key is two words wide.
#pragma once

#include "common/buffer.h"
#include "common/integers.h"
#include "row_pairs.h"

namespace tk {
namespace TK_ISA {

constexpr int64_t kMostBins = int64_t{1} << 25;
constexpr int64_t kMostFirstBins = int64_t{1} << 24;

// Cells of equal width, each of a power of two of bins; the largest key has a cell of its own.
constexpr int kCellBits = 27;  // of a word within its cell
constexpr int64_t kCells = (int64_t{1} << (kKeyBits + 1 - kCellBits)) + 1;

// Counts the words in each cell: first of pairs between classes, then of pairs within one.
struct CellCounter {
    int64_t* counts;  // 2 x kCells
    __attribute__((always_inline)) void push(uint64_t word) {
        ++counts[(word & 1) * kCells + (word >> kCellBits)];
    }
    void settle() {}
    void close() {}
};

class KeyBins {
public:
    KeyBins() : links_(kCells + 1), splits_(kMostBins) {}

    // Fits bins to cells of which the i-th holds some weights[i] of everything: at most `most` bins.
    void fit(const double* weights, int64_t most) {
        // Numbers of bins are powers of two: the largest factor whose bins are no more than allowed.
        double factor = static_cast<double>(most) * 2.0;
        while ((n_first_ = divide(weights, factor)) > most) factor *= 0.9375;
        n_bins_ = n_first_;
        first_new_ = 0;
    }

    int64_t count() const { return n_bins_; }
    // Bins from here on have not been counted yet.
    int64_t first_new() const { return first_new_; }

    // Of the words of a register tile, the class bits apart.
    void find(const uint64_t* words, int64_t* bins) const {
        for (int w = 0; w < kTileWords; ++w) bins[w] = first_bin(words[w]);
        if (n_bins_ == n_first_) return;
        // Splits are seldom in a cache: they are fetched together.
        for (int w = 0; w < kTileWords; ++w) __builtin_prefetch(&splits_[bins[w]]);
        for (int w = 0; w < kTileWords; ++w)
            while (splits_[bins[w]] != 0) bins[w] = linked(splits_[bins[w]], words[w]);
    }

    // Calls visit(bin, several) for the bins in use, in the order of their keys, where `several` tells
    // whether a bin may hold distinct keys.
    template <class Visit>
    void for_each(Visit visit) const {
        for_each_with_place([&](int64_t bin, int64_t, int bits) { visit(bin, bits > 1); });
    }

    // Splits every bin with distinct keys for which parts(bin) > 0 into 2^parts, or fewer where keys or
    // memory are; returns whether there are any.
    template <class Parts>
    bool split(Parts parts) {
        int64_t members[kCellBits] = {};
        for_each_with_place([&](int64_t bin, int64_t, int bits) {
            if (bits > 1) ++members[smaller(parts(bin), bits - 1)];
        });
        int most = kCellBits;
        int64_t n_new;
        do {
            --most;
            n_new = 0;
            for (int b = 1; b < kCellBits; ++b) n_new += members[b] << smaller(b, most);
        } while (most > 0 && n_new > kMostBins - n_bins_);
        if (most == 0 || n_new == 0) return false;
        if (n_bins_ == n_first_)
            for (int64_t b = 0; b < n_first_; ++b) splits_[b] = 0;
        first_new_ = n_bins_;
        n_bins_ += n_new;
        for (int64_t b = first_new_; b < n_bins_; ++b) splits_[b] = 0;
        int64_t next = first_new_;
        for_each_with_place([&](int64_t bin, int64_t word, int bits) {
            const int n = bits > 1 ? static_cast<int>(smaller(parts(bin), smaller(bits - 1, most)))
                                   : 0;
            if (n == 0) return;
            splits_[bin] = link(next - (word >> (bits - n)), bits - n);
            next += int64_t{1} << n;
        });
        return true;
    }

private:
    // Where a word's bin is (link >> 6) + (word >> (link & 63)). Never 0: shifts are not.
    static int64_t link(int64_t first, int shift) { return first * 64 + shift; }
    static int64_t linked(int64_t link, uint64_t word) {
        return (link >> 6) + static_cast<int64_t>(word >> (link & 63));
    }
    int64_t first_bin(uint64_t word) const { return linked(links_[word >> kCellBits], word); }

    // Writes the cells' links; returns the number of bins. A bin in some 2^17 weights follows nothing.
    int64_t divide(const double* weights, double factor) {
        int64_t n_bins = 0;
        for (int64_t c = 0; c <= kCells; ++c) {
            const double wanted = c < kCells ? larger_of(weights[c], 0x1p-17) * factor : 1.0;
            uint64_t representation;
            __builtin_memcpy(&representation, &wanted, sizeof representation);
            const int exponent = static_cast<int>(representation >> 52) - 1023;
            const int bits = static_cast<int>(smaller(larger(exponent, 0), kCellBits - 1));
            links_[c] = link(n_bins - (c << bits), kCellBits - bits);
            n_bins += c < kCells ? int64_t{1} << bits : 0;
        }
        return n_bins;
    }
    static double larger_of(double a, double b) { return a < b ? b : a; }

    // Calls visit(bin, its first word, log2 of its width).
    template <class Visit>
    void for_each_with_place(Visit visit) const {
        for (int64_t c = 0; c < kCells; ++c) {
            throw_if_stopped();
            visit_part(links_[c], c << kCellBits, kCellBits, visit);
        }
    }
    template <class Visit>
    void visit_part(int64_t parent, int64_t word, int bits, Visit& visit) const {
        const int shift = static_cast<int>(parent & 63);
        const int64_t first = linked(parent, word);
        const bool any_split = n_bins_ > n_first_;
        for (int64_t b = 0; b < int64_t{1} << (bits - shift); ++b) {
            const int64_t begin = word + (b << shift);
            if (!any_split || splits_[first + b] == 0)
                visit(first + b, begin, shift);
            else
                visit_part(splits_[first + b], begin, shift, visit);
        }
    }

    Buffer<int64_t> links_;   // of the cells
    Buffer<int64_t> splits_;  // of the bins, once any are split: 0, or the link of those instead
    int64_t n_first_ = 0, n_bins_ = 0, first_new_ = 0;
};

}  // namespace TK_ISA
}  // namespace tk
