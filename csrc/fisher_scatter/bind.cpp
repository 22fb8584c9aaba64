// Python binding of fisher_scatter.
#include <pybind11/stl.h>

#include "common/bindings.h"
#include "fisher_scatter.h"

namespace tk {

namespace {

void call(const py::array& X, const CodeArray& codes, int64_t n_classes,
          const std::optional<DoubleArray>& weights, const DoubleArray& shift, DoubleArray& gram,
          DoubleArray& sums, std::optional<DoubleArray>& root_sums, const std::string& isa,
          int n_threads) {
    FisherScatterArgs args{};
    args.X = matrix_view(X);
    const int64_t d = args.X.cols;
    if (args.X.rows < 1 || d < 1 || n_classes < 1 || n_threads < 1)
        throw py::value_error("X must not be empty, n_classes and n_threads be positive");
    require_codes(codes, args.X.rows, n_classes);
    require_shape("shift", shift, {d});
    require_shape("gram", gram, {d, d});
    require_shape("sums", sums, {n_classes, d});
    if (weights.has_value() != root_sums.has_value())
        throw py::value_error("root_sums goes with weights");
    if (weights) {
        require_shape("weights", *weights, {args.X.rows});
        require_shape("root_sums", *root_sums, {n_classes, d});
        args.weights = weights->data();
        args.root_sums = root_sums->mutable_data();
    }
    args.codes = codes.data();
    args.shift = shift.data();
    args.n_classes = n_classes;
    args.n_threads = n_threads;
    args.gram = gram.mutable_data();
    args.sums = sums.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { fisher_scatter(chosen, args); });
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("fisher_scatter", &call, py::arg("X"), py::arg("codes").noconvert(),
               py::arg("n_classes"), py::arg("weights").noconvert(), py::arg("shift").noconvert(),
               py::arg("gram").noconvert(), py::arg("sums").noconvert(),
               py::arg("root_sums").noconvert(), py::kw_only(), py::arg("isa"),
               py::arg("n_threads"),
               "Fill gram (upper triangle), sums and, with weights, root_sums around the shift.");
});

}  // namespace tk
