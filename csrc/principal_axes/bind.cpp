// Python binding of principal_axes.
#include "common/bindings.h"
#include "principal_axes.h"

namespace tk {

namespace {

int64_t call(const DoubleArray& gram, int64_t n_axes, double wanted, int64_t most,
             DoubleArray& values, DoubleArray& vectors, const std::string& isa, int n_threads) {
    PrincipalAxesArgs args{};
    args.size = gram.ndim() == 2 ? gram.shape(0) : 0;
    if (args.size < 1 || n_axes < 0 || n_axes > args.size || most < 1 || most > args.size ||
        n_threads < 1)
        throw py::value_error("gram must not be empty, n_axes and most at most m, n_threads 1");
    require_shape("gram", gram, {args.size, args.size});
    require_shape("values", values, {args.size});
    require_shape("vectors", vectors, {args.size, args.size});
    int64_t n_found = 0;
    args.gram = gram.data();
    args.n_axes = n_axes;
    args.wanted = wanted;
    args.most = most;
    args.n_threads = n_threads;
    args.n_found = &n_found;
    args.values = values.mutable_data();
    args.vectors = vectors.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { principal_axes(chosen, args); });
    return n_found;
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("principal_axes", &call, py::arg("gram").noconvert(), py::arg("n_axes"),
               py::arg("wanted"), py::arg("most"), py::arg("values").noconvert(),
               py::arg("vectors").noconvert(), py::kw_only(), py::arg("isa"), py::arg("n_threads"),
               "Fill leading eigenvalues, and vectors that span their space; returns how many.");
});

}  // namespace tk
