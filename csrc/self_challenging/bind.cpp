// Python binding of self_challenging.
#include <pybind11/stl.h>

#include "common/bindings.h"
#include "self_challenging.h"

namespace tk {

namespace {

void call(const py::array& X, const CodeArray& codes, const DoubleArray& coef,
          const DoubleArray& intercept, const std::optional<DoubleArray>& share,
          const std::optional<DoubleArray>& anchors, DoubleArray& posterior, DoubleArray& challenge,
          const std::string& isa, int n_threads) {
    SelfChallengingArgs args{};
    args.X = matrix_view(X);
    const int64_t n = args.X.rows, d = args.X.cols;
    require_shape("coef", coef, {-1, d});
    const int64_t n_classes = coef.shape(0);
    if (n < 1 || d < 1 || n_classes < 1 || n_threads < 1)
        throw py::value_error("X and coef must not be empty, n_threads be positive");
    require_codes(codes, n, n_classes);
    require_shape("intercept", intercept, {n_classes});
    require_shape("posterior", posterior, {n});
    require_shape("challenge", challenge, {n});
    if (share.has_value() != anchors.has_value())
        throw py::value_error("share and anchors go together");
    if (share) {
        require_shape("share", *share, {n});
        require_shape("anchors", *anchors, {n_classes, d});
        args.share = share->data();
        args.anchors = anchors->data();
    }
    args.codes = codes.data();
    args.coef = coef.data();
    args.intercept = intercept.data();
    args.n_classes = n_classes;
    args.n_threads = n_threads;
    args.posterior = posterior.mutable_data();
    args.challenge = challenge.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { self_challenging(chosen, args); });
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("self_challenging", &call, py::arg("X"), py::arg("codes").noconvert(),
               py::arg("coef").noconvert(), py::arg("intercept").noconvert(),
               py::arg("share").noconvert(), py::arg("anchors").noconvert(),
               py::arg("posterior").noconvert(), py::arg("challenge").noconvert(), py::kw_only(),
               py::arg("isa"), py::arg("n_threads"),
               "Fill posterior and challenge; with share and anchors, those of the mixed samples.");
});

}  // namespace tk
