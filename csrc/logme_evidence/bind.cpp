// Python binding of `logme_evidence`.
#include "common/bindings.h"
#include "logme_evidence.h"

namespace tk {

namespace {

py::tuple bind_call(const DoubleArray& gram, const DoubleArray& moments, const DoubleArray& squares,
                    const DoubleArray& known, const DoubleArray& known_parts,
                    const DoubleArray& rest, int64_t n_samples, int64_t n_features, bool dual,
                    bool largest, double gram_error, double epsilon, double tolerance,
                    int64_t max_rounds, bool epsilon_in_evidence, bool full_spectrum,
                    bool warm_start, double smallest_precision, const std::string& isa,
                    int n_threads) {
    if (moments.ndim() != 2) throw py::value_error("moments has the wrong shape");
    const py::ssize_t size = moments.shape(0), n_targets = moments.shape(1);
    require_shape("gram", gram, {size, size});
    require_shape("squares", squares, {n_targets});
    const py::ssize_t n_known = known.size();
    require_shape("known", known, {n_known});
    require_shape("known_parts", known_parts, {n_known, n_targets});
    const bool extended = rest.size() > 0;  // by directions that the Gram matrix has not
    if (extended) {
        require_shape("rest", rest, {n_targets});
        if (!dual || !largest || size < 1 || size + n_known > n_samples)
            throw py::value_error("known parts are for the dual form of the largest evidence");
    } else if (size < 1 || n_known > 0 || size != (dual ? n_samples : n_features))
        throw py::value_error("gram must have n_samples rows in the dual form, else n_features");
    if (n_threads < 1 || max_rounds < 1)
        throw py::value_error("n_threads and max_rounds must be positive");

    py::array_t<double> results[4];
    for (auto& result : results) result = py::array_t<double>(n_targets);
    EvidenceArgs args{};
    args.gram = gram.data();
    args.moments = moments.data();
    args.squares = squares.data();
    args.size = size;
    args.n_targets = n_targets;
    args.n_samples = n_samples;
    args.n_features = n_features;
    args.dual = dual;
    args.largest = largest;
    args.gram_error = gram_error;
    args.known = known.data();
    args.known_parts = known_parts.data();
    args.rest = extended ? rest.data() : nullptr;
    args.n_known = n_known;
    args.epsilon = epsilon;
    args.tolerance = tolerance;
    args.max_rounds = max_rounds;
    args.epsilon_in_evidence = epsilon_in_evidence;
    args.full_spectrum = full_spectrum;
    args.warm_start = warm_start;
    args.smallest_precision = smallest_precision;
    args.evidences = results[0].mutable_data();
    args.alphas = results[1].mutable_data();
    args.betas = results[2].mutable_data();
    args.ratios = results[3].mutable_data();
    args.n_threads = n_threads;
    const Isa chosen = parse_isa(isa);
    if (n_targets > 0) without_gil([&] { logme_evidence(chosen, args); });
    return py::make_tuple(results[0], results[1], results[2], results[3]);
}

}  // namespace

static const Binding binding([](py::module_& module) {
    using namespace py::literals;
    module.def("logme_evidence", &bind_call, "gram"_a.noconvert(), "moments"_a.noconvert(),
               "squares"_a.noconvert(), "known"_a.noconvert(), "known_parts"_a.noconvert(),
               "rest"_a.noconvert(), "n_samples"_a, "n_features"_a, py::kw_only(), "dual"_a,
               "largest"_a, "gram_error"_a, "epsilon"_a, "tolerance"_a, "max_rounds"_a,
               "epsilon_in_evidence"_a, "full_spectrum"_a, "warm_start"_a, "smallest_precision"_a,
               "isa"_a, "n_threads"_a);
});

}  // namespace tk
