// class_scatter on the CPU: some columns of a class at a time, gathered twice, for the mean and for
// the squares around it; the second time out of the caches where the class is not large.
#include "class_scatter.h"

#include "common/buffer.h"
#include "common/integers.h"
#include "common/load_rows.h"
#include "common/parallel.h"

namespace tk {
namespace TK_ISA {
namespace {

constexpr int64_t kColumns = 512;

// add(j, x) for every column j of some samples, kLanes of them at a time where they are contiguous.
template <class T, class AddVectors, class AddOne>
static void for_each(const ClassVariancesArgs& args, int64_t c, int64_t first, int64_t count,
                     AddVectors add_vectors, AddOne add_one) {
    const MatrixView& X = args.X;
    for (int64_t at = args.starts[c]; at < args.starts[c + 1]; ++at) {
        if ((at & 1023) == 0 && stopped()) return;
        const T* const row = static_cast<const T*>(X.data) + args.order[at] * X.row_stride +
                             first * X.col_stride;
        int64_t j = 0;
        if (X.col_stride == 1)
            for (; j + kLanes <= count; j += kLanes) add_vectors(j, load_vector(row + j));
        for (; j < count; ++j) add_one(j, load_one(row + j * X.col_stride));
    }
}

template <class T>
static void one_item(const ClassVariancesArgs& args, int64_t c, int64_t first, int64_t count) {
    double means[kColumns] = {};
    double* const sums = args.variances + c * args.X.cols + first;
    for (int64_t j = 0; j < count; ++j) sums[j] = 0.0;
    const int64_t n = args.starts[c + 1] - args.starts[c];
    if (n == 0) return;
    for_each<T>(
        args, c, first, count, [&](int64_t j, VecD x) { store(means + j, load(means + j) + x); },
        [&](int64_t j, double x) { means[j] += x; });
    const double share = 1.0 / static_cast<double>(n);
    for (int64_t j = 0; j < count; ++j) means[j] *= share;
    for_each<T>(
        args, c, first, count,
        [&](int64_t j, VecD x) {
            const VecD z = x - load(means + j);
            store(sums + j, load(sums + j) + z * z);
        },
        [&](int64_t j, double x) { sums[j] += (x - means[j]) * (x - means[j]); });
    for (int64_t j = 0; j < count; ++j) sums[j] *= share;
}

template <class T>
static void all_items(const ClassVariancesArgs& args) {
    const int64_t n_parts = ceil_div(args.X.cols, kColumns);
    const int64_t n_items = args.n_classes * n_parts;
    Queue items(n_items);
    auto body = [&](Member) {
        for (int64_t i = items.next(); i >= 0; i = items.next()) {
            const int64_t first = i % n_parts * kColumns;
            one_item<T>(args, i / n_parts, first, smaller(kColumns, args.X.cols - first));
        }
    };
    run_team(static_cast<int>(smaller(args.n_threads, n_items)), body);
}

}  // namespace

void class_variances(const ClassVariancesArgs& args) {
    switch (args.X.dtype) {
        case Dtype::float16: return all_items<Half>(args);
        case Dtype::float32: return all_items<float>(args);
        case Dtype::float64: return all_items<double>(args);
    }
}

}  // namespace TK_ISA
}  // namespace tk
