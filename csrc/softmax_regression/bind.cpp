// Python binding of softmax_regression.
#include "common/bindings.h"
#include "softmax_regression.h"

namespace tk {

namespace {

void call(const py::array& X, const CodeArray& codes, const DoubleArray& coef,
          const DoubleArray& intercept, const DoubleArray& shift, DoubleArray& losses,
          DoubleArray& by_coef, DoubleArray& by_intercept, DoubleArray& curvatures,
          const std::string& isa, int n_threads) {
    SoftmaxRegressionArgs args{};
    args.X = matrix_view(X);
    const int64_t n = args.X.rows, d = args.X.cols;
    require_shape("coef", coef, {-1, d});
    const int64_t n_classes = coef.shape(0);
    if (n < 1 || d < 1 || n_classes < 1 || n_threads < 1)
        throw py::value_error("X and coef must not be empty, n_threads be positive");
    require_codes(codes, n, n_classes);
    require_shape("intercept", intercept, {n_classes});
    require_shape("shift", shift, {d});
    require_shape("losses", losses, {n});
    require_shape("by_coef", by_coef, {n_classes, d});
    require_shape("by_intercept", by_intercept, {n_classes});
    require_shape("curvatures", curvatures, {n});
    args.codes = codes.data();
    args.coef = coef.data();
    args.intercept = intercept.data();
    args.shift = shift.data();
    args.n_classes = n_classes;
    args.n_threads = n_threads;
    args.losses = losses.mutable_data();
    args.by_coef = by_coef.mutable_data();
    args.by_intercept = by_intercept.mutable_data();
    args.curvatures = curvatures.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { softmax_regression(chosen, args); });
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("softmax_regression", &call, py::arg("X"), py::arg("codes").noconvert(),
               py::arg("coef").noconvert(), py::arg("intercept").noconvert(),
               py::arg("shift").noconvert(), py::arg("losses").noconvert(),
               py::arg("by_coef").noconvert(), py::arg("by_intercept").noconvert(),
               py::arg("curvatures").noconvert(), py::kw_only(), py::arg("isa"),
               py::arg("n_threads"),
               "Fill losses and curvatures of the samples, and the gradient of the losses' sum.");
});

}  // namespace tk
