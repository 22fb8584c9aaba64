// Elementary functions of vectors of doubles.
#pragma once

#include "simd.h"

namespace tk {
namespace TK_ISA {

// exp(x) to within two units in the last place, for x <= 709. Below -708, where the result would leave
// the normal numbers, it is zero. NaN is not looked for.
TK_INLINE VecD exp_vector(VecD x) {
    typedef uint64_t VecU __attribute__((vector_size(8 * TK_LANES)));
    constexpr double kLowest = -708.0;
    constexpr double kLog2e = 1.4426950408889634074;
    // ln 2 in two parts; the first has trailing zeros, so that its products with integers are exact.
    constexpr double kLn2High = 6.93147180369123816490e-01;
    constexpr double kLn2Low = 1.90821492927058770002e-10;
    // Added to a small number it leaves the nearest integer in the lowest bits of the mantissa.
    constexpr double kRounder = 0x1.8p52;
    const VecI vanishes = x < kLowest;
    x = vanishes ? broadcast(kLowest) : x;
    const VecD shifted = x * kLog2e + kRounder;
    const VecD power = shifted - kRounder;
    const VecD r = (x - power * kLn2High) - power * kLn2Low;  // |r| <= ln(2) / 2
    // Taylor's series: the first term left out is 4e-18.
    VecD sum = broadcast(1.0 / 6227020800.0);
    sum = sum * r + 1.0 / 479001600.0;
    sum = sum * r + 1.0 / 39916800.0;
    sum = sum * r + 1.0 / 3628800.0;
    sum = sum * r + 1.0 / 362880.0;
    sum = sum * r + 1.0 / 40320.0;
    sum = sum * r + 1.0 / 5040.0;
    sum = sum * r + 1.0 / 720.0;
    sum = sum * r + 1.0 / 120.0;
    sum = sum * r + 1.0 / 24.0;
    sum = sum * r + 1.0 / 6.0;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    const VecU scaled = (VecU)sum + ((VecU)shifted << 52);
    return vanishes ? VecD{} : (VecD)scaled;
}

}  // namespace TK_ISA
}  // namespace tk
