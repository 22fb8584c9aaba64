// Python binding of row_statistics.
#include "common/bindings.h"
#include "row_statistics.h"

namespace tk {

namespace {

void call(const py::array& X, const DoubleArray& shift, DoubleArray& squares, DoubleArray& logsums,
          const std::string& isa, int n_threads) {
    RowStatisticsArgs args{};
    args.X = matrix_view(X);
    const int64_t n = args.X.rows, d = args.X.cols;
    if (n < 1 || d < 1 || n_threads < 1)
        throw py::value_error("X must not be empty, n_threads be positive");
    require_shape("shift", shift, {d});
    require_shape("squares", squares, {n});
    require_shape("logsums", logsums, {n});
    args.shift = shift.data();
    args.n_threads = n_threads;
    args.squares = squares.mutable_data();
    args.logsums = logsums.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { row_statistics(chosen, args); });
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("row_statistics", &call, py::arg("X"), py::arg("shift").noconvert(),
               py::arg("squares").noconvert(), py::arg("logsums").noconvert(), py::kw_only(),
               py::arg("isa"), py::arg("n_threads"),
               "Fill squared distances from the shift and log-sums of exponentials, row by row.");
});

}  // namespace tk
