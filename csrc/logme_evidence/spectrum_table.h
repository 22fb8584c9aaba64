// Log determinant and traces of a band matrix plus t I as functions of t, tabulated on demand.
//
// As functions of ln t they are analytic up to a distance of pi from the real axis, so polynomials
// through 16 Chebyshev nodes, one for each factor of four in t, give them to rounding error.
#pragma once

#include "banded_ldlt.h"
#include "common/buffer.h"
#include "common/parallel.h"

namespace tk {
namespace TK_ISA {

struct SpectrumPoint {
    double log_determinant, fitted, left_over;  // as in Spectrum
};

class SpectrumTable {
public:
    // For t in [1 / largest, largest].
    SpectrumTable(const BandMatrix& band, double largest)
        : band_(band),
          half_(static_cast<int64_t>(__builtin_ceil(__builtin_log(largest) / kWidth)) + 1),
          cells_(2 * half_) {
        for (int64_t cell = 0; cell < 2 * half_; ++cell)
            cells_[cell].claimed = cells_[cell].done = 0;
        double trace = 0.0;
        for (int64_t j = 0; j < band.size; ++j) trace += band.values[j * kBandColumn];
        mean_ = trace / static_cast<double>(band.size);
    }

    // Values at t. Threads that need the same new cell share its computation; `scratch` is for
    // 2 factor_vectors(band) vectors.
    SpectrumPoint at(double t, VecD* scratch) {
        const int64_t cell = cell_of(__builtin_log(t));
        complete(cell, scratch);
        return interpolate(cell, __builtin_log(t));
    }

private:
    static constexpr int kNodes = 16;
    static constexpr int kItems = kNodes / kLanes;          // pieces of work in a cell
    static constexpr double kWidth = 1.386294361119890619;  // ln 4

    struct Cell {
        SpectrumPoint points[kNodes];
        int claimed, done;  // items
    };

    void complete(int64_t index, VecD* scratch) {
        Cell& cell = cells_[index];
        while (__atomic_load_n(&cell.done, __ATOMIC_ACQUIRE) < kItems) {
            const int item = __atomic_load_n(&cell.claimed, __ATOMIC_RELAXED) < kItems
                                 ? __atomic_fetch_add(&cell.claimed, 1, __ATOMIC_RELAXED)
                                 : kItems;
            if (item < kItems) {
                compute(index, item * kLanes, scratch);
                __atomic_fetch_add(&cell.done, 1, __ATOMIC_RELEASE);
            } else {
                yield_thread();
            }
        }
    }

    // Nodes first ... first + kLanes - 1.
    void compute(int64_t cell, int first, VecD* scratch) {
        VecD t;
        for (int lane = 0; lane < kLanes; ++lane)
            t[lane] = __builtin_exp(centre(cell) + 0.5 * kWidth * node(first + lane));
        const bool large = __builtin_exp(centre(cell)) >= mean_;
        const Spectrum spectrum = shifted_spectrum(band_, t, large, scratch,
                                                   scratch + factor_vectors(band_));
        for (int lane = 0; lane < kLanes; ++lane)
            cells_[cell].points[first + lane] = {spectrum.log_determinant[lane],
                                                 spectrum.fitted[lane], spectrum.left_over[lane]};
    }

    // Barycentric interpolation.
    SpectrumPoint interpolate(int64_t cell, double place) const {
        const double x = (place - centre(cell)) / (0.5 * kWidth);
        const SpectrumPoint* points = cells_[cell].points;
        SpectrumPoint sum{};
        double weights = 0.0;
        for (int k = 0; k < kNodes; ++k) {
            const double distance = x - node(k);
            if (distance == 0.0) return points[k];
            const double weight = (k % 2 ? -1.0 : 1.0) * __builtin_sin(angle(k)) / distance;
            weights += weight;
            sum.log_determinant += weight * points[k].log_determinant;
            sum.fitted += weight * points[k].fitted;
            sum.left_over += weight * points[k].left_over;
        }
        return {sum.log_determinant / weights, sum.fitted / weights, sum.left_over / weights};
    }

    static double angle(int k) { return (k + 0.5) * (3.14159265358979323846 / kNodes); }
    static double node(int k) { return __builtin_cos(angle(k)); }
    int64_t cell_of(double place) const {
        return static_cast<int64_t>(__builtin_floor(place / kWidth)) + half_;
    }
    double centre(int64_t cell) const { return (static_cast<double>(cell - half_) + 0.5) * kWidth; }

    BandMatrix band_;
    double mean_;  // eigenvalue
    int64_t half_;
    Buffer<Cell> cells_;
};

}  // namespace TK_ISA
}  // namespace tk
