// fisher_scatter on the CPU: rows are packed once into panels, then multiplied tile by tile.
//
// Blocks of kDepth rows become panels (doubles, shifted, times the root of the weight), and the class
// sums are gathered from the same read. Register tiles on and above the diagonal then add the block's
// share to the Gram matrix. Wide matrices are worked on by all threads together: while some still
// multiply a block, others pack the next. Narrow ones are cut into slices of rows, a thread each.
// The order of every sum depends on the shape alone, so the bits do not depend on the thread count.
#include "fisher_scatter.h"

#include "common/buffer.h"
#include "common/gemm_tile.h"
#include "common/integers.h"
#include "common/load_rows.h"
#include "common/parallel.h"

namespace tk {
namespace TK_ISA {
namespace {

// Broadcast panels that stay in the outer caches while all vector panels pass by.
constexpr int64_t kGroupPanels = kLanes == 8 ? 18 : 60;
// Columns packed together: whole cache lines of X, few enough panels to write side by side.
constexpr int64_t kUnit = 64;
// Up to this many columns, a block is too little work to share.
constexpr int64_t kNarrow = 256;
constexpr int64_t kMaxSlices = 64;
constexpr int64_t kMaxSliceBytes = int64_t{32} << 20;

// How the columns are divided: the tiles of panel p's rows and of the columns from t * kTileWidth on.
struct Columns {
    int64_t d, tiles, panels, units, unit_width;

    explicit Columns(int64_t d)
        : d(d), tiles(ceil_div(d, kTileWidth)), panels(tiles * kTilePanels),
          units(ceil_div(d, kUnit)), unit_width(smaller(kUnit, panels * kPanel)) {}

    int64_t data_panels() const { return ceil_div(d, kPanel); }
    // Where a tile begins among those that reach above the diagonal.
    int64_t tile_at(int64_t p, int64_t t) const {
        return (kTilePanels * t * (t + 1) / 2 + p) * kTileSize;
    }
    int64_t gram_size() const { return tile_at(0, tiles); }
};

// What the samples are summed into. The Gram matrix is kept tile by tile, each tile contiguous: adding
// to them runs through memory in order. Class sums are kept unit by unit, (units, C, unit_width), so
// that those of one unit lie together.
struct Totals {
    double* gram;
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
        const double root_weight = args.weights ? __builtin_sqrt(args.weights[block.row + k]) : 1.0;
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
        copy_as_doubles(x, args.X.row_stride, args.X.col_stride, block.depth, count, staging,
                        width);
        pack_rows(args, staging, width, block, width / kLanes, shift + column, unit_panels, sums,
                  root_sums, columns.unit_width);
    }
}

// Panels beyond the last column take part in tiles and are never packed.
static void clear_padding(const Columns& columns, double* panels) {
    for (int64_t p = columns.data_panels(); p < columns.panels; ++p)
        __builtin_memset(panels + p * kPanelStride, 0, sizeof(double) * kPanelStride);
}

// Tiles [first_tile, last_tile) of the rows of Gram that panels [first_panel, last_panel) give.
static void add_tiles(const Columns& columns, const double* panels, Block block,
                      int64_t first_panel, int64_t last_panel, int64_t first_tile,
                      int64_t last_tile, const Totals& totals) {
    for (int64_t t = first_tile; t < last_tile; ++t) {
        const double* vectors = panels + t * kTilePanels * kPanelStride;
        const int64_t end_panel = smaller(last_panel, (t + 1) * kTilePanels);
        double* gram = totals.gram + columns.tile_at(first_panel, t);
        for (int64_t p = first_panel; p < end_panel; ++p) {
            if (p + 1 < end_panel) {
#pragma GCC unroll 32
                for (int i = 0; i < kTileSize; i += kCacheLine)
                    __builtin_prefetch(gram + kTileSize + i);
            }
            const Tile tile = tile_product(vectors, panels + p * kPanelStride, block.depth);
#pragma GCC unroll 8
            for (int r = 0; r < kPanel; ++r)
#pragma GCC unroll 8
                for (int v = 0; v < kTileVectors; ++v) {
                    double* c = gram + r * kTileWidth + v * kLanes;
                    store(c, block.first ? tile.at[r][v] : load(c) + tile.at[r][v]);
                }
            gram += kTileSize;
        }
    }
}

// Part of the tiles that one thread takes at a time.
struct Task {
    int64_t first_panel, last_panel, first_tile, last_tile;
};

// Lists the tasks that cover the upper triangle; returns their number. With `tasks` null, only that.
static int64_t list_tasks(const Columns& columns, int64_t tiles_per_task, Task* tasks) {
    const int64_t panels = columns.data_panels();
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

// Rows of Gram from the tiles of all slices: those of panel p.
static void finish_rows(const FisherScatterArgs& args, const Columns& columns, const Totals* slices,
                        int64_t n_slices, int64_t p) {
    const int64_t begin = p * kPanel, end = smaller(begin + kPanel, columns.d);
    for (int64_t t = p / kTilePanels; t < columns.tiles; ++t) {
        const int64_t column = t * kTileWidth, offset = columns.tile_at(p, t);
        const int64_t width = smaller(kTileWidth, columns.d - column);
        for (int64_t row = begin; row < end; ++row) {
            double* gram = args.gram + row * columns.d + column;
            for (int64_t s = 0; s < n_slices; ++s) {
                const double* part = slices[s].gram + offset + (row - begin) * kTileWidth;
                for (int64_t i = larger(0, row - column); i < width; ++i)
                    gram[i] = (s == 0 ? 0.0 : gram[i]) + part[i];
            }
        }
    }
}

// The totals of all slices, panels of rows of Gram and units of sums being the items of the queue.
static void finish(const FisherScatterArgs& args, const Columns& columns, const Totals* slices,
                   int64_t n_slices, Queue& queue) {
    for (int64_t item = queue.next(); item >= 0; item = queue.next()) {
        if (item < columns.data_panels()) {
            finish_rows(args, columns, slices, n_slices, item);
            continue;
        }
        const int64_t unit = item - columns.data_panels();
        const int64_t column = unit * kUnit;
        const int64_t width = smaller(kUnit, columns.d - column);
        const int64_t unit_sums = unit * args.n_classes * columns.unit_width;
        for (int64_t c = 0; c < args.n_classes; ++c)
            for (int64_t s = 0; s < n_slices; ++s) {
                const int64_t from = unit_sums + c * columns.unit_width;
                const int64_t to = c * columns.d + column;
                for (int64_t i = 0; i < width; ++i) {
                    args.sums[to + i] = (s == 0 ? 0.0 : args.sums[to + i]) +
                                        slices[s].sums[from + i];
                    if (args.root_sums)
                        args.root_sums[to + i] = (s == 0 ? 0.0 : args.root_sums[to + i]) +
                                                 slices[s].root_sums[from + i];
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
    const int64_t tiles_per_task = larger(
        1, smaller(16, all_tiles / (16 * args.n_threads * kGroupPanels)));
    const int64_t n_tasks = list_tasks(columns, tiles_per_task, nullptr);
    const int64_t panels_size = columns.panels * kPanelStride;
    const int64_t sums_size = columns.units * args.n_classes * columns.unit_width;
    const Buffer<Task> tasks(n_tasks);
    const Buffer<double> panels(2 * panels_size);
    const Buffer<double> staging(args.n_threads * kDepth * kUnit);
    const Buffer<double> sums(sums_size * (args.root_sums ? 2 : 1));
    const Buffer<double> gram(columns.gram_size());
    list_tasks(columns, tiles_per_task, tasks.data());
    for (int side = 0; side < 2; ++side) clear_padding(columns, panels.data() + side * panels_size);
    const Totals totals{gram.data(), sums.data(),
                        args.root_sums ? sums.data() + sums_size : nullptr};
    // In each phase: the tiles of one block, then the packing of the next.
    Queue queues[2] = {Queue(columns.units), Queue(0)};
    auto body = [&](Member member) {
        double* own_staging = staging.data() + member.rank * kDepth * kUnit;
        for (int64_t phase = -1; phase <= n_blocks; ++phase) {
            Queue& queue = queues[(phase + 1) & 1];
            if (member.rank == 0 && phase < n_blocks)
                queues[phase & 1].reset(phase + 1 == n_blocks
                                            ? columns.data_panels() + columns.units
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
    const int64_t gram_size = columns.gram_size();
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
        totals[s] = Totals{part, part + gram_size,
                           args.root_sums ? part + gram_size + sums_size : nullptr};
    }
    Queue slices(n_slices), items(columns.data_panels() + columns.units);
    const int64_t data_panels = columns.data_panels();
    auto body = [&](Member member) {
        double* panels = scratch.data() + member.rank * own_size;
        double* staging = panels + panels_size;
        clear_padding(columns, panels);
        for (int64_t s = slices.next(); s >= 0; s = slices.next()) {
            const int64_t begin = n_blocks * s / n_slices, end = n_blocks * (s + 1) / n_slices;
            for (int64_t b = begin; b < end && !stopped(); ++b) {
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
