// PARC's rank correlation: all pairs of rows, sorted where they are few and binned where they are many.
#include "parc_correlation.h"

#include "pair_histogram.h"
#include "pair_sort.h"
#include "pair_weights.h"
#include "row_pairs.h"

namespace tk {
namespace TK_ISA {
namespace {

// Class codes of the rows, whole panels of them.
class Codes {
public:
    Codes(const int64_t* codes, int64_t n) : codes_(panel_count(n) * kPanel) {
        for (int64_t i = 0; i < panel_count(n) * kPanel; ++i) codes_[i] = i < n ? codes[i] : -1;
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

RankTally sort_pairs(RowPairs& pairs, const Codes& codes, int64_t n_pairs, int n_threads) {
    const int bits = bucket_bits(n_pairs);
    const int64_t n_buckets = (int64_t{1} << bits) + 1;  // the last for the largest key
    const int64_t max_chunks =
        n_pairs / (WordChunks::kEntries - WordChunks::kMostLost) + n_threads * n_buckets;
    Buffer<uint64_t> words(WordChunks::memory(max_chunks));
    Buffer<int32_t> bucket(max_chunks), filled(max_chunks), by_bucket(max_chunks);
    Buffer<uint64_t*> cursors(n_threads * n_buckets);
    Buffer<int64_t> first(n_buckets + 1), size(n_buckets);
    Buffer<RankTally> tallies(n_buckets);
    ChunkPool pool{WordChunks::align(words.data()), bucket.data(), filled.data(), 0,
                   kWordBits - 1 - bits, n_buckets};
    auto collect = [&](Member member) {
        pairs.prepare(member);
        Collector collector(pool, cursors.data() + member.rank * n_buckets);
        pairs.visit(member, collector, codes.words<Collector>());
    };
    run_team(n_threads, collect);

    const int64_t largest =
        list_chunks(pool, first.data(), size.data(), by_bucket.data());
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
            tallies[b] = tally_sorted(sorted, size[b]);
        }
    };
    run_team(n_sorters, sort);

    RankTally total;
    for (int64_t b = 0; b < n_buckets; ++b) append(total, tallies[b]);
    return total;
}

template <class Count>
void bin_pairs(RowPairs& pairs, const Codes& codes, RankSum& sum, int n_threads) {
    const int64_t thread_chunks = EntryChunks::memory(2 * kSegments);
    Buffer<Count> counts(2 * kBins);
    Buffer<uint8_t> used(2 * kSegments), lock(2 * kSegments);
    Buffer<uint16_t> chunks(n_threads * thread_chunks);
    Buffer<uint16_t*> cursors(n_threads * 2 * kSegments);
    Buffer<uint64_t> flags(kMaxLevels * Level::kWords);
    Buffer<uint32_t> before(kMaxLevels * Level::kWords);
    Level levels[kMaxLevels];
    Histogram<Count> histogram{counts.data(), used.data(), lock.data()};
    int n_levels = 0;

    auto body = [&](Member member) {
        Counter<Count> counter(histogram,
                               EntryChunks::align(chunks.data() + member.rank * thread_chunks),
                               cursors.data() + member.rank * 2 * kSegments);
        if (n_levels == 0) {
            pairs.prepare(member);
            return pairs.visit(member, counter, codes.words<Counter<Count>>());
        }
        RefiningCounter<Count> refining(counter, levels, n_levels);
        pairs.visit(member, refining, codes.words<RefiningCounter<Count>>());
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

void tile_keys(const RegisterTile& tile, int64_t* keys) {
    for (int r = 0; r < kTileRows; ++r)
        for (int v = 0; v < kPanelVectors; ++v) {
            const VecI key = distance_keys(tile.sum[r][v]);
            __builtin_memcpy(keys + r * kPanel + v * kLanes, &key, sizeof key);
        }
}

// Weights of the pairs of a register tile from a table by the kinds of their rows.
class KindWeights {
public:
    explicit KindWeights(const ParcVectorsArgs& args)
        : table_(args.weights), n_kinds_(args.n_kinds), kinds_(panel_count(args.x.rows) * kPanel) {
        const int64_t n = args.x.rows;
        for (int64_t i = 0; i < panel_count(n) * kPanel; ++i) kinds_[i] = i < n ? args.kinds[i] : 0;
    }
    void prepare(const Member&) {}
    void operator()(int64_t i, int64_t j, int64_t* weights) const {
        for (int r = 0; r < kTileRows; ++r) {
            const int64_t* row = table_ + kinds_[i + r] * n_kinds_;
            for (int c = 0; c < kPanel; ++c) weights[r * kPanel + c] = row[kinds_[j + c]];
        }
    }

private:
    const int64_t* table_;
    const int64_t n_kinds_;
    Buffer<int64_t> kinds_;
};

// Weights of the pairs of a register tile from the ranks of binned label distances: one visit of all
// pairs counts the bins, later visits look the ranks up.
class BinnedWeights {
public:
    BinnedWeights(const MatrixView& labels, double magnitude, int n_threads)
        : labels_(labels),
          magnitude_(magnitude),
          width_(padded_width(labels.cols)),
          panels_(panel_count(labels.rows) * kPanel * labels.cols),
          row_(n_threads * width_),
          ranks_(kWeightedSegments * kWeightedSegment),
          queue_(0) {}

    void prepare(const Member& member) {
        share(member, queue_, panel_count(labels_.rows), [&](int64_t p) {
            pack_panel(labels_, p * kPanel, nullptr, nullptr, magnitude_,
                       row_.data() + member.rank * width_,
                       panels_.data() + p * kPanel * labels_.cols);
        });
    }
    // Takes over the ranks of counted label distances; returns the sum of the squared weights.
    double rank(const WeightedHistogram& histogram, int64_t n_pairs) {
        double squares = 0;
        rank_bins(histogram, n_pairs, [&](int64_t index, const WeightedBin& bin, int64_t rank) {
            ranks_[index] = rank;
            squares += (double)bin.pairs * (double)rank * (double)rank;
        });
        return squares;
    }
    void operator()(int64_t i, int64_t j, int64_t* weights) const {
        const double* rows = panels_.data() + i / kPanel * kPanel * labels_.cols + i % kPanel;
        const double* cols = panels_.data() + j * labels_.cols;
        RegisterTile tile = empty_tile();
        for (int64_t k = 0; k < labels_.cols; ++k)
            multiply_step(tile, rows + k * kPanel, cols + k * kPanel);
        tile_keys(tile, weights);
        for (int w = 0; w < kTileWords; ++w) weights[w] = ranks_[weights[w] >> kWeightedShift];
    }

private:
    const MatrixView labels_;
    const double magnitude_;
    const int64_t width_;
    Buffer<double> panels_, row_;
    Buffer<int64_t> ranks_;
    Queue queue_;
};

template <class Weights>
double correlate_weights(RowPairs& pairs, WeightedMemory& memory, Weights& weights,
                         double weight_squares, int64_t n_pairs, int n_threads) {
    WeightedHistogram histogram = memory.histogram();
    auto body = [&](Member member) {
        weights.prepare(member);
        pairs.prepare(member);
        WeightedCounter counter(histogram, memory.chunks(member.rank), memory.cursors(member.rank));
        pairs.visit(member, counter,
                    [&weights](int64_t i, int64_t j, const RegisterTile& tile, uint64_t* words) {
                        int64_t keys[kTileWords], of_pair[kTileWords];
                        tile_keys(tile, keys);
                        weights(i, j, of_pair);
                        for (int w = 0; w < kTileWords; ++w)
                            words[w] = WeightedCounter::word(keys[w], of_pair[w]);
                    });
    };
    run_team(n_threads, body);
    return weighted_spearman(histogram, n_pairs, weight_squares);
}

// Counts the distances of all pairs.
void count_pairs(RowPairs& pairs, WeightedMemory& memory, int n_threads) {
    WeightedHistogram histogram = memory.histogram();
    auto body = [&](Member member) {
        pairs.prepare(member);
        WeightedCounter counter(histogram, memory.chunks(member.rank), memory.cursors(member.rank));
        pairs.visit(member, counter,
                    [](int64_t, int64_t, const RegisterTile& tile, uint64_t* words) {
                        int64_t keys[kTileWords];
                        tile_keys(tile, keys);
                        for (int w = 0; w < kTileWords; ++w)
                            words[w] = WeightedCounter::word(keys[w], 0);
                    });
    };
    run_team(n_threads, body);
}

}  // namespace

void parc_correlation_vectors(const ParcVectorsArgs& args) {
    const int64_t n_pairs = args.x.rows * (args.x.rows - 1) / 2;
    WeightedMemory memory(args.n_threads);
    RowPairs pairs(args.x, args.n_threads);
    if (args.weights != nullptr) {
        KindWeights weights(args);
        *args.correlation = correlate_weights(pairs, memory, weights, args.weight_squares, n_pairs,
                                              args.n_threads);
        return;
    }
    BinnedWeights weights(args.labels, args.label_magnitude, args.n_threads);
    double weight_squares;
    {
        RowPairs label_pairs(args.labels, args.n_threads, args.label_magnitude);
        count_pairs(label_pairs, memory, args.n_threads);
        weight_squares = weights.rank(memory.histogram(), n_pairs);
        memory.clear();
    }
    *args.correlation =
        correlate_weights(pairs, memory, weights, weight_squares, n_pairs, args.n_threads);
}

void parc_correlation(const ParcArgs& args) {
    const int64_t n_pairs = args.x.rows * (args.x.rows - 1) / 2;
    const uint64_t same = args.same_pairs, different = n_pairs - args.same_pairs;
    *args.correlation = __builtin_nan("");
    *args.error_bound = 0.0;
    if (same == 0 || different == 0) return;
    RowPairs pairs(args.x, args.n_threads);
    const Codes codes(args.codes, args.x.rows);
    if (n_pairs <= args.sort_limit) {
        const RankTally tally = sort_pairs(pairs, codes, n_pairs, args.n_threads);
        *args.correlation = spearman(same, different, tally.twice_u, tally.ties);
        return;
    }
    RankSum sum(same, different, args.tolerance);
    if (n_pairs >> 32 == 0)
        bin_pairs<uint32_t>(pairs, codes, sum, args.n_threads);
    else
        bin_pairs<uint64_t>(pairs, codes, sum, args.n_threads);
    *args.correlation = sum.correlation();
    *args.error_bound = sum.error_bound();
}

}  // namespace TK_ISA
}  // namespace tk
