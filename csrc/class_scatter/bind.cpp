// Python binding of class_scatter.
#include "class_scatter.h"
#include "common/bindings.h"

namespace tk {

namespace {

void call(const py::array& X, const CodeArray& order, const CodeArray& starts,
          DoubleArray& variances, const std::string& isa, int n_threads) {
    ClassVariancesArgs args{};
    args.X = matrix_view(X);
    const int64_t n = args.X.rows, d = args.X.cols;
    args.n_classes = starts.ndim() == 1 ? starts.shape(0) - 1 : 0;
    if (n < 1 || d < 1 || args.n_classes < 1 || n_threads < 1)
        throw py::value_error("X must not be empty, n_classes and n_threads be positive");
    require_codes(order, n, n);
    require_shape("variances", variances, {args.n_classes, d});
    args.order = order.data();
    args.starts = starts.data();
    for (int64_t c = 0; c < args.n_classes; ++c)
        if (args.starts[c] > args.starts[c + 1]) throw py::value_error("starts must not decrease");
    if (args.starts[0] != 0 || args.starts[args.n_classes] != n)
        throw py::value_error("starts must go from 0 to the number of samples");
    args.n_threads = n_threads;
    args.variances = variances.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { class_variances(chosen, args); });
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("class_variances", &call, py::arg("X"), py::arg("order").noconvert(),
               py::arg("starts").noconvert(), py::arg("variances").noconvert(), py::kw_only(),
               py::arg("isa"), py::arg("n_threads"),
               "Fill the variance of each feature within each class.");
});

}  // namespace tk
