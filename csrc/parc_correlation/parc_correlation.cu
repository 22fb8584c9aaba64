// Counting the distances of all pairs of rows in bins: tiles of pairs are multiplied, then sorted in
// shared memory by the leading part of their bins; then each part is counted in shared memory.
//
// What bounds it. 50 000 rows have 1.25e9 pairs; with 32 features their products are 80 GFLOP, some
// 2 ms on the FP64 tensor cores of an H200. The counters, 2 x 2^23, fit neither shared memory nor,
// with 64 bits each, the L2 cache; a global atomic for each pair, every one to a sector of its own,
// would take tens of milliseconds and more where pairs are tied. So a tile of 128 x 128 pairs is
// sorted by the leading 9 bits (class and part) of their bins, of which it writes the trailing 15:
// two bytes a pair, in runs of some 64. A block that counts one part then has all its counters in
// 128 KiB of shared memory and reads the runs of thousands of tiles; where a block may not have that
// much, two blocks have half of the counters each, and both read the runs. Each pair costs two
// atomics in shared memory, and 2.5 GB are written and read for it in all. A chunk of tiles bounds
// the memory, and every tile has its own place in it, so that no run can overflow; after each chunk
// all counters, 134 MB, are added to twice.
//
// All counts are integers: whatever the order of the threads, the result has the same bits.
#include "parc_correlation_cuda.h"

#include "device/cuda_devices.h"
#include "device/device.cuh"

namespace tk {
namespace {

constexpr int kTileThreads = 512;
constexpr int kWarps = kTileThreads / 32;
constexpr int kTilePairs = kPairTile * kPairTile;
// A warp multiplies 32 x 32 pairs, in products of 16 x 8.
constexpr int kWarpTile = 32;
constexpr int kDown = kWarpTile / 16, kAcross = kWarpTile / 8;
constexpr int kLanePairs = kDown * kAcross * 4;
constexpr int kMostDigits = 2 << (kMostBinBits - kCounterBits);
static_assert(kMostDigits <= kTileThreads, "a thread scans the count of one digit");
static_assert(kTilePairs <= 1 << 16, "ranks and starts take 16 bits");

constexpr int kCountThreads = 1024;
// Lanes that read one run.
constexpr int kRunLanes = 8;
// Blocks that share the tiles of one part.
constexpr int kPartBlocks = 2;

constexpr uint32_t kNone = 0xffffffffu;

struct alignas(16) Two {
    double x, y;
};
struct alignas(16) Words {
    uint32_t word[4];
};
struct alignas(8) Cell {
    int32_t first, shift;
};

__host__ __device__ constexpr int smaller(int a, int b) { return a < b ? a : b; }

// Distance 1 - r in multiples of 2^-36: doubles in [2^16, 2^17) are multiples of that.
__device__ __forceinline__ int64_t distance_key(double correlation) {
    return __double_as_longlong(65537.0 - correlation) - 0x40f0000000000000ll;
}

// Bin of the key on the last level, or kNone where its bin was not refined.
template <bool refined>
__device__ __forceinline__ uint32_t deepest_bin(const KeyLevels& levels, const Cell* cells,
                                                int64_t key) {
    const Cell cell = cells[key >> kCellBits];
    const uint32_t within = static_cast<uint32_t>(key) & ((1u << kCellBits) - 1);
    uint32_t bin = static_cast<uint32_t>(cell.first) + (within >> cell.shift);
    if constexpr (refined) {
        for (int l = 0; l < levels.n_refined; ++l) {
            const RefinedLevel& level = levels.refined[l];
            const int32_t at = level.cell_of[bin];
            if (at < 0) return kNone;
            bin = (static_cast<uint32_t>(at) << level.bits) +
                  static_cast<uint32_t>((key - level.start[at]) >> level.shift[at]);
        }
    }
    return bin;
}

// A kFeatureStep wide slice of the tile's rows and columns in shared memory, as the products read it:
// of rows r and r + 8 the same feature lies side by side, of columns two features do. Odd paddings
// let eight lanes, 16 bytes each, meet all banks.
struct Operands {
    static constexpr int kLine = kFeatureStep + 4;
    static constexpr int kColumn = kFeatureStep + 8;
    Two rows[kPairTile / 2 * kLine];
    double columns[kPairTile * kColumn];
};

// Row and column of a tile: all of n_down x n_across, or those on and above the diagonal.
struct TilePlace {
    int down, across;
};
__device__ __forceinline__ TilePlace place_tile(int64_t tile, int n_down, bool diagonal) {
    if (!diagonal) return {static_cast<int>(tile % n_down), static_cast<int>(tile / n_down)};
    auto before = [](int64_t column) { return column * (column + 1) / 2; };
    int64_t across = static_cast<int64_t>(sqrt(2.0 * static_cast<double>(tile)));
    while (before(across) > tile) --across;
    while (before(across + 1) <= tile) ++across;
    return {static_cast<int>(tile - before(across)), static_cast<int>(across)};
}

struct TileMemory {
    union {
        Operands operands;
        uint16_t sorted[kTilePairs];
    };
    Cell cells[kCells];
    uint32_t digits[kMostDigits];
    uint32_t warp_totals[kWarps];
    int codes[2][kPairTile];
    TilePlace place;
};

// What a thread brings of each slice: two pieces of a row and of a column.
class SliceReader {
public:
    __device__ __forceinline__ SliceReader(const double* rows, const double* columns,
                                           int64_t depth) {
        const int t = threadIdx.x;
        row_ = reinterpret_cast<const Two*>(rows + row() * depth) + t / 2 % 4;
        column_ = reinterpret_cast<const Two*>(columns + t / 4 * depth) + t % 4;
    }
    // Reads the thread's part of the next slice.
    __device__ __forceinline__ void read() {
        rows_[0] = row_[0];
        rows_[1] = row_[4];
        columns_[0] = column_[0];
        columns_[1] = column_[4];
        row_ += kFeatureStep / 2;
        column_ += kFeatureStep / 2;
    }
    __device__ __forceinline__ void stage(Operands& operands) const {
        const int t = threadIdx.x;
        double* pair = &operands.rows[(row() / 16 * 8 + row() % 8) * Operands::kLine].x;
        pair += row() / 8 % 2 + t / 2 % 4 * 2;
        Two* column = reinterpret_cast<Two*>(operands.columns + t / 4 * Operands::kColumn) + t % 4;
#pragma unroll
        for (int piece = 0; piece < 2; ++piece) {
            pair[16 * piece] = rows_[piece].x;
            pair[16 * piece + 8] = rows_[piece].y;
            column[4 * piece] = columns_[piece];
        }
    }

private:
    static __device__ __forceinline__ int row() {
        return threadIdx.x / 64 * 16 + threadIdx.x % 2 * 8 + threadIdx.x / 8 % 8;
    }
    const Two *row_, *column_;
    Two rows_[2], columns_[2];
};

// Products of all features of the warp's rows and columns. Every sum is over the features in one
// order, so that duplicate rows have bit-equal correlations with all others.
__device__ __forceinline__ void multiply_tile(const double* rows, const double* columns,
                                              int64_t depth, Operands& operands,
                                              double (&sum)[kDown][kAcross][4]) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const Two* a_rows = operands.rows + (warp / 4 * (kWarpTile / 2) + lane / 4) * Operands::kLine +
                        lane % 4;
    const double* b_columns = operands.columns +
                              (warp % 4 * kWarpTile + lane / 4) * Operands::kColumn + lane % 4 * 2;
    for (auto& down : sum)
        for (auto& across : down)
            for (double& value : across) value = 0.0;

    SliceReader slices(rows, columns, depth);
    slices.read();
    for (int left = static_cast<int>(depth / kFeatureStep); left > 0; --left) {
        __syncthreads();
        slices.stage(operands);
        __syncthreads();
        if (left > 1) slices.read();
#pragma unroll 1
        for (int half = 0; half < kFeatureStep; half += 8) {
            double b[kAcross][2];
#pragma unroll
            for (int c = 0; c < kAcross; ++c) {
                const Two two = *reinterpret_cast<const Two*>(b_columns +
                                                              c * 8 * Operands::kColumn + half);
                b[c][0] = two.x;
                b[c][1] = two.y;
            }
#pragma unroll
            for (int d = 0; d < kDown; ++d) {
                const Two even = a_rows[d * 8 * Operands::kLine + half];
                const Two odd = a_rows[d * 8 * Operands::kLine + half + 4];
                const double a[4] = {even.x, even.y, odd.x, odd.y};
#pragma unroll
                for (int c = 0; c < kAcross; ++c) mma_m16n8k8_f64(sum[d][c], a, b[c]);
            }
        }
    }
}

// Turns the block's counts of the digits into their first places; returns the place of this thread's
// digit. Threads beyond the digits get the number of all.
__device__ __forceinline__ uint32_t scan_digits(TileMemory& memory, int n_digits) {
    const int t = threadIdx.x, lane = t % 32, warp = t / 32;
    const uint32_t mine = t < n_digits ? memory.digits[t] : 0;
    uint32_t up_to = mine;
#pragma unroll
    for (int delta = 1; delta < 32; delta *= 2) {
        const uint32_t before = __shfl_up_sync(kFullMask, up_to, delta);
        if (lane >= delta) up_to += before;
    }
    if (lane == 31) memory.warp_totals[warp] = up_to;
    __syncthreads();
    uint32_t start = up_to - mine;
    for (int w = 0; w < warp; ++w) start += memory.warp_totals[w];
    if (t < n_digits) memory.digits[t] = start;
    __syncthreads();
    return start;
}

template <bool refined>
__global__ void __launch_bounds__(kTileThreads, 1)
    sort_tiles(const __grid_constant__ CountPairsArgs args, int64_t first_tile) {
    TK_DYNAMIC_SHARED(TileMemory, shared);
    TileMemory& memory = *shared;
    const int t = threadIdx.x, lane = t % 32, warp = t / 32;
    const int low_bits = smaller(args.bin_bits, kCounterBits);
    const int n_digits = 2 << (args.bin_bits - low_bits);
    if (t == 0)
        memory.place = place_tile(first_tile + blockIdx.x,
                                  static_cast<int>((args.n_rows + kPairTile - 1) / kPairTile),
                                  args.diagonal);
    __syncthreads();
    const int64_t first_row = int64_t{memory.place.down} * kPairTile;
    const int64_t first_column = int64_t{memory.place.across} * kPairTile;

    const Cell* cells = reinterpret_cast<const Cell*>(args.levels.cells);
#pragma unroll 1
    for (int c = t; c < kCells; c += kTileThreads) memory.cells[c] = cells[c];
    if (t < n_digits) memory.digits[t] = 0;
    if (t < kPairTile) {
        const int64_t row = first_row + t, column = first_column + t;
        memory.codes[0][t] = row < args.n_rows ? static_cast<int>(args.row_codes[row]) : -1;
        memory.codes[1][t] = column < args.n_columns ? static_cast<int>(args.column_codes[column])
                                                     : -1;
    }
    double sum[kDown][kAcross][4];
    multiply_tile(args.rows + first_row * args.depth, args.columns + first_column * args.depth,
                  args.depth, memory.operands, sum);

    // Bins with the class above them, and the ranks of the pairs among those of their digit.
    uint32_t word[kLanePairs], rank[kLanePairs / 2];
    const bool on_diagonal = args.diagonal && memory.place.down == memory.place.across;
    const int row = warp / 4 * kWarpTile + lane / 4, column = warp % 4 * kWarpTile + lane % 4 * 2;
#pragma unroll
    for (int s = 0; s < kLanePairs; ++s) {
        const int d = s / (kAcross * 4), c = s / 4 % kAcross;
        const int i = row + d * 16 + s % 4 / 2 * 8, j = column + c * 8 + s % 2;
        const int code = memory.codes[0][i], other = memory.codes[1][j];
        word[s] = kNone;
        if (code < 0 || other < 0 || (on_diagonal && i >= j)) continue;
        const uint32_t bin = deepest_bin<refined>(args.levels, memory.cells,
                                                  distance_key(sum[d][c][s % 4]));
        if (bin != kNone) word[s] = bin | static_cast<uint32_t>(code == other) << args.bin_bits;
    }
#pragma unroll
    for (int s = 0; s < kLanePairs; ++s) {
        const uint32_t place = word[s] == kNone
                                   ? 0
                                   : atomicAdd(&memory.digits[word[s] >> low_bits], 1u);
        rank[s / 2] = s % 2 == 0 ? place : rank[s / 2] | place << 16;
    }
    __syncthreads();
    uint16_t* starts = args.starts + static_cast<int64_t>(blockIdx.x) * (n_digits + 1);
    const uint32_t start = scan_digits(memory, n_digits);
    if (t < n_digits) starts[t] = static_cast<uint16_t>(start);
    // The last warp's totals are in: all threads know the number of all.
    uint32_t total = 0;
    for (int w = 0; w < kWarps; ++w) total += memory.warp_totals[w];
    if (t == 0) starts[n_digits] = static_cast<uint16_t>(total);
#pragma unroll
    for (int s = 0; s < kLanePairs; ++s) {
        if (word[s] == kNone) continue;
        const uint32_t place = s % 2 == 0 ? rank[s / 2] & 0xffffu : rank[s / 2] >> 16;
        memory.sorted[memory.digits[word[s] >> low_bits] + place] = static_cast<uint16_t>(
            word[s] & ((1u << low_bits) - 1));
    }
    __syncthreads();
    constexpr int kPerWords = sizeof(Words) / sizeof(uint16_t);
    Words* out = reinterpret_cast<Words*>(args.entries) +
                 static_cast<int64_t>(blockIdx.x) * (kTilePairs / kPerWords);
    const Words* sorted = reinterpret_cast<const Words*>(memory.sorted);
    for (int w = t; w * kPerWords < static_cast<int>(total); w += kTileThreads) out[w] = sorted[w];
}

// Counts in shared memory; equal entries in a row, as of tied pairs, are added at once.
class RunCounter {
public:
    __device__ __forceinline__ explicit RunCounter(uint32_t* counters) : counters_(counters) {}
    __device__ __forceinline__ void add(uint32_t entry) {
        if (entry != last_) {
            close();
            last_ = entry;
            length_ = 0;
        }
        ++length_;
    }
    __device__ __forceinline__ void close() {
        if (length_ > 0) atomicAdd(&counters_[last_], length_);
    }

private:
    uint32_t* counters_;
    uint32_t last_ = kNone, length_ = 0;
};

// Block (digit, part, share) counts the digit's runs in its part of the tiles: entries of
// `shared_bits` bits whose leading bits, if there are more, are its share.
template <bool split>
__global__ void __launch_bounds__(kCountThreads, 1)
    count_sorted(const uint16_t* __restrict__ entries, const uint16_t* __restrict__ starts,
                 int n_tiles, int low_bits, int shared_bits, unsigned long long* counts) {
    TK_DYNAMIC_SHARED(uint32_t, counters);
    const int digit = blockIdx.x, n_digits = gridDim.x;
    const int begin = static_cast<int>(int64_t{n_tiles} * blockIdx.y / gridDim.y);
    const int end = static_cast<int>(int64_t{n_tiles} * (blockIdx.y + 1) / gridDim.y);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int b = threadIdx.x; b < 1 << shared_bits; b += kCountThreads) counters[b] = 0;
    __syncthreads();

    RunCounter counter(counters);
    const auto add = [&](uint32_t entry) {
        if constexpr (split) {
            if (entry >> shared_bits != blockIdx.z) return;
            entry &= (1u << shared_bits) - 1;
        }
        counter.add(entry);
    };
    for (int tile = begin + warp * 32; tile < end; tile += kCountThreads) {
        // Each lane asks for the run of one tile; then groups of lanes read one run each.
        uint32_t from = 0, to = 0;
        if (tile + lane < end) {
            const uint16_t* run = starts + int64_t{tile + lane} * (n_digits + 1) + digit;
            from = run[0];
            to = run[1];
        }
        for (int r = 0; r < kRunLanes; ++r) {
            const int source = r * (32 / kRunLanes) + lane / kRunLanes;
            const uint32_t stop = __shfl_sync(kFullMask, to, source);
            uint32_t at = __shfl_sync(kFullMask, from, source) + lane % kRunLanes;
            const uint16_t* run = entries + int64_t{tile + source} * kTilePairs;
            for (; at + 3 * kRunLanes < stop; at += 4 * kRunLanes) {
                uint32_t entry[4];
#pragma unroll
                for (int u = 0; u < 4; ++u) entry[u] = run[at + u * kRunLanes];
#pragma unroll
                for (int u = 0; u < 4; ++u) add(entry[u]);
            }
            for (; at < stop; at += kRunLanes) add(run[at]);
        }
    }
    counter.close();
    __syncthreads();
    unsigned long long* mine = counts + (int64_t{digit} << low_bits) +
                               (int64_t{blockIdx.z} << shared_bits);
    for (int b = threadIdx.x; b < 1 << shared_bits; b += kCountThreads)
        if (counters[b] > 0) atomicAdd(&mine[b], static_cast<unsigned long long>(counters[b]));
}

int64_t tile_count(int64_t n) { return (n + kPairTile - 1) / kPairTile; }

}  // namespace

int digit_count(int bin_bits) { return 2 << (bin_bits - smaller(bin_bits, kCounterBits)); }

void count_pairs(const CountPairsArgs& args) {
    const int64_t down = tile_count(args.n_rows), across = tile_count(args.n_columns);
    const int64_t n_tiles = args.diagonal ? down * (down + 1) / 2 : down * across;
    const int low_bits = smaller(args.bin_bits, kCounterBits);
    const bool fits = (sizeof(uint32_t) << low_bits) <= shared_memory_per_block();
    const int shared_bits = fits ? low_bits : kFewerCounterBits;
    const dim3 parts(digit_count(args.bin_bits), kPartBlocks, 1u << (low_bits - shared_bits));
    for (int64_t first = 0; first < n_tiles; first += args.chunk_tiles) {
        const int64_t rest = n_tiles - first;
        const int tiles = static_cast<int>(rest < args.chunk_tiles ? rest : args.chunk_tiles);
        launch(args.levels.n_refined > 0 ? &sort_tiles<true> : &sort_tiles<false>, dim3(tiles),
               dim3(kTileThreads), sizeof(TileMemory), args.stream, args, first);
        launch(fits ? &count_sorted<false> : &count_sorted<true>, parts, dim3(kCountThreads),
               sizeof(uint32_t) << shared_bits, args.stream, args.entries, args.starts, tiles,
               low_bits, shared_bits, args.counts);
    }
}

}  // namespace tk
