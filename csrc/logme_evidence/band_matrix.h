// A symmetric band matrix, as the reduction leaves it.
#pragma once

#include "common/simd.h"

namespace tk {
namespace TK_ISA {

// Diagonals below the main one. More make the reduction to the band cheaper, a large one above all,
// and the factorisations dearer by the square.
constexpr int64_t kBandwidth = kLanes == 8 ? 16 : 12;
constexpr int64_t kBandColumn = kBandwidth + 1;

// Lower triangle by columns: element (j + k, j) is values[j * kBandColumn + k].
struct BandMatrix {
    const double* values;
    int64_t size;
    double noise;
};

}  // namespace TK_ISA
}  // namespace tk
