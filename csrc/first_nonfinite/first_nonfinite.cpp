// first_nonfinite on the CPU: blocks of rows are tested as a whole; only the first bad one is searched.
#include "first_nonfinite.h"

#include "common/integers.h"
#include "common/parallel.h"

namespace tk {
namespace TK_ISA {
namespace {

constexpr int64_t kBlockBytes = int64_t{1} << 18;
constexpr int64_t kRunOfColumn = 1024;  // at least, where the columns are contiguous

// A number is not finite when all bits of its exponent are set.
template <class Bits>
struct Exponent;
template <>
struct Exponent<uint16_t> {
    static constexpr uint16_t mask = 0x7c00;
};
template <>
struct Exponent<uint32_t> {
    static constexpr uint32_t mask = 0x7f800000;
};
template <>
struct Exponent<uint64_t> {
    static constexpr uint64_t mask = 0x7ff0000000000000;
};

template <class Bits>
TK_INLINE Bits bits_at(const Bits* p) {
    Bits value;
    __builtin_memcpy(&value, p, sizeof value);
    return value;
}

template <class Bits>
TK_INLINE bool is_bad(Bits value) {
    return (value & Exponent<Bits>::mask) == Exponent<Bits>::mask;
}

// Whether any of `count` neighbours is not finite. Vectors of the instruction set's width, several at
// once: a load each, a mask, a comparison.
template <class Bits>
TK_INLINE bool any_bad_run(const Bits* p, int64_t count) {
    typedef Bits Vec __attribute__((vector_size(8 * TK_LANES)));
    typedef Bits VecAny __attribute__((vector_size(8 * TK_LANES), aligned(1), may_alias));
    constexpr int64_t kWidth = sizeof(Vec) / sizeof(Bits);
    constexpr int64_t kAtOnce = 4;
    const Vec mask = Vec{} + Exponent<Bits>::mask;
    Vec bad = {};
    int64_t i = 0;
    for (; i + kAtOnce * kWidth <= count; i += kAtOnce * kWidth)
#pragma GCC unroll 4
        for (int64_t j = 0; j < kAtOnce; ++j) {
            const Vec values = *reinterpret_cast<const VecAny*>(p + i + j * kWidth);
            bad |= (Vec)((values & mask) == mask);
        }
    bool found = false;
    for (int64_t lane = 0; lane < kWidth; ++lane) found |= bad[lane] != 0;
    for (; i < count; ++i) found |= is_bad(bits_at(p + i));
    return found;
}

// Whether any entry of a block is not finite; runs along the axis with the smaller stride.
template <class Bits>
static bool any_bad(const Bits* x, int64_t rows, int64_t row_stride, int64_t cols,
                    int64_t col_stride) {
    if (__builtin_llabs(row_stride) < __builtin_llabs(col_stride))
        return any_bad<Bits>(x, cols, col_stride, rows, row_stride);
    for (int64_t i = 0; i < rows; ++i) {
        const Bits* row = x + i * row_stride;
        if (col_stride == 1) {
            if (any_bad_run(row, cols)) return true;
        } else {
            for (int64_t j = 0; j < cols; ++j)
                if (is_bad(bits_at(row + j * col_stride))) return true;
        }
    }
    return false;
}

template <class Bits>
static void search(const FirstNonfiniteArgs& args) {
    const MatrixView& X = args.X;
    const Bits* data = static_cast<const Bits*>(X.data);
    const bool by_columns = __builtin_llabs(X.row_stride) < __builtin_llabs(X.col_stride);
    const int64_t block_rows = larger(
        by_columns ? kRunOfColumn : 1,
        kBlockBytes / static_cast<int64_t>(sizeof(Bits)) / larger(1, X.cols));
    const int64_t n_blocks = ceil_div(X.rows, block_rows);
    int64_t first_bad = n_blocks;
    Queue blocks(n_blocks);
    auto body = [&](Member) {
        for (int64_t b = blocks.next(); b >= 0; b = blocks.next()) {
            int64_t best = __atomic_load_n(&first_bad, __ATOMIC_RELAXED);
            if (b > best) break;
            const int64_t row = b * block_rows;
            if (!any_bad(data + row * X.row_stride, smaller(block_rows, X.rows - row), X.row_stride,
                         X.cols, X.col_stride))
                continue;
            while (b < best && !__atomic_compare_exchange_n(&first_bad, &best, b, false,
                                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            }
        }
    };
    run_team(static_cast<int>(larger(1, smaller(args.n_threads, n_blocks))), body);
    *args.row = *args.column = -1;
    for (int64_t i = first_bad * block_rows; i < X.rows; ++i)
        for (int64_t j = 0; j < X.cols; ++j)
            if (is_bad(bits_at(data + i * X.row_stride + j * X.col_stride))) {
                *args.row = i;
                *args.column = j;
                return;
            }
}

}  // namespace

void first_nonfinite(const FirstNonfiniteArgs& args) {
    switch (args.X.dtype) {
        case Dtype::float16: return search<uint16_t>(args);
        case Dtype::float32: return search<uint32_t>(args);
        case Dtype::float64: return search<uint64_t>(args);
    }
}

}  // namespace TK_ISA
}  // namespace tk
