// Orthogonal reduction of a symmetric matrix G to a band: Q^T G Q, and Q^T B for columns B.
//
// Householder QR of kTile rows to the right of the diagonal gives Q = I - V S V^T (Schreiber and Van
// Loan, 1989); the rest of the matrix becomes Q^T G Q = G - V W^T - W V^T with Y = G V S and
// W = Y - V (S^T V^T Y) / 2, and so on for the next rows. The matrix is kept as its upper tiles, so
// every product is one of tiles.
//
// A large matrix does not stay in the caches, so each step goes through it once: a tile gets the
// update of the step before, then both of its parts in G V are taken. The rows for the QR are
// updated ahead. What each block of tiles adds to G V is kept apart and summed in a fixed order, so
// that the result does not depend on the number of threads.
#pragma once

#include "band_matrix.h"
#include "common/buffer.h"
#include "common/integers.h"
#include "common/parallel.h"
#include "tile_product.h"

namespace tk {
namespace TK_ISA {

static_assert(kBandwidth == kTile, "what a step leaves beside the diagonal tile is triangular");

class BandReduction {
public:
    // With `keep`, `restore` can go back: the reflections take the place of the tiles they are of.
    BandReduction(int64_t size, int64_t n_columns, bool keep = false)
        : size_(size), n_columns_(n_columns), keep_(keep), n_tiles_(ceil_div(size, kTile)),
          n_groups_(ceil_div(n_columns, kProductColumns)), block_(n_tiles_ < 64 ? 8 : 16),
          n_blocks_(ceil_div(n_tiles_, block_)),
          tiles_(n_blocks_ * (n_blocks_ + 1) / 2 * block_ * block_ * kTileSize),
          band_(n_tiles_ * kTile * kBandColumn), columns_(n_groups_ * group_size()),
          panel_(n_tiles_ * kTileSize), v_(n_tiles_ * kTileSize), y_(n_tiles_ * kTileSize),
          old_(n_tiles_ * 2 * kTileSize), parts_(n_blocks_ * n_blocks_ * block_ * kTileSize),
          overlaps_(ceil_div(n_tiles_, kAtOnce) * kTileSize),
          couplings_(keep ? n_tiles_ * kTileSize : 0), groups_queue_(0), blocks_queue_(0) {}

    // What each member of the team does. `gram` (size, size): its upper triangle; `columns`
    // (size, n_columns).
    void run(Member member, const double* gram, const double* columns) {
        fill(member, gram, columns);
        for (int64_t p = 0; p < n_tiles_; ++p) {
            if (member.rank == 0) ended_ = stopped();
            member.barrier.wait();
            if (ended_) break;
            // The first thread joins the others when its factor is done.
            if (member.rank == 0) factor(p);
            for (int64_t g = groups_queue_.next(); g >= 0; g = groups_queue_.next()) rotate(g, p);
            if (p + 1 == n_tiles_) break;

            const int64_t side = n_blocks_ - (p + 1) / block_;
            const int64_t n_blocks = side * (side + 1) / 2;
            if (member.rank == 0) blocks_queue_.reset(n_blocks + 1);
            member.barrier.wait();
            for (int64_t i = blocks_queue_.next(); i >= 0; i = blocks_queue_.next()) {
                if (i < n_blocks)
                    multiply_block(i, p);
                else
                    couple(p);
            }
            member.barrier.wait();
            for (int64_t i = (p + 1) / kAtOnce + member.rank; i * kAtOnce < n_tiles_;
                 i += member.size)
                finish_product(i, p);
            if (member.rank == 0) groups_queue_.reset(n_groups_);
            member.barrier.wait();
            finish_update(member, p);
        }
    }

    // Q^T G Q.
    BandMatrix band() const {
        double largest = 0.0;
        for (int64_t j = 0; j < size_; ++j)
            if (band_[j * kBandColumn] > largest) largest = band_[j * kBandColumn];
        constexpr double kRounding = 4.0 * 2.220446049250313e-16;
        return {band_.data(), size_, kRounding * largest};
    }

    // Q^T B.
    double column(int64_t row, int64_t index) const {
        return columns_[index / kProductColumns * group_size() + row * kProductColumns +
                        index % kProductColumns];
    }

    // Doubles of a group of kProductColumns columns, whose rows beyond the matrix are zeros.
    int64_t group_size() const { return n_tiles_ * kTile * kProductColumns; }

    // Q U for a group U, in place, once the reduction is done and was kept.
    void restore(double* columns) const {
        constexpr int64_t n = kProductColumns;
        for (int64_t p = n_tiles_ - 2; p >= 0 && !stopped(); --p) {
            double shares[kTile * n] = {}, images[kTile * n] = {};
            for (int64_t i = p + 1; i < n_tiles_; ++i)
                add_products<1>(shares, TransposedTiles{tile(p, i), 0},
                                Slabs{columns + i * kTile * n, 0}, 1);
            add_products<1>(images, Tiles{couplings_.data() + p * kTileSize, 0}, Slabs{shares, 0},
                            1);
            for (int64_t i = p + 1; i < n_tiles_; ++i)
                add_products<-1>(columns + i * kTile * n, Tiles{tile(p, i), 0}, Slabs{images, 0},
                                 1);
        }
    }

private:
    static constexpr int64_t kAtOnce = 4;  // tiles by tiles that stay in the L1 cache
    static constexpr int64_t kOldStep = 2 * kTileSize;

    // Tile (i, j), i <= j: block after block, column after column in each.
    double* tile(int64_t i, int64_t j) const {
        const int64_t row = i / block_, column = j / block_;
        const int64_t block = column * (column + 1) / 2 + row;
        return tiles_.data() +
               ((block * block_ + j - column * block_) * block_ + i - row * block_) * kTileSize;
    }
    double* panel(int64_t i) const { return panel_.data() + i * kTileSize; }
    double* v(int64_t i) const { return v_.data() + i * kTileSize; }
    double* y(int64_t i) const { return y_.data() + i * kTileSize; }
    double* old_v(int64_t i) const { return old_.data() + i * kOldStep; }
    // Tile i of G V: what the tiles in block `other` of its row or column add to it.
    double* part(int64_t i, int64_t other) const {
        return parts_.data() + (other * n_blocks_ * block_ + i) * kTileSize;
    }

    void fill(Member member, const double* gram, const double* columns) {
        for (int64_t i = member.rank; i < n_tiles_ && !stopped(); i += member.size)
            for (int64_t j = i; j < n_tiles_; ++j) {
                fill_tile(i, j, gram);
                if (i == 0) copy(tile(i, j), panel(j));
            }
        for (int64_t g = member.rank; g < n_groups_ && !stopped(); g += member.size)
            for (int64_t row = 0; row < n_tiles_ * kTile; ++row)
                for (int64_t c = 0; c < kProductColumns; ++c) {
                    const int64_t index = g * kProductColumns + c;
                    columns_[g * group_size() + row * kProductColumns + c] =
                        row < size_ && index < n_columns_ ? columns[row * n_columns_ + index] : 0.0;
                }
    }

    void fill_tile(int64_t i, int64_t j, const double* gram) {
        double* const values = tile(i, j);
        for (int64_t r = 0; r < kTile; ++r)
            for (int64_t c = 0; c < kTile; ++c) {
                const int64_t row = i * kTile + r, column = j * kTile + c;
                const int64_t low = smaller(row, column), high = larger(row, column);
                values[r * kTile + c] = high < size_ ? gram[low * size_ + high] : 0.0;
            }
    }

    static void copy(const double* from, double* to) {
        __builtin_memcpy(to, from, sizeof(double) * kTileSize);
    }

    // Tile (i, j) less V W^T + W V^T, given V^T and W^T of i and of j.
    static void update(double* values, const double* of_i, const double* of_j) {
        add_products<-1>(values, TransposedTiles{of_i, kTileSize},
                         Tiles{of_j + kTileSize, -kTileSize}, 2);
    }

    // Rows p of tiles: the finished part into the band, QR of the others.
    void factor(int64_t p) {
        double* band = band_.data() + p * kTile * kBandColumn;
        const double* diagonal = panel(p);
        for (int64_t a = 0; a < kTile; ++a)
            for (int64_t k = 0; k <= kBandwidth; ++k)
                band[a * kBandColumn + k] = a + k < kTile ? diagonal[a * kTile + a + k] : 0.0;
        if (p + 1 == n_tiles_) return;

        const int64_t n_below = n_tiles_ - p - 1;
        reduce_row<0>(panel(p + 1), n_below, band, first_products(panel(p + 1), n_below));
        for (int64_t i = p + 1; i < n_tiles_; ++i)
            for (int64_t r = 0; r < kTile; ++r)
                for (int64_t a = 0; a < kTile; ++a) v(i)[r * kTile + a] = panel(i)[a * kTile + r];
        for (int64_t i = p + 1; keep_ && i < n_tiles_; ++i) copy(v(i), tile(p, i));
    }

    // S of Q = product of (I - tau v v^T) = I - V S V^T, upper triangular.
    void couple(int64_t p) {
        double overlaps[kTileSize] = {};
        add_products<1>(overlaps, Tiles{panel(p + 1), kTileSize}, Tiles{v(p + 1), kTileSize},
                        n_tiles_ - p - 1);
        for (int64_t a = 0; a < kTile; ++a)
            for (int64_t r = 0; r < kTile; ++r) {
                double sum = 0.0;
                for (int64_t k = r; k < a; ++k) sum += S_[r * kTile + k] * overlaps[k * kTile + a];
                S_[r * kTile + a] = r < a ? -taus_[a] * sum : r == a ? taus_[a] : 0.0;
            }
        if (keep_) copy(S_, couplings_.data() + p * kTileSize);
    }

    // Products of row A with itself and with those below it, over the tiles after the first.
    struct RowProducts {
        double of[kTile];
    };

    // Takes the Householder vector of row A, from its element A on, over n tiles, and reflects the
    // rows below it, then goes on with the next row. What the row becomes stands in the band; the
    // vector, with a leading one, in the row. The products for the next row are formed on the way.
    template <int64_t A>
    void reduce_row(double* tiles, int64_t n, double* band, const RowProducts& products) {
        double* row = tiles + A * kTile;
        double sum = products.of[A];
        for (int64_t j = A + 1; j < kTile; ++j) sum += row[j] * row[j];
        const double head = row[A];
        double image = head, scale = 0.0, tau = 0.0;
        if (sum != 0.0) {
            const double norm = __builtin_sqrt(head * head + sum);
            image = head > 0.0 ? -norm : norm;
            scale = 1.0 / (head - image);
            tau = (image - head) / image;
        }
        for (int64_t j = A + 1; j < kTile; ++j) row[j] *= scale;
        VecD shares[kTile];
        for (int64_t c = A + 1; c < kTile; ++c) {
            double* x = tiles + c * kTile;
            double share = x[A] + scale * products.of[c];
            for (int64_t j = A + 1; j < kTile; ++j) share += row[j] * x[j];
            share *= tau;
            x[A] -= share;
            for (int64_t j = A + 1; j < kTile; ++j) x[j] -= share * row[j];
            shares[c] = broadcast(share);
        }
        taus_[A] = tau;
        row[A] = image;
        for (int64_t c = 0; c <= A; ++c) {
            band[A * kBandColumn + kTile + c - A] = row[c];
            row[c] = c < A ? 0.0 : 1.0;
        }
        const RowProducts next = reflect_rows<A>(tiles, n, broadcast(scale), shares);
        if constexpr (A + 1 < kTile) reduce_row<A + 1>(tiles, n, band, next);
    }

    // Over the tiles after the first: scales row A, takes its shares from the rows below, and
    // multiplies the next row with itself and with those below it.
    template <int64_t A>
    static RowProducts reflect_rows(double* tiles, int64_t n, VecD scale, const VecD* shares) {
        VecD sums[kTile] = {};
        for (int64_t i = 1; i < n; ++i)
            for (int64_t k = 0; k < kTile; k += kLanes) {
                double* column = tiles + i * kTileSize + k;
                const VecD v = scale * load(column + A * kTile);
                store(column + A * kTile, v);
                VecD next{};
#pragma GCC unroll 16
                for (int64_t c = A + 1; c < kTile; ++c) {
                    const VecD x = load(column + c * kTile) - shares[c] * v;
                    store(column + c * kTile, x);
                    if (c == A + 1) next = x;
                    sums[c] += next * x;
                }
            }
        RowProducts products;
        for (int64_t c = 0; c < kTile; ++c) products.of[c] = total(sums[c]);
        return products;
    }

    // The products of the first row.
    static RowProducts first_products(const double* tiles, int64_t n) {
        VecD sums[kTile] = {};
        for (int64_t i = 1; i < n; ++i)
            for (int64_t k = 0; k < kTile; k += kLanes) {
                const double* column = tiles + i * kTileSize + k;
#pragma GCC unroll 16
                for (int64_t c = 0; c < kTile; ++c)
                    sums[c] += load(column) * load(column + c * kTile);
            }
        RowProducts products;
        for (int64_t c = 0; c < kTile; ++c) products.of[c] = total(sums[c]);
        return products;
    }

    static double total(VecD x) {
        double sum = 0.0;
        for (int lane = 0; lane < kLanes; ++lane) sum += x[lane];
        return sum;
    }

    // Block `index` of those with tiles after row p: its updates, and its parts of G V.
    void multiply_block(int64_t index, int64_t p) {
        int64_t row = (p + 1) / block_, width = n_blocks_ - row;
        for (; index >= width; --width, ++row) index -= width;
        const int64_t column = row + index;
        const int64_t first_i = larger(row * block_, p + 1);
        const int64_t first_j = larger(column * block_, p + 1);
        const int64_t end_i = smaller((row + 1) * block_, n_tiles_);
        const int64_t end_j = smaller((column + 1) * block_, n_tiles_);
        clear(part(first_i, column), end_i - first_i);
        clear(part(first_j, row), end_j - first_j);
        for (int64_t j = first_j; j < end_j; j = after(j))
            for (int64_t i = first_i; i < end_i && i <= j; i = after(i)) {
                double* const tiles = tile(i, j);
                const double* next = tiles;
                if (after(i) < end_i && after(i) <= j)
                    next = tile(after(i), j);
                else if (after(j) < end_j)
                    next = tile(first_i, after(j));
                multiply_tiles(tiles, i, smaller(after(i), end_i), j, smaller(after(j), end_j),
                               p > 0, next - tiles);
            }
    }

    static void clear(double* tiles, int64_t n) {
        for (int64_t k = 0; k < n * kTileSize; ++k) tiles[k] = 0.0;
    }

    // The first multiple of kAtOnce above i.
    static int64_t after(int64_t i) { return i / kAtOnce * kAtOnce + kAtOnce; }

    // The same for the tiles of the upper triangle in a few rows and columns of tiles, the first of
    // them at `tiles`.
    void multiply_tiles(double* tiles, int64_t first_i, int64_t end_i, int64_t first_j,
                        int64_t end_j, bool pending, int64_t ahead) {
        const int64_t row = first_i / block_, column = first_j / block_;
        const int64_t step = block_ * kTileSize;
        for (int64_t j = first_j; j < end_j; ++j) {
            double* const top = tiles + (j - first_j) * step;
            for (int64_t i = first_i; pending && i < end_i && i <= j; ++i)
                update(top + (i - first_i) * kTileSize, old_v(i), old_v(j));
            add_products<1>(part(j, row), LeadingTiles{{top, kTileSize}, ahead},
                            Tiles{v(first_i), kTileSize}, smaller(end_i, j) - first_i);
        }
        for (int64_t i = first_i; i < end_i; ++i) {
            const int64_t j = larger(i, first_j);
            const double* left = tiles + (i - first_i) * kTileSize + (j - first_j) * step;
            add_products<1>(part(i, column), Tiles{left, step}, Tiles{v(j), kTileSize}, end_j - j);
        }
    }

    // Y = G V S and the part of V^T Y, for up to kAtOnce tiles.
    void finish_product(int64_t index, int64_t p) {
        double* overlaps = overlaps_.data() + index * kTileSize;
        clear(overlaps, 1);
        const int64_t first = larger(index * kAtOnce, p + 1);
        const int64_t end = smaller(index * kAtOnce + kAtOnce, n_tiles_);
        for (int64_t i = first; i < end; ++i) {
            double product[kTileSize] = {};
            for (int64_t block = (p + 1) / block_; block < n_blocks_; ++block) {
                const double* terms = part(i, block);
                for (int64_t k = 0; k < kTileSize; ++k) product[k] += terms[k];
            }
            clear(y(i), 1);
            add_products<1>(y(i), Tiles{product, 0}, Tiles{S_, 0}, 1);
        }
        add_products<1>(overlaps, Tiles{panel(first), kTileSize}, Tiles{y(first), kTileSize},
                        end - first);
    }

    // A group of the columns, B - V S^T V^T B, of the step before.
    void rotate(int64_t group, int64_t p) {
        constexpr int64_t n = kProductColumns;
        double* columns = columns_.data() + group * group_size();
        double shares[kTile * n] = {}, images[kTile * n] = {};
        add_products<1>(shares, Tiles{old_v(p), kOldStep},
                        Slabs{columns + p * kTile * n, kTile * n}, n_tiles_ - p);
        add_products<1>(images, TransposedTiles{S_, 0}, Slabs{shares, 0}, 1);
        for (int64_t i = p; i < n_tiles_; ++i)
            add_products<-1>(columns + i * kTile * n, TransposedTiles{old_v(i), 0},
                             Slabs{images, 0}, 1);
    }

    // V^T and W^T for the next step, and its rows p + 1 with their last update.
    void finish_update(Member member, int64_t p) {
        double overlaps[kTileSize] = {}, halves[kTileSize] = {};
        for (int64_t i = (p + 1) / kAtOnce; i * kAtOnce < n_tiles_; ++i)
            for (int64_t k = 0; k < kTileSize; ++k) overlaps[k] += overlaps_[i * kTileSize + k];
        for (double& overlap : overlaps) overlap *= 0.5;
        add_products<1>(halves, TransposedTiles{S_, 0}, Tiles{overlaps, 0}, 1);
        double of_row[kOldStep];  // by every thread, which is cheaper than to wait for one
        transpose_factors(p + 1, halves, of_row);
        for (int64_t i = p + 1 + member.rank; i < n_tiles_; i += member.size) {
            transpose_factors(i, halves, old_v(i));
            copy(tile(p + 1, i), panel(i));
            update(panel(i), of_row, old_v(i));
        }
    }

    // V^T and W^T for W = Y - V (S^T V^T Y) / 2.
    void transpose_factors(int64_t i, const double* halves, double* out) const {
        double w[kTileSize];
        copy(y(i), w);
        add_products<-1>(w, Tiles{v(i), 0}, Tiles{halves, 0}, 1);
        for (int64_t a = 0; a < kTile; ++a)
            for (int64_t r = 0; r < kTile; ++r) {
                out[a * kTile + r] = v(i)[r * kTile + a];
                out[kTileSize + a * kTile + r] = w[r * kTile + a];
            }
    }

    const int64_t size_, n_columns_;
    const bool keep_;
    const int64_t n_tiles_, n_groups_;
    const int64_t block_, n_blocks_;  // tiles along a block; blocks along the matrix
    Buffer<double> tiles_, band_, columns_;
    Buffer<double> panel_, v_, y_;  // V^T, V and Y
    Buffer<double> old_;            // V^T and W^T of the step before
    Buffer<double> parts_, overlaps_;
    Buffer<double> couplings_;  // S of every step
    double taus_[kTile], S_[kTileSize];
    Queue groups_queue_, blocks_queue_;
    bool ended_ = false;
};

}  // namespace TK_ISA
}  // namespace tk
