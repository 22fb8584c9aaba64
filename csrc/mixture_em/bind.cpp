// Python binding of mixture_em.
#include "common/bindings.h"
#include "mixture_em.h"

namespace tk {

namespace {

using BoolArray = py::array_t<bool, py::array::c_style>;

void call(const DoubleArray& leading, const DoubleArray& means, const DoubleArray& corners,
          const DoubleArray& constants, const DoubleArray& floors, double trusted, BoolArray& found,
          const std::string& isa, int n_threads) {
    require_shape("leading", leading, {-1, -1});
    require_shape("means", means, {-1, -1});
    MixtureSurvivorsArgs args{};
    args.q = leading.shape(0);
    args.n = leading.shape(1);
    args.n_components = means.shape(0);
    if (args.q < 1 || args.n < 1 || args.n_components < 1 || n_threads < 1)
        throw py::value_error("the arrays must not be empty, n_threads be positive");
    require_shape("means", means, {args.n_components, args.q});
    require_shape("corners", corners, {args.n_components, args.q, args.q});
    require_shape("constants", constants, {args.n_components});
    require_shape("floors", floors, {args.n});
    require_shape("found", found, {args.n_components, args.n});
    args.leading = leading.data();
    args.means = means.data();
    args.corners = corners.data();
    args.constants = constants.data();
    args.floors = floors.data();
    args.trusted = trusted;
    args.n_threads = n_threads;
    args.found = found.mutable_data();
    const Isa chosen = parse_isa(isa);
    without_gil([&] { mixture_survivors(chosen, args); });
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("mixture_survivors", &call, py::arg("leading").noconvert(),
               py::arg("means").noconvert(), py::arg("corners").noconvert(),
               py::arg("constants").noconvert(), py::arg("floors").noconvert(), py::arg("trusted"),
               py::arg("found").noconvert(), py::kw_only(), py::arg("isa"), py::arg("n_threads"),
               "Fill the table of samples that are near enough to components in their first axes.");
});

}  // namespace tk
