// All pairs of rows of a matrix, shared out to a team: packs the rows, multiplies them, feeds the sinks.
#pragma once

#include "common/buffer.h"
#include "common/parallel.h"
#include "pair_products.h"

namespace tk {
namespace TK_ISA {

constexpr int64_t kPackedBytes = int64_t{192} << 20;  // of all rows, or of the two stripes at work

// A phase of the team: work(item) for every item, between barriers.
template <class Work>
static inline void share(const Member& member, Queue& queue, int64_t count, Work work) {
    if (member.rank == 0) queue.reset(count);
    member.barrier.wait();
    for (int64_t item; (item = queue.next()) >= 0;) work(item);
    member.barrier.wait();
}

// Rows of one stripe, a multiple of kBlock: all where they fit into kPackedBytes.
static int64_t stripe_rows(const MatrixView& x) {
    const int64_t all = (x.rows + kBlock - 1) / kBlock * kBlock;
    const int64_t row_bytes = panel_stride(x.cols) / kPanel * static_cast<int64_t>(sizeof(double));
    if (all * row_bytes <= kPackedBytes) return all;
    const int64_t rows = kPackedBytes / 2 / row_bytes / kBlock * kBlock;
    return rows > kBlock ? rows : kBlock;
}

class RowPairs {
public:
    // Columns are standardised first, unless the `magnitude` of their values is given. Rows stand in
    // `order`, which must live as long, or as in x where it is null.
    RowPairs(const MatrixView& x, int n_threads, double magnitude = 0.0,
             const int64_t* order = nullptr)
        : x_(x), order_(order), standardised_(magnitude == 0.0),
          magnitude_(standardised_ ? 1.0 : magnitude), stripe_(stripe_rows(x)),
          n_stripes_((x.rows + stripe_ - 1) / stripe_), mean_(x.cols), scale_(x.cols),
          rows_(stripe_ / kPanel * panel_stride(x.cols)),
          cols_(n_stripes_ > 1 ? stripe_ / kPanel * panel_stride(x.cols) : 0),
          width_(padded_width(x.cols)), row_(n_threads * width_),
          partial_(n_threads * kBlock * kBlock), queue_(0) {}

    // To be called by the team before the first visit.
    void prepare(const Member& member) {
        const int64_t slabs = standardised_ ? (x_.cols + kMomentColumns - 1) / kMomentColumns : 0;
        share(member, queue_, slabs, [&](int64_t slab) {
            const int64_t begin = slab * kMomentColumns;
            const int64_t end = begin + kMomentColumns < x_.cols ? begin + kMomentColumns : x_.cols;
            column_moments(x_, begin, end, mean_.data(), scale_.data());
        });
        if (n_stripes_ == 1) pack(member, 0, rows_.data());
    }

    // Pushes one word to this thread's `sink` for every pair i < j. The words of a register tile with
    // row i and column j first are what make_words(i, j, tile, words) writes, row by row. A block whose
    // rows end before i and whose columns begin at j is left out unless wanted(i, j).
    template <class Sink, class MakeWords, class Wanted>
    void visit(const Member& member, Sink& sink, MakeWords make_words, Wanted wanted) {
        for (int64_t s = 0; s < n_stripes_; ++s) {
            if (n_stripes_ > 1) pack(member, s, rows_.data());
            visit_stripes(member, s, s, rows_.data(), sink, make_words, wanted);
            for (int64_t t = s + 1; t < n_stripes_; ++t) {
                pack(member, t, cols_.data());
                visit_stripes(member, s, t, cols_.data(), sink, make_words, wanted);
            }
        }
        if (!stopped()) sink.close();
        member.barrier.wait();
    }
    template <class Sink, class MakeWords>
    void visit(const Member& member, Sink& sink, MakeWords make_words) {
        visit(member, sink, make_words, [](int64_t, int64_t) { return true; });
    }

private:
    int64_t stripe_panels(int64_t stripe) const {
        const int64_t begin = stripe * stripe_;
        const int64_t end = begin + stripe_ < x_.rows ? begin + stripe_ : x_.rows;
        return panel_count(end - begin);
    }

    void pack(const Member& member, int64_t stripe, double* panels) {
        share(member, queue_, stripe_panels(stripe), [&](int64_t p) {
            pack_panel(x_, order_, stripe * stripe_ + p * kPanel,
                       standardised_ ? mean_.data() : nullptr, scale_.data(), magnitude_,
                       row_.data() + member.rank * width_, panels + p * panel_stride(x_.cols));
        });
    }

    template <class Sink, class MakeWords, class Wanted>
    void visit_stripes(const Member& member, int64_t s, int64_t t, const double* cols, Sink& sink,
                       MakeWords make_words, Wanted wanted) {
        const int64_t size = panel_stride(x_.cols);
        const int64_t s_panels = stripe_panels(s), t_panels = stripe_panels(t);
        const int64_t s_blocks = (s_panels + kBlockPanels - 1) / kBlockPanels;
        const int64_t t_blocks = (t_panels + kBlockPanels - 1) / kBlockPanels;
        const int64_t s_first = s * stripe_ / kPanel, t_first = t * stripe_ / kPanel;
        const int64_t n = x_.rows;
        auto finish = [n, make_words](int64_t i, int64_t j, const RegisterTile& tile,
                                      Pending& pending) {
            make_words(i, j, tile, pending.words);
            pending.count = kTileWords;
            if (i + kTileRows <= j && j + kPanel <= n) return;
            pending.count = 0;
            for (int r = 0; r < kTileRows; ++r)
                for (int c = 0; c < kPanel; ++c)
                    if (i + r < j + c && j + c < n)
                        pending.words[pending.count++] = pending.words[r * kPanel + c];
        };
        share(member, queue_, s_blocks * t_blocks, [&](int64_t item) {
            const int64_t p = item / t_blocks * kBlockPanels, q = item % t_blocks * kBlockPanels;
            if (s == t && q < p) return;
            const int64_t p_end = p + kBlockPanels < s_panels ? p + kBlockPanels : s_panels;
            const int64_t q_end = q + kBlockPanels < t_panels ? q + kBlockPanels : t_panels;
            if (!wanted((s_first + p_end) * kPanel, (t_first + q) * kPanel)) return;
            multiply_blocks(rows_.data() + p * size, cols + q * size, s_first + p, s_first + p_end,
                            t_first + q, t_first + q_end, x_.cols,
                            partial_.data() + member.rank * kBlock * kBlock, sink, finish);
        });
    }

    const MatrixView x_;
    const int64_t* order_;
    const bool standardised_;
    const double magnitude_;
    const int64_t stripe_, n_stripes_;
    Buffer<double> mean_, scale_, rows_, cols_;
    const int64_t width_;
    Buffer<double> row_, partial_;
    Queue queue_;
};

}  // namespace TK_ISA
}  // namespace tk
