// fisher_scatter on the CPU: rows are packed once into panels, then multiplied tile by tile.
//
// Blocks of kDepth rows become panels (doubles, shifted, times the root of the weight), and the class
// sums are gathered from the same read. Register tiles on and above the diagonal then add the block's
// share to the Gram matrix. Wide matrices are worked on by all threads together: while some still
// multiply a block, others pack the next. Narrow ones are cut into slices of rows, a thread each.
// The order of every sum depends on the shape alone, so the bits do not depend on the thread count.
#include "fisher_scatter.h"

#include "buffer.h"
#include "gemm_tile.h"
#include "integers.h"
#include "load_rows.h"
#include "parallel.h"

namespace tk {
namespace TK_ISA {
namespace {

// Broadcast panels that stay in the second-level cache while all vector panels pass by.
constexpr int64_t kGroupPanels = kLanes == 8 ? 18 : 30;
// Columns packed together: whole cache lines of X, few enough panels to write side by side.
constexpr int64_t kUnit = 64;
// Up to this many columns, a block is too little work to share.
constexpr int64_t kNarrow = 256;
constexpr int64_t kMaxSlices = 64;
constexpr int64_t kMaxSliceBytes = int64_t{32} << 20;

// How the columns are divided.
struct Columns {
    int64_t d, tiles, panels, units, unit_width;

    explicit Columns(int64_t d)
        : d(d), tiles(ceil_div(d, kTileWidth)), panels(tiles * kTilePanels),
          units(ceil_div(d, kUnit)), unit_width(smaller(kUnit, panels * kPanel)) {}
};

// What the samples are summed into. Class sums are kept unit by unit, (units, C, unit_width), so that
// those of one unit lie together.
struct Totals {
    double* gram;
    int64_t gram_stride;
    double* sums;
    double* root_sums;
};

struct Block {
    int64_t row, depth;
    bool first;  // of those summed into its totals, which need not be cleared
};

// x - shift times the root of the weight, from rows at `x` into the panels at `panels`.
template <class T>
static void pack_rows(const FisherScatterArgs& args, const T* x, int64_t row_stride, Block block,
                      int64_t vectors, const double* shift, double* panels, double* sums,
                      double* root_sums, int64_t sums_stride) {
    constexpr int64_t kAhead = 8;  // rows
    constexpr int64_t kLineElements = 64 / static_cast<int64_t>(sizeof(T));
    const int64_t columns = vectors * kLanes;
    for (int64_t k = 0; k < block.depth; ++k) {
        if (k + kAhead < block.depth)
            for (int64_t i = 0; i < columns; i += kLineElements)
                __builtin_prefetch(x + kAhead * row_stride + i);
        const int64_t code = args.codes[block.row + k];
        const double root_weight =
            args.weights ? __builtin_sqrt(args.weights[block.row + k]) : 1.0;
        const VecD root = broadcast(root_weight);
        double* class_sums = sums + code * sums_stride;
        double* class_root_sums = root_sums ? root_sums + code * sums_stride : nullptr;
        for (int64_t v = 0; v < vectors; ++v) {
            const int64_t i = v * kLanes;
            const VecD z = (load_vector(x + i) - load(shift + i)) * root;
            store(panels + i / kPanel * kPanelStride + k * kPanel + i % kPanel, z);
            store(class_sums + i, load(class_sums + i) + z * root);
            if (class_root_sums) store(class_root_sums + i, load(class_root_sums + i) + z);
        }
        x += row_stride;
    }
}

template <class T>
static void pack_unit(const FisherScatterArgs& args, const Columns& columns, Block block,
                      int64_t unit, const double* shift, const Totals& totals, double* staging,
                      double* panels) {
    const int64_t column = unit * kUnit;
    const int64_t count = smaller(kUnit, columns.d - column);
    const int64_t width = ceil_div(count, kPanel) * kPanel;
    const int64_t unit_sums = unit * args.n_classes * columns.unit_width;
    double* sums = totals.sums + unit_sums;
    double* root_sums = totals.root_sums ? totals.root_sums + unit_sums : nullptr;
    if (block.first) {
        const size_t bytes = sizeof(double) * args.n_classes * columns.unit_width;
        __builtin_memset(sums, 0, bytes);
        if (root_sums) __builtin_memset(root_sums, 0, bytes);
    }
    const T* x = static_cast<const T*>(args.X.data) + block.row * args.X.row_stride +
                 column * args.X.col_stride;
    double* unit_panels = panels + column / kPanel * kPanelStride;
    if (args.X.col_stride == 1 && count == width) {
        pack_rows(args, x, args.X.row_stride, block, width / kLanes, shift + column, unit_panels,
                  sums, root_sums, columns.unit_width);
    } else {
        copy_as_doubles(x, args.X.row_stride, args.X.col_stride, block.depth, count, staging, width);
        pack_rows(args, staging, width, block, width / kLanes, shift + column, unit_panels, sums,
                  root_sums, columns.unit_width);
    }
}

// Panels beyond the last column take part in tiles and are never packed.
static void clear_padding(const Columns& columns, double* panels) {
    for (int64_t p = ceil_div(columns.d, kPanel); p < columns.panels; ++p)
        __builtin_memset(panels + p * kPanelStride, 0, sizeof(double) * kPanelStride);
}

TK_INLINE void prefetch_tile(const double* c, int64_t stride) {
#pragma GCC unroll 8
    for (int r = 0; r < kPanel; ++r) {
#pragma GCC unroll 8
        for (int i = 0; i < kTileWidth; i += kCacheLine) __builtin_prefetch(c + r * stride + i);
        __builtin_prefetch(c + r * stride + kTileWidth - 1);
    }
}

// Tiles [first_tile, last_tile) of the rows of Gram that panels [first_panel, last_panel) give.
static void add_tiles(const Columns& columns, const double* panels, Block block, int64_t first_panel,
                      int64_t last_panel, int64_t first_tile, int64_t last_tile,
                      const Totals& totals) {
    const int64_t stride = totals.gram_stride;
    for (int64_t t = first_tile; t < last_tile; ++t) {
        const double* vectors = panels + t * kTilePanels * kPanelStride;
        const int64_t column = t * kTileWidth;
        const int64_t width = smaller(kTileWidth, columns.d - column);
        const int64_t end_panel = smaller(last_panel, (t + 1) * kTilePanels);
        for (int64_t p = first_panel; p < end_panel; ++p) {
            double* gram = totals.gram + p * kPanel * stride + column;
            const int64_t height = smaller(kPanel, columns.d - p * kPanel);
            const bool whole = width == kTileWidth && height == kPanel;
            if (p + 1 < end_panel && whole) prefetch_tile(gram + kPanel * stride, stride);
            const Tile tile = tile_product(vectors, panels + p * kPanelStride, block.depth);
            if (whole) {
#pragma GCC unroll 8
                for (int r = 0; r < kPanel; ++r)
#pragma GCC unroll 8
                    for (int v = 0; v < kTileVectors; ++v) {
                        double* c = gram + r * stride + v * kLanes;
                        store(c, block.first ? tile.at[r][v] : load(c) + tile.at[r][v]);
                    }
            } else {
                double values[kPanel][kTileWidth];
#pragma GCC unroll 8
                for (int r = 0; r < kPanel; ++r)
#pragma GCC unroll 8
                    for (int v = 0; v < kTileVectors; ++v)
                        store(&values[r][v * kLanes], tile.at[r][v]);
                for (int64_t r = 0; r < height; ++r)
                    for (int64_t i = 0; i < width; ++i)
                        gram[r * stride + i] =
                            (block.first ? 0.0 : gram[r * stride + i]) + values[r][i];
            }
        }
    }
}

// Part of the tiles that one thread takes at a time.
struct Task {
    int64_t first_panel, last_panel, first_tile, last_tile;
};

// Lists the tasks that cover the upper triangle; returns their number. With `tasks` null, only that.
static int64_t list_tasks(const Columns& columns, int64_t tiles_per_task, Task* tasks) {
    const int64_t panels = ceil_div(columns.d, kPanel);
    const int64_t groups = ceil_div(panels, kGroupPanels);
    int64_t count = 0;
    for (int64_t g = 0; g < groups; ++g) {
        const int64_t first_panel = panels * g / groups, last_panel = panels * (g + 1) / groups;
        int64_t tile = first_panel / kTilePanels;
        while (tile < columns.tiles) {
            const int64_t end = smaller(columns.tiles, tile + tiles_per_task);
            if (tasks) tasks[count] = Task{first_panel, last_panel, tile, end};
            ++count;
            tile = end;
        }
    }
    return count;
}

// Adds the totals of all slices, rows of Gram and units of sums being the items of the queue.
static void finish(const FisherScatterArgs& args, const Columns& columns, const Totals* slices,
                   int64_t n_slices, Queue& queue) {
    for (int64_t item = queue.next(); item >= 0; item = queue.next()) {
        if (item < columns.d) {
            double* row = args.gram + item * columns.d;
            for (int64_t s = 0; s < n_slices; ++s) {
                const double* part = slices[s].gram + item * slices[s].gram_stride;
                if (part == row) continue;
                for (int64_t i = item; i < columns.d; ++i)
                    row[i] = (s == 0 ? 0.0 : row[i]) + part[i];
            }
            continue;
        }
        const int64_t column = (item - columns.d) * kUnit;
        const int64_t width = smaller(kUnit, columns.d - column);
        const int64_t unit_sums = (item - columns.d) * args.n_classes * columns.unit_width;
        for (int64_t c = 0; c < args.n_classes; ++c)
            for (int64_t s = 0; s < n_slices; ++s) {
                const int64_t from = unit_sums + c * columns.unit_width;
                const int64_t to = c * columns.d + column;
                for (int64_t i = 0; i < width; ++i) {
                    args.sums[to + i] =
                        (s == 0 ? 0.0 : args.sums[to + i]) + slices[s].sums[from + i];
                    if (args.root_sums)
                        args.root_sums[to + i] =
                            (s == 0 ? 0.0 : args.root_sums[to + i]) + slices[s].root_sums[from + i];
                }
            }
    }
}

TK_INLINE Block block_at(int64_t n, int64_t index, bool first) {
    return Block{index * kDepth, smaller(kDepth, n - index * kDepth), first};
}

// All threads share each block.
template <class T>
static void scatter_together(const FisherScatterArgs& args, const Columns& columns,
                             const double* shift) {
    const int64_t n = args.X.rows, n_blocks = ceil_div(n, kDepth);
    const int64_t all_tiles = columns.tiles * columns.panels / 2;
    const int64_t tiles_per_task =
        larger(1, smaller(16, all_tiles / (16 * args.n_threads * kGroupPanels)));
    const int64_t n_tasks = list_tasks(columns, tiles_per_task, nullptr);
    const int64_t panels_size = columns.panels * kPanelStride;
    const int64_t sums_size = columns.units * args.n_classes * columns.unit_width;
    const Buffer<Task> tasks(n_tasks);
    const Buffer<double> panels(2 * panels_size);
    const Buffer<double> staging(args.n_threads * kDepth * kUnit);
    const Buffer<double> sums(sums_size * (args.root_sums ? 2 : 1));
    list_tasks(columns, tiles_per_task, tasks.data());
    for (int side = 0; side < 2; ++side) clear_padding(columns, panels.data() + side * panels_size);
    const Totals totals{args.gram, columns.d, sums.data(),
                        args.root_sums ? sums.data() + sums_size : nullptr};
    // In each phase: the tiles of one block, then the packing of the next.
    Queue queues[2] = {Queue(columns.units), Queue(0)};
    auto body = [&](Member member) {
        double* own_staging = staging.data() + member.rank * kDepth * kUnit;
        for (int64_t phase = -1; phase <= n_blocks; ++phase) {
            Queue& queue = queues[(phase + 1) & 1];
            if (member.rank == 0 && phase < n_blocks)
                queues[phase & 1].reset(phase + 1 == n_blocks ? columns.d + columns.units
                                        : phase + 2 == n_blocks ? n_tasks
                                                                : n_tasks + columns.units);
            if (phase == n_blocks) {
                finish(args, columns, &totals, 1, queue);
                break;
            }
            const int64_t tile_tasks = phase < 0 ? 0 : n_tasks;
            const double* full = panels.data() + (phase & 1) * panels_size;
            double* empty = panels.data() + ((phase + 1) & 1) * panels_size;
            for (int64_t item = queue.next(); item >= 0; item = queue.next()) {
                if (item < tile_tasks) {
                    const Task& task = tasks[item];
                    add_tiles(columns, full, block_at(n, phase, phase == 0), task.first_panel,
                              task.last_panel, task.first_tile, task.last_tile, totals);
                } else {
                    pack_unit<T>(args, columns, block_at(n, phase + 1, phase < 0),
                                 item - tile_tasks, shift, totals, own_staging, empty);
                }
            }
            member.barrier.wait();
        }
    };
    run_team(args.n_threads, body);
}

// Each thread takes slices of consecutive blocks.
template <class T>
static void scatter_slices(const FisherScatterArgs& args, const Columns& columns,
                           const double* shift) {
    const int64_t n = args.X.rows, n_blocks = ceil_div(n, kDepth);
    const int64_t gram_size = columns.d * columns.d;
    const int64_t sums_size = columns.units * args.n_classes * columns.unit_width;
    const int64_t slice_size = gram_size + sums_size * (args.root_sums ? 2 : 1);
    const int64_t affordable = larger(1, kMaxSliceBytes / (8 * slice_size));
    const int64_t n_slices = smaller(n_blocks, smaller(kMaxSlices, affordable));
    const int n_threads = static_cast<int>(smaller(n_slices, args.n_threads));
    const int64_t panels_size = columns.panels * kPanelStride;
    const int64_t own_size = panels_size + kDepth * kUnit;
    const Buffer<double> scratch(n_threads * own_size);
    const Buffer<double> parts(n_slices * slice_size);
    const Buffer<Totals> totals(n_slices);
    for (int64_t s = 0; s < n_slices; ++s) {
        double* part = parts.data() + s * slice_size;
        totals[s] = Totals{part, columns.d, part + gram_size,
                           args.root_sums ? part + gram_size + sums_size : nullptr};
    }
    Queue slices(n_slices), items(columns.d + columns.units);
    const int64_t data_panels = ceil_div(columns.d, kPanel);
    auto body = [&](Member member) {
        double* panels = scratch.data() + member.rank * own_size;
        double* staging = panels + panels_size;
        clear_padding(columns, panels);
        for (int64_t s = slices.next(); s >= 0; s = slices.next()) {
            const int64_t begin = n_blocks * s / n_slices, end = n_blocks * (s + 1) / n_slices;
            for (int64_t b = begin; b < end; ++b) {
                const Block block = block_at(n, b, b == begin);
                for (int64_t unit = 0; unit < columns.units; ++unit)
                    pack_unit<T>(args, columns, block, unit, shift, totals[s], staging, panels);
                for (int64_t p = 0; p < data_panels; p += kGroupPanels)
                    add_tiles(columns, panels, block, p, smaller(data_panels, p + kGroupPanels),
                              p / kTilePanels, columns.tiles, totals[s]);
            }
        }
        member.barrier.wait();
        finish(args, columns, totals.data(), n_slices, items);
    };
    run_team(n_threads, body);
}

template <class T>
static void scatter(const FisherScatterArgs& args) {
    const Columns columns(args.X.cols);
    const Buffer<double> shift(columns.units * kUnit);
    for (int64_t i = 0; i < columns.units * kUnit; ++i)
        shift[i] = i < columns.d ? args.shift[i] : 0.0;
    if (columns.d <= kNarrow)
        scatter_slices<T>(args, columns, shift.data());
    else
        scatter_together<T>(args, columns, shift.data());
}

}  // namespace

void fisher_scatter(const FisherScatterArgs& args) {
    switch (args.X.dtype) {
        case Dtype::float16: return scatter<Half>(args);
        case Dtype::float32: return scatter<float>(args);
        case Dtype::float64: return scatter<double>(args);
    }
}

}  // namespace TK_ISA
}  // namespace tk
