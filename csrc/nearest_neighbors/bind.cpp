// Python binding of nearest_neighbors.
#include <pybind11/stl.h>

#include "common/bindings.h"
#include "nearest_neighbors.h"

namespace tk {

namespace {

ScaledRows scaled_rows(const py::array& rows, const DoubleArray& scales) {
    ScaledRows found{matrix_view(rows), scales.data()};
    require_shape("scales", scales, {found.rows.rows});
    if (found.rows.rows < 1 || found.rows.cols < 1)
        throw py::value_error("rows must not be empty");
    return found;
}

void call(const py::array& others, const DoubleArray& scales,
          const std::optional<py::array>& queries,
          const std::optional<DoubleArray>& query_scales, const DoubleArray& origin,
          double product_error, double rounding, double floor, double tiny, double resolution,
          int64_t kept, py::array_t<int64_t, py::array::c_style>& indices, DoubleArray& squares,
          const std::string& isa, int n_threads) {
    NearestNeighborsArgs args{};
    args.others = scaled_rows(others, scales);
    args.oneself = !queries.has_value();
    if (queries.has_value() != query_scales.has_value())
        throw py::value_error("queries and query_scales go together");
    args.queries = args.oneself ? args.others : scaled_rows(*queries, *query_scales);
    const int64_t n = args.queries.rows.rows, m = args.others.rows.rows, d = args.others.rows.cols;
    if (args.queries.rows.cols != d || args.queries.rows.dtype != args.others.rows.dtype)
        throw py::value_error("queries must have the columns and the type of the others");
    require_shape("origin", origin, {d});
    require_shape("indices", indices, {n, -1});
    args.k = indices.shape(1);
    require_shape("squares", squares, {n, args.k});
    if (n_threads < 1 || args.k < 1 || kept < args.k || kept > m - (args.oneself ? 1 : 0))
        throw py::value_error("kept must lie between k and the number of neighbours");
    args.origin = origin.data();
    args.product_error = product_error;
    args.rounding = rounding;
    args.floor = floor;
    args.tiny = tiny;
    args.resolution = resolution;
    args.kept = kept;
    args.n_threads = n_threads;
    args.indices = indices.mutable_data();
    args.squares = squares.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { nearest_neighbors(chosen, args); });
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("nearest_neighbors", &call, py::arg("others"), py::arg("scales").noconvert(),
               py::arg("queries").none(true), py::arg("query_scales").noconvert().none(true),
               py::arg("origin").noconvert(), py::kw_only(), py::arg("product_error"),
               py::arg("rounding"), py::arg("floor"), py::arg("tiny"), py::arg("resolution"),
               py::arg("kept"), py::arg("indices").noconvert(), py::arg("squares").noconvert(),
               py::arg("isa"), py::arg("n_threads"),
               "Fill indices and squared distances of the nearest rows.");
});

}  // namespace tk
