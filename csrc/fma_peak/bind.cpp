// Python binding of fma_peak.
#include "common/bindings.h"
#include "fma_peak.h"

namespace tk {

namespace {

py::dict call(const std::string& isa, int n_threads, double seconds) {
    if (n_threads < 1 || !(seconds > 0.0))
        throw py::value_error("n_threads and seconds must be positive");
    double float64 = 0.0, float32 = 0.0;
    const FmaPeakArgs args{seconds, n_threads, &float64, &float32};
    const Isa chosen = parse_isa(isa);
    without_gil([&] { fma_peak(chosen, args); });
    py::dict rates;
    rates["float64"] = float64;
    rates["float32"] = float32;
    return rates;
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("fma_peak", &call, py::kw_only(), py::arg("isa"), py::arg("n_threads"),
               py::arg("seconds"),
               "GFLOP/s of register-only multiply-adds, {'float64': ..., 'float32': ...}.");
});

}  // namespace tk
