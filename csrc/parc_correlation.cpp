// PARC's rank correlation: all pairs of rows, sorted where they are few and binned where they are many.
#include "parc_correlation.h"

#include "pair_histogram.h"
#include "pair_products.h"
#include "pair_sort.h"
#include "parallel.h"

namespace tk {
namespace TK_ISA {
namespace {

constexpr int64_t kPackedBytes = int64_t{192} << 20;  // of all rows, or of the two stripes at work
constexpr int64_t kChunkBytes = int64_t{256} << 20;   // of the histogram's chunks, all threads

// A phase of the team: work(item) for every item, between barriers.
template <class Work>
void share(const Member& member, Queue& queue, int64_t count, Work work) {
    if (member.rank == 0) queue.reset(count);
    member.barrier.wait();
    for (int64_t item; (item = queue.next()) >= 0;) work(item);
    member.barrier.wait();
}

int64_t stripe_rows(const MatrixView& x) {
    const int64_t all = (x.rows + kBlock - 1) / kBlock * kBlock;
    const int64_t row_bytes = x.cols * static_cast<int64_t>(sizeof(double));
    if (all * row_bytes <= kPackedBytes) return all;
    const int64_t rows = kPackedBytes / 2 / row_bytes / kBlock * kBlock;
    return rows > kBlock ? rows : kBlock;
}

// The rows of X, standardised and normalised, visited pair by pair. Rows that do not fit into
// kPackedBytes are packed stripe by stripe.
class Pairs {
public:
    Pairs(const MatrixView& x, const int64_t* codes, int n_threads)
        : x_(x),
          stripe_(stripe_rows(x)),
          n_stripes_((x.rows + stripe_ - 1) / stripe_),
          codes_((x.rows + kPanel - 1) / kPanel * kPanel),
          mean_(x.cols),
          scale_(x.cols),
          rows_(stripe_ * x.cols),
          cols_(n_stripes_ > 1 ? stripe_ * x.cols : 0),
          width_(padded_width(x.cols)),
          row_(n_threads * width_),
          partial_(n_threads * kBlock * kBlock),
          queue_(0) {
        for (int64_t i = 0; i < panel_count(x.rows) * kPanel; ++i)
            codes_[i] = i < x.rows ? codes[i] : -1;
    }

    void standardise(const Member& member) {
        const int64_t slabs = (x_.cols + kMomentColumns - 1) / kMomentColumns;
        share(member, queue_, slabs, [&](int64_t slab) {
            const int64_t begin = slab * kMomentColumns;
            const int64_t end = begin + kMomentColumns < x_.cols ? begin + kMomentColumns : x_.cols;
            column_moments(x_, begin, end, mean_.data(), scale_.data());
        });
        if (n_stripes_ == 1) pack(member, 0, rows_.data());
    }

    // Pushes one word for each pair i < j to this thread's `sink`.
    template <class Sink>
    void visit(const Member& member, Sink& sink) {
        for (int64_t s = 0; s < n_stripes_; ++s) {
            if (n_stripes_ > 1) pack(member, s, rows_.data());
            visit_stripes(member, s, s, rows_.data(), sink);
            for (int64_t t = s + 1; t < n_stripes_; ++t) {
                pack(member, t, cols_.data());
                visit_stripes(member, s, t, cols_.data(), sink);
            }
        }
        sink.close();
        member.barrier.wait();
    }

private:
    int64_t stripe_panels(int64_t stripe) const {
        const int64_t begin = stripe * stripe_;
        const int64_t end = begin + stripe_ < x_.rows ? begin + stripe_ : x_.rows;
        return panel_count(end - begin);
    }

    void pack(const Member& member, int64_t stripe, double* panels) {
        share(member, queue_, stripe_panels(stripe), [&](int64_t p) {
            pack_panel(x_, stripe * stripe_ + p * kPanel, mean_.data(), scale_.data(),
                       row_.data() + member.rank * width_, panels + p * kPanel * x_.cols);
        });
    }

    template <class Sink>
    void visit_stripes(const Member& member, int64_t s, int64_t t, const double* cols, Sink& sink) {
        const int64_t size = kPanel * x_.cols;
        const int64_t s_panels = stripe_panels(s), t_panels = stripe_panels(t);
        const int64_t s_blocks = (s_panels + kBlockPanels - 1) / kBlockPanels;
        const int64_t t_blocks = (t_panels + kBlockPanels - 1) / kBlockPanels;
        const int64_t s_first = s * stripe_ / kPanel, t_first = t * stripe_ / kPanel;
        auto consume = [&](int64_t i, int64_t j, const RegisterTile& tile) {
            push_tile(i, j, tile, sink);
        };
        share(member, queue_, s_blocks * t_blocks, [&](int64_t item) {
            const int64_t p = item / t_blocks * kBlockPanels, q = item % t_blocks * kBlockPanels;
            if (s == t && q < p) return;
            const int64_t p_end = p + kBlockPanels < s_panels ? p + kBlockPanels : s_panels;
            const int64_t q_end = q + kBlockPanels < t_panels ? q + kBlockPanels : t_panels;
            multiply_blocks(rows_.data() + p * size, cols + q * size, s_first + p, s_first + p_end,
                            t_first + q, t_first + q_end, x_.cols,
                            partial_.data() + member.rank * kBlock * kBlock, consume);
        });
    }

    template <class Sink>
    __attribute__((always_inline)) void push_tile(int64_t i, int64_t j, const RegisterTile& tile,
                                                  Sink& sink) {
        int64_t words[kTileRows][kPanel];
        for (int v = 0; v < kPanelVectors; ++v) {
            VecI col_codes;
            __builtin_memcpy(&col_codes, codes_.data() + j + v * kLanes, sizeof col_codes);
            for (int r = 0; r < kTileRows; ++r) {
                const VecI same = col_codes == codes_[i + r];
                const VecI word = Sink::words(distance_keys(tile.sum[r][v]), same);
                __builtin_memcpy(&words[r][v * kLanes], &word, sizeof word);
            }
        }
        if (i + kTileRows <= j && j + kPanel <= x_.rows) {
            for (int r = 0; r < kTileRows; ++r)
                for (int c = 0; c < kPanel; ++c) sink.push(words[r][c]);
            return;
        }
        for (int r = 0; r < kTileRows; ++r)
            for (int c = 0; c < kPanel; ++c)
                if (i + r < j + c && j + c < x_.rows) sink.push(words[r][c]);
    }

    const MatrixView x_;
    const int64_t stripe_, n_stripes_;
    Buffer<int64_t> codes_;
    Buffer<double> mean_, scale_, rows_, cols_;
    const int64_t width_;
    Buffer<double> row_, partial_;
    Queue queue_;
};

template <class T>
T* align(T* p, int64_t bytes) {
    return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(p) + bytes - 1) & -bytes);
}

RankTally sort_pairs(Pairs& pairs, int64_t n_pairs, int n_threads) {
    const int64_t n_buckets = bucket_count(n_pairs) + 1;  // the largest key opens one more
    const int64_t max_chunks = n_pairs / kChunk + n_threads * n_buckets + 1;
    Buffer<uint64_t> words((max_chunks + 1) * kChunk), sorted(n_pairs), scratch(n_pairs);
    Buffer<int32_t> bucket(max_chunks), filled(max_chunks);
    Buffer<uint64_t*> cursors(n_threads * n_buckets);
    Buffer<int64_t> begins(n_buckets + 1);
    Buffer<RankTally> tallies(n_buckets);
    ChunkPool pool{align(words.data(), kChunk * 8), bucket.data(), filled.data(), 0,
                   kWordBits - 1 - __builtin_ctzll(n_buckets - 1), n_buckets};
    Queue queue(0);

    auto body = [&](Member member) {
        pairs.standardise(member);
        Collector collector(pool, cursors.data() + member.rank * n_buckets);
        pairs.visit(member, collector);
        if (member.rank == 0) {
            // Chunks to their buckets.
            for (int64_t b = 0; b <= n_buckets; ++b) begins[b] = 0;
            for (int64_t c = 0; c < pool.used; ++c) begins[pool.bucket[c] + 1] += pool.filled[c];
            for (int64_t b = 0; b < n_buckets; ++b) begins[b + 1] += begins[b];
            for (int64_t c = 0; c < pool.used; ++c) {
                int64_t& end = begins[pool.bucket[c]];
                __builtin_memcpy(sorted.data() + end, pool.words + c * kChunk,
                                 pool.filled[c] * sizeof(uint64_t));
                end += pool.filled[c];
            }
        }
        share(member, queue, n_buckets, [&](int64_t b) {
            const int64_t begin = b == 0 ? 0 : begins[b - 1], count = begins[b] - begin;
            sort_words(sorted.data() + begin, scratch.data() + begin, count, pool.shift);
            tallies[b] = tally_sorted(sorted.data() + begin, count);
        });
    };
    run_team(n_threads, body);

    RankTally total;
    for (int64_t b = 0; b < n_buckets; ++b) append(total, tallies[b]);
    return total;
}

int64_t chunk_bytes(int n_threads) {
    int64_t bytes = 1 << 16;
    while (bytes > 256 && n_threads * 2 * kSegments * bytes > kChunkBytes) bytes /= 2;
    return bytes;
}

template <class Count>
void bin_pairs(Pairs& pairs, RankSum& sum, int n_threads) {
    const int64_t chunk = chunk_bytes(n_threads), thread_chunks = 2 * kSegments * chunk / 2;
    Buffer<Count> counts(2 * kBins);
    Buffer<uint8_t> used(2 * kSegments), lock(2 * kSegments);
    Buffer<uint16_t> chunks(n_threads * thread_chunks + chunk / 2);
    Buffer<uint16_t*> cursors(n_threads * 2 * kSegments);
    Buffer<uint64_t> flags(kMaxLevels * Level::kWords);
    Buffer<uint32_t> before(kMaxLevels * Level::kWords);
    Level levels[kMaxLevels];
    Histogram<Count> histogram{counts.data(), used.data(), lock.data()};
    int n_levels = 0;

    auto body = [&](Member member) {
        Counter<Count> counter(histogram, align(chunks.data(), chunk) + member.rank * thread_chunks,
                               cursors.data() + member.rank * 2 * kSegments, chunk);
        if (n_levels == 0) {
            pairs.standardise(member);
            return pairs.visit(member, counter);
        }
        RefiningCounter<Count> refining(counter, levels, n_levels);
        pairs.visit(member, refining);
    };
    while (true) {
        __builtin_memset(histogram.used, 0, 2 * kSegments);
        __builtin_memset(histogram.lock, 0, 2 * kSegments);
        run_team(n_threads, body);
        const Level* last = n_levels ? &levels[n_levels - 1] : nullptr;
        Level* next = n_levels < kMaxLevels ? &levels[n_levels] : nullptr;
        if (next != nullptr) {
            next->flags = flags.data() + n_levels * Level::kWords;
            next->before = before.data() + n_levels * Level::kWords;
        }
        if (!sum.add_level(histogram, last, next)) return;
        ++n_levels;
    }
}

}  // namespace

void parc_correlation(const ParcArgs& args) {
    const int64_t n_pairs = args.x.rows * (args.x.rows - 1) / 2;
    const uint64_t same = args.same_pairs, different = n_pairs - args.same_pairs;
    *args.correlation = __builtin_nan("");
    *args.error_bound = 0.0;
    if (same == 0 || different == 0) return;
    Pairs pairs(args.x, args.codes, args.n_threads);
    if (n_pairs <= args.sort_limit) {
        const RankTally tally = sort_pairs(pairs, n_pairs, args.n_threads);
        *args.correlation = spearman(same, different, tally.twice_u, tally.ties);
        return;
    }
    RankSum sum(same, different, args.tolerance);
    if (n_pairs >> 32 == 0)
        bin_pairs<uint32_t>(pairs, sum, args.n_threads);
    else
        bin_pairs<uint64_t>(pairs, sum, args.n_threads);
    *args.correlation = sum.correlation();
    *args.error_bound = sum.error_bound();
}

}  // namespace TK_ISA
}  // namespace tk
