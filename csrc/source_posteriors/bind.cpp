// Python bindings of source_posteriors.
#include "common/bindings.h"
#include "source_posteriors.h"

namespace tk {

namespace {

using Kernel = void (*)(Isa, const SourcePosteriorsArgs&);

PosteriorRows dense_rows(const py::array& theta) {
    const MatrixView view = matrix_view(theta);
    return {view.data,       view.dtype, view.rows, view.cols, view.row_stride,
            view.col_stride, nullptr,    nullptr};
}

// Rows of a matrix in CSR form; every index is checked, for the kernels do not.
PosteriorRows sparse_rows(const py::array& data, const CodeArray& indices, const CodeArray& indptr,
                          int64_t cols) {
    PosteriorRows rows{};
    const bool is_float = py::isinstance<py::array_t<float>>(data);
    if ((!is_float && !py::isinstance<py::array_t<double>>(data)) || data.ndim() != 1 ||
        !(data.flags() & py::array::c_style))
        throw py::type_error("data must be a contiguous vector of float32 or float64");
    const int64_t n_entries = data.shape(0);
    require_shape("indices", indices, {n_entries});
    if (indptr.ndim() != 1 || indptr.shape(0) < 2 || cols < 1)
        throw py::value_error("the matrix must not be empty");
    rows.rows = indptr.shape(0) - 1;
    rows.cols = cols;
    rows.indptr = indptr.data();
    rows.indices = indices.data();
    rows.data = data.data();
    rows.dtype = is_float ? Dtype::float32 : Dtype::float64;
    if (rows.indptr[0] != 0 || rows.indptr[rows.rows] != n_entries)
        throw py::value_error("indptr must run from 0 to the number of entries");
    for (int64_t i = 0; i < rows.rows; ++i)
        if (rows.indptr[i] > rows.indptr[i + 1]) throw py::value_error("indptr must not decrease");
    for (int64_t k = 0; k < n_entries; ++k)
        if (rows.indices[k] < 0 || rows.indices[k] >= cols)
            throw py::value_error("an index is out of range");
    return rows;
}

// The arrays of theta: (matrix) or (data, indices, indptr, number of columns).
PosteriorRows posterior_rows(const py::tuple& theta) {
    if (theta.size() == 1) return dense_rows(theta[0].cast<py::array>());
    return sparse_rows(theta[0].cast<py::array>(), theta[1].cast<CodeArray>(),
                       theta[2].cast<CodeArray>(), theta[3].cast<int64_t>());
}

SourcePosteriorsArgs arguments(const py::tuple& theta, const CodeArray& order,
                               const CodeArray& pieces, int64_t n_classes, int n_threads) {
    SourcePosteriorsArgs args{};
    args.theta = posterior_rows(theta);
    const int64_t n = args.theta.rows;
    if (n < 1 || args.theta.cols < 1 || n_threads < 1)
        throw py::value_error("theta must not be empty, n_threads be positive");
    require_shape("order", order, {n});
    require_shape("pieces", pieces, {-1, 3});
    require_codes(order, n, n);
    args.order = order.data();
    args.pieces = pieces.data();
    args.n_pieces = pieces.shape(0);
    args.n_classes = n_classes;
    args.n_threads = n_threads;
    int64_t reached = 0;
    for (int64_t p = 0; p < args.n_pieces; ++p) {
        const int64_t* piece = args.pieces + 3 * p;
        if (piece[0] < 0 || piece[0] >= n_classes || piece[1] != reached || piece[2] <= piece[1])
            throw py::value_error("pieces must follow one another");
        reached = piece[2];
    }
    if (reached != n) throw py::value_error("pieces must cover the samples");
    return args;
}

void take_table(SourcePosteriorsArgs& args, const DoubleArray& table) {
    require_shape("table", table, {args.n_classes, args.theta.cols});
    args.table = table.data();
}

void call_class_sums(const py::tuple& theta, const CodeArray& order, const CodeArray& pieces,
                     DoubleArray& sums, DoubleArray& totals, DoubleArray& lowest,
                     const std::string& isa, int n_threads) {
    require_shape("sums", sums, {-1, -1});
    SourcePosteriorsArgs args = arguments(theta, order, pieces, sums.shape(0), n_threads);
    require_shape("sums", sums, {args.n_classes, args.theta.cols});
    require_shape("totals", totals, {args.theta.rows});
    require_shape("lowest", lowest, {args.theta.rows});
    args.sums = sums.mutable_data();
    args.totals = totals.mutable_data();
    args.lowest = lowest.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { class_sums(chosen, args); });
}

void call_own_class(const py::tuple& theta, const CodeArray& order, const CodeArray& pieces,
                    const DoubleArray& table, DoubleArray& values, const std::string& isa,
                    int n_threads) {
    require_shape("table", table, {-1, -1});
    SourcePosteriorsArgs args = arguments(theta, order, pieces, table.shape(0), n_threads);
    take_table(args, table);
    require_shape("values", values, {args.theta.rows});
    args.values = values.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { own_class(chosen, args); });
}

double call_tilted_sums(const py::tuple& theta, const CodeArray& order, const CodeArray& pieces,
                        const DoubleArray& table, double floor, DoubleArray& sums,
                        const std::string& isa, int n_threads) {
    require_shape("table", table, {-1, -1});
    SourcePosteriorsArgs args = arguments(theta, order, pieces, table.shape(0), n_threads);
    take_table(args, table);
    require_shape("sums", sums, {args.n_classes, args.theta.cols});
    double log_norm = 0.0;
    args.floor = floor;
    args.sums = sums.mutable_data();
    args.log_norm = &log_norm;
    const Isa chosen = parse_isa(isa);
    without_gil([&] { tilted_sums(chosen, args); });
    return log_norm;
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("class_sums", &call_class_sums, py::arg("theta"), py::arg("order").noconvert(),
               py::arg("pieces").noconvert(), py::arg("sums").noconvert(),
               py::arg("totals").noconvert(), py::arg("lowest").noconvert(), py::kw_only(),
               py::arg("isa"), py::arg("n_threads"),
               "Fill the sums of each class, and total and least entry of each row.");
    module.def("own_class", &call_own_class, py::arg("theta"), py::arg("order").noconvert(),
               py::arg("pieces").noconvert(), py::arg("table").noconvert(),
               py::arg("values").noconvert(), py::kw_only(), py::arg("isa"), py::arg("n_threads"),
               "Fill each row's product with its class's row of the table.");
    module.def("tilted_sums", &call_tilted_sums, py::arg("theta"), py::arg("order").noconvert(),
               py::arg("pieces").noconvert(), py::arg("table").noconvert(), py::arg("floor"),
               py::arg("sums").noconvert(), py::kw_only(), py::arg("isa"), py::arg("n_threads"),
               "Fill the sums of each class's tilted rows; returns the sum of the norms' logarithms.");
});

}  // namespace tk
