// Orthogonal reduction of a symmetric matrix G to a band: Q^T G Q, and Q^T B for columns B.
//
// Householder QR of kTile rows to the right of the diagonal gives Q = I - V S V^T (Schreiber and Van
// Loan, 1989); the rest of the matrix becomes Q^T G Q = G - V W^T - W V^T with Y = G V S and
// W = Y - V (S^T V^T Y) / 2, and so on for the next rows. The matrix is kept as its upper tiles, so
// every product is one of tiles. All sums run in a fixed order, whatever the number of threads.
#pragma once

#include "banded_ldlt.h"
#include "buffer.h"
#include "parallel.h"
#include "tile_product.h"

namespace tk {
namespace TK_ISA {

static_assert(kBandwidth == kTile, "what a step leaves beside the diagonal tile is triangular");

class BandReduction {
public:
    BandReduction(int64_t size, int64_t n_columns)
        : size_(size),
          n_columns_(n_columns),
          n_tiles_((size + kTile - 1) / kTile),
          n_groups_((n_columns + kProductColumns - 1) / kProductColumns),
          tiles_(n_tiles_ * (n_tiles_ + 1) / 2 * kTileSize),
          band_(n_tiles_ * kTile * kBandColumn),
          columns_(n_groups_ * group_size()),
          products_(n_tiles_ * kTileSize),
          rows_queue_(0),
          strips_queue_(0),
          steps_{Step(n_tiles_), Step(n_tiles_)} {}

    // What each member of the team does. `gram` (size, size): its upper triangle; `columns`
    // (size, n_columns).
    void run(Member member, const double* gram, const double* columns) {
        fill(member, gram, columns);
        member.barrier.wait();
        for (int64_t p = 0; p < n_tiles_; ++p) {
            const Step& old = steps_[(p + 1) % 2];
            Step& step = steps_[p % 2];
            const bool pending = p > 0;
            if (pending) {
                for (int64_t j = p + member.rank; j < n_tiles_; j += member.size)
                    update_tile(p, j, old);
                member.barrier.wait();
            }
            if (member.rank == 0) factor(p, step);
            if (p + 1 == n_tiles_) break;
            // The first thread joins when its factor is done.
            for (int64_t i = rows_queue_.next(); pending && i >= 0; i = rows_queue_.next())
                for (int64_t j = p + 1 + i; j < n_tiles_; ++j) update_tile(p + 1 + i, j, old);
            member.barrier.wait();
            const int64_t n_strips = n_tiles_ - p - 1;
            for (int64_t i = strips_queue_.next(); i >= 0; i = strips_queue_.next()) {
                if (i < n_strips)
                    multiply_strip(p + 1 + i, p, step);
                else
                    rotate(i - n_strips, p, step);
            }
            member.barrier.wait();
            if (member.rank == 0) {
                rows_queue_.reset(n_tiles_ - p - 2);
                strips_queue_.reset(n_tiles_ - p - 2 + n_groups_);
            }
            finish_update(member, p, step);
            member.barrier.wait();
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

private:
    // V, W, W^T and V^T of one step, these four tiles for each row of tiles; and S.
    struct Step {
        explicit Step(int64_t n_tiles) : parts(n_tiles * 4 * kTileSize) {}
        Buffer<double> parts;
        double S[kTileSize];

        double* v(int64_t i) const { return parts.data() + i * kStride; }
        double* w(int64_t i) const { return v(i) + kTileSize; }
        double* w_transpose(int64_t i) const { return v(i) + 2 * kTileSize; }
        double* v_transpose(int64_t i) const { return v(i) + 3 * kTileSize; }
        static constexpr int64_t kStride = 4 * kTileSize;
    };

    int64_t group_size() const { return n_tiles_ * kTile * kProductColumns; }
    // Tile (i, j), i <= j: column after column.
    double* tile(int64_t i, int64_t j) const {
        return tiles_.data() + (j * (j + 1) / 2 + i) * kTileSize;
    }

    void fill(Member member, const double* gram, const double* columns) {
        for (int64_t i = member.rank; i < n_tiles_; i += member.size)
            for (int64_t j = i; j < n_tiles_; ++j)
                for (int64_t r = 0; r < kTile; ++r)
                    for (int64_t c = 0; c < kTile; ++c) {
                        int64_t row = i * kTile + r, column = j * kTile + c;
                        const bool inside = row < size_ && column < size_;
                        if (row > column) {
                            const int64_t other = row;
                            row = column;
                            column = other;
                        }
                        tile(i, j)[r * kTile + c] = inside ? gram[row * size_ + column] : 0.0;
                    }
        for (int64_t g = member.rank; g < n_groups_; g += member.size)
            for (int64_t row = 0; row < n_tiles_ * kTile; ++row)
                for (int64_t c = 0; c < kProductColumns; ++c) {
                    const int64_t index = g * kProductColumns + c;
                    columns_[g * group_size() + row * kProductColumns + c] =
                        row < size_ && index < n_columns_ ? columns[row * n_columns_ + index] : 0.0;
                }
        if (member.rank == 0) {
            rows_queue_.reset(0);
            strips_queue_.reset(n_tiles_ - 1 + n_groups_);
        }
    }

    void update_tile(int64_t i, int64_t j, const Step& step) {
        add_products<-1>(tile(i, j), kTile, run_of(step.v(i), kTileSize),
                         run_of(step.w_transpose(j), kTileSize), 2);
    }

    // Rows p of tiles: the finished part into the band, QR of the others.
    void factor(int64_t p, Step& step) {
        double* band = band_.data() + p * kTile * kBandColumn;
        const double* diagonal = tile(p, p);
        for (int64_t a = 0; a < kTile; ++a)
            for (int64_t k = 0; k <= kBandwidth; ++k)
                band[a * kBandColumn + k] =
                    a + k < kTile ? diagonal[a * kTile + a + k] : 0.0;
        if (p + 1 == n_tiles_) return;

        const int64_t n_below = n_tiles_ - p - 1;
        double* first = step.v_transpose(p + 1);
        for (int64_t i = p + 1; i < n_tiles_; ++i)
            __builtin_memcpy(step.v_transpose(i), tile(p, i), sizeof(double) * kTileSize);
        double tau[kTile];
        for (int64_t a = 0; a < kTile; ++a) {
            tau[a] = make_reflector(first, n_below, a);
            for (int64_t c = a + 1; c < kTile; ++c) reflect(first, n_below, a, c, tau[a]);
            for (int64_t c = 0; c <= a; ++c)
                band[a * kBandColumn + kTile + c - a] = first[a * kTile + c];
            for (int64_t c = 0; c < a; ++c) first[a * kTile + c] = 0.0;
            first[a * kTile + a] = 1.0;
        }
        for (int64_t i = p + 1; i < n_tiles_; ++i)
            for (int64_t a = 0; a < kTile; ++a)
                for (int64_t r = 0; r < kTile; ++r)
                    step.v(i)[r * kTile + a] = step.v_transpose(i)[a * kTile + r];
        double overlaps[kTileSize] = {};
        add_products<1>(overlaps, kTile, transposes_of(step.v(p + 1), Step::kStride),
                        run_of(step.v(p + 1), Step::kStride), n_below);
        // Q = product of (I - tau v v^T) = I - V S V^T with S upper triangular.
        for (int64_t a = 0; a < kTile; ++a)
            for (int64_t r = 0; r < kTile; ++r) {
                double sum = 0.0;
                for (int64_t k = r; k < a; ++k)
                    sum += step.S[r * kTile + k] * overlaps[k * kTile + a];
                step.S[r * kTile + a] = r < a ? -tau[a] * sum : r == a ? tau[a] : 0.0;
            }
    }

    // Puts the Householder vector of row `a` from column `a` on in its place, over n tiles, but for
    // its leading one: there stands what the row becomes. Returns tau.
    static double make_reflector(double* tiles, int64_t n, int64_t a) {
        double* row = tiles + a * kTile;
        double sum = 0.0;
        for (int64_t j = a + 1; j < kTile; ++j) sum += row[j] * row[j];
        VecD sums[kTile / kLanes] = {};
        for (int64_t i = 1; i < n; ++i)
            for (int64_t v = 0; v < kTile / kLanes; ++v) {
                const VecD x = load(row + i * Step::kStride + v * kLanes);
                sums[v] += x * x;
            }
        sum += total(sums);
        if (sum == 0.0) return 0.0;
        const double head = row[a];
        const double norm = __builtin_sqrt(head * head + sum);
        const double image = head > 0.0 ? -norm : norm;
        const double scale = 1.0 / (head - image);
        for (int64_t j = a + 1; j < kTile; ++j) row[j] *= scale;
        for (int64_t i = 1; i < n; ++i)
            for (int64_t j = 0; j < kTile; ++j) row[i * Step::kStride + j] *= scale;
        row[a] = image;
        return (image - head) / image;
    }

    // Row c less its part along the Householder vector in row a.
    static void reflect(double* tiles, int64_t n, int64_t a, int64_t c, double tau) {
        const double* v = tiles + a * kTile;
        double* x = tiles + c * kTile;
        double sum = x[a];
        for (int64_t j = a + 1; j < kTile; ++j) sum += v[j] * x[j];
        VecD sums[kTile / kLanes] = {};
        for (int64_t i = 1; i < n; ++i)
            for (int64_t k = 0; k < kTile / kLanes; ++k)
                sums[k] += load(v + i * Step::kStride + k * kLanes) *
                           load(x + i * Step::kStride + k * kLanes);
        sum = tau * (sum + total(sums));
        x[a] -= sum;
        for (int64_t j = a + 1; j < kTile; ++j) x[j] -= sum * v[j];
        for (int64_t i = 1; i < n; ++i)
            for (int64_t j = 0; j < kTile; ++j)
                x[i * Step::kStride + j] -= sum * v[i * Step::kStride + j];
    }

    static double total(const VecD* sums) {
        VecD sum{};
        for (int64_t v = 0; v < kTile / kLanes; ++v) sum += sums[v];
        double result = 0.0;
        for (int lane = 0; lane < kLanes; ++lane) result += sum[lane];
        return result;
    }

    // Tile i of Y = G V S.
    void multiply_strip(int64_t i, int64_t p, const Step& step) {
        double product[kTileSize] = {};
        add_products<1>(product, kTile, transposes_of(tile(p + 1, i), kTileSize),
                        run_of(step.v(p + 1), Step::kStride), i - p - 1);
        add_products<1>(product, kTile, run_of(tile(i, i), (i + 1) * kTileSize, kTileSize),
                        run_of(step.v(i), Step::kStride), n_tiles_ - i);
        double* y = products_.data() + i * kTileSize;
        for (int64_t k = 0; k < kTileSize; ++k) y[k] = 0.0;
        add_products<1>(y, kTile, run_of(product, 0), run_of(step.S, 0), 1);
    }

    // A group of the columns, B - V S^T V^T B.
    void rotate(int64_t group, int64_t p, const Step& step) {
        constexpr int64_t n = kProductColumns;
        double* columns = columns_.data() + group * group_size();
        double shares[kTile * n] = {}, images[kTile * n] = {};
        add_products<1>(shares, n, transposes_of(step.v(p + 1), Step::kStride),
                        {columns + (p + 1) * kTile * n, kTile * n, 0, n, 1}, n_tiles_ - p - 1);
        add_products<1>(images, n, transposes_of(step.S, 0), {shares, 0, 0, n, 1}, 1);
        for (int64_t i = p + 1; i < n_tiles_; ++i)
            add_products<-1>(columns + i * kTile * n, n, run_of(step.v(i), 0), {images, 0, 0, n, 1},
                             1);
    }

    // W = Y - V (S^T V^T Y) / 2.
    void finish_update(Member member, int64_t p, Step& step) {
        double overlaps[kTileSize] = {}, halves[kTileSize] = {};
        add_products<1>(overlaps, kTile, transposes_of(step.v(p + 1), Step::kStride),
                        run_of(products_.data() + (p + 1) * kTileSize, kTileSize),
                        n_tiles_ - p - 1);
        for (double& overlap : overlaps) overlap *= 0.5;
        add_products<1>(halves, kTile, transposes_of(step.S, 0), run_of(overlaps, 0), 1);
        for (int64_t i = p + 1 + member.rank; i < n_tiles_; i += member.size) {
            double *w = step.w(i), *w_transpose = step.w_transpose(i);
            __builtin_memcpy(w, products_.data() + i * kTileSize, sizeof(double) * kTileSize);
            add_products<-1>(w, kTile, run_of(step.v(i), 0), run_of(halves, 0), 1);
            for (int64_t r = 0; r < kTile; ++r)
                for (int64_t a = 0; a < kTile; ++a) w_transpose[a * kTile + r] = w[r * kTile + a];
        }
    }

    const int64_t size_, n_columns_, n_tiles_, n_groups_;
    Buffer<double> tiles_, band_, columns_;
    Buffer<double> products_;  // Y
    Queue rows_queue_, strips_queue_;
    Step steps_[2];
};

}  // namespace TK_ISA
}  // namespace tk
