// Python binding of gaussian_pairs.
#include "common/bindings.h"
#include "gaussian_pairs.h"

namespace tk {

namespace {

void call(const DoubleArray& means, const DoubleArray& covariances, double pivot_eps,
          double smallest_variance, DoubleArray& distances, DoubleArray& logdets,
          const std::string& isa, int n_threads) {
    GaussianPairsArgs args{};
    if (means.ndim() != 2 || means.shape(0) < 1 || means.shape(1) < 1 || n_threads < 1)
        throw py::value_error("means must be (C, p) and not empty, n_threads be positive");
    args.n_classes = means.shape(0);
    args.size = means.shape(1);
    args.diagonal = covariances.ndim() == 2;
    if (args.diagonal)
        require_shape("covariances", covariances, {args.n_classes, args.size});
    else
        require_shape("covariances", covariances, {args.n_classes, args.size, args.size});
    require_shape("distances", distances, {args.n_classes, args.n_classes});
    require_shape("logdets", logdets, {args.n_classes, args.n_classes});
    args.means = means.data();
    args.covariances = covariances.data();
    args.pivot_eps = pivot_eps;
    args.smallest_variance = smallest_variance;
    args.n_threads = n_threads;
    args.distances = distances.mutable_data();
    args.logdets = logdets.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { gaussian_pairs(chosen, args); });
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("gaussian_pairs", &call, py::arg("means").noconvert(),
               py::arg("covariances").noconvert(), py::arg("pivot_eps"),
               py::arg("smallest_variance"), py::arg("distances").noconvert(),
               py::arg("logdets").noconvert(), py::kw_only(), py::arg("isa"), py::arg("n_threads"),
               "Fill squared Mahalanobis distances and log-determinants of all pairs.");
});

}  // namespace tk
