// Python binding of the CUDA version of `logme_evidence`.
#include "device/bindings_cuda.h"
#include "logme_evidence_cuda.h"

namespace tk {

namespace {

// What a reduction works on; the caller keeps the memory alive.
class Reduction {
public:
    Reduction(Address matrix, int64_t padded, int64_t n_targets, Address factors, Address products,
              Address taus, Address partials, Address stream)
        : stream_(pointer<void>(stream)) {
        if (padded < kBandRows || padded % kBandRows != 0 || n_targets < 1)
            throw py::value_error("padded must be a multiple of 32, with at least one target");
        args_.matrix = pointer<double>(matrix);
        args_.padded = padded;
        args_.n_targets = n_targets;
        args_.factors = pointer<double>(factors);
        args_.products = pointer<double>(products);
        args_.taus = pointer<double>(taus);
        args_.partials = pointer<double>(partials);
    }

    void factor_panel(int64_t first) const {
        require_panel(first);
        py::gil_scoped_release release;
        tk::factor_panel(args_, first, stream_);
    }

    void finish_update(int64_t first) const {
        require_panel(first);
        py::gil_scoped_release release;
        tk::finish_update(args_, first, stream_);
    }

private:
    void require_panel(int64_t first) const {
        if (first < 0 || first % kBandRows != 0 || first + kBandRows >= args_.padded)
            throw py::value_error("no panel begins there");
    }

    ReductionArgs args_{};
    void* stream_;
};

void fit(Address matrix, Address squares, int64_t size, int64_t padded, int64_t n_targets,
         int64_t n_samples, int64_t n_features, Address workspace, int64_t n_blocks,
         Address results, Address stream, bool dual, double epsilon, double tolerance,
         int64_t max_rounds, bool epsilon_in_evidence, bool full_spectrum, bool warm_start,
         double smallest_precision) {
    if (size < 1 || size != (dual ? n_samples : n_features))
        throw py::value_error("gram must have n_samples rows in the dual form, else n_features");
    if (padded % kBandRows != 0 || padded < size || padded - size >= kBandRows || n_targets < 1)
        throw py::value_error("padded must be the next multiple of 32, with at least one target");
    if (max_rounds < 1 || n_blocks < 1 || (warm_start && n_blocks != 1))
        throw py::value_error("max_rounds and n_blocks must be positive, one block to start warm");
    FitArgs args{};
    args.matrix = pointer<const double>(matrix);
    args.squares = pointer<const double>(squares);
    args.size = size;
    args.padded = padded;
    args.n_targets = n_targets;
    args.n_samples = n_samples;
    args.n_features = n_features;
    args.dual = dual;
    args.epsilon = epsilon;
    args.tolerance = tolerance;
    args.max_rounds = max_rounds;
    args.epsilon_in_evidence = epsilon_in_evidence;
    args.full_spectrum = full_spectrum;
    args.warm_start = warm_start;
    args.smallest_precision = smallest_precision;
    args.workspace = pointer<double>(workspace);
    args.n_blocks = n_blocks;
    args.results = pointer<double>(results);
    py::gil_scoped_release release;
    fit_targets(args, pointer<void>(stream));
}

}  // namespace

static const Binding binding([](py::module_& module) {
    using namespace py::literals;
    py::class_<Reduction>(module, "LogmeReduction")
        .def(py::init<Address, int64_t, int64_t, Address, Address, Address, Address, Address>(),
             py::kw_only(), "matrix"_a, "padded"_a, "n_targets"_a, "factors"_a, "products"_a,
             "taus"_a, "partials"_a, "stream"_a)
        .def("factor_panel", &Reduction::factor_panel, "first"_a)
        .def("finish_update", &Reduction::finish_update, "first"_a);
    module.def("logme_partial_sums_size", &partial_sums_size);
    module.def("logme_fit_workspace_size", &fit_workspace_size, "padded"_a);
    module.def("logme_fit", &fit, py::kw_only(), "matrix"_a, "squares"_a, "size"_a, "padded"_a,
               "n_targets"_a, "n_samples"_a, "n_features"_a, "workspace"_a, "n_blocks"_a,
               "results"_a, "stream"_a, "dual"_a, "epsilon"_a, "tolerance"_a, "max_rounds"_a,
               "epsilon_in_evidence"_a, "full_spectrum"_a, "warm_start"_a, "smallest_precision"_a);
});

}  // namespace tk
