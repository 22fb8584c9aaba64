// Python binding of parc_correlation.
#include <algorithm>
#include <vector>

#include "bindings.h"
#include "parc_correlation.h"

namespace tk {

namespace {

int64_t pairs_within_classes(const CodeArray& codes) {
    const int64_t n = codes.size();
    std::vector<int64_t> classes(codes.data(), codes.data() + n);
    std::sort(classes.begin(), classes.end());
    int64_t pairs = 0, begin = 0;
    for (int64_t i = 0; i <= n; ++i)
        if (i == n || classes[i] != classes[begin]) {
            pairs += (i - begin) * (i - begin - 1) / 2;
            begin = i;
        }
    return pairs;
}

py::tuple correlation(const py::array& x, const CodeArray& codes, int64_t sort_limit,
                      double tolerance, const std::string& isa, int n_threads) {
    const MatrixView view = matrix_view(x);
    require_shape("codes", codes, {view.rows});
    const Isa chosen = parse_isa(isa);
    double value, bound;
    const ParcArgs args{view,      codes.data(), pairs_within_classes(codes), n_threads, sort_limit,
                        tolerance, &value,       &bound};
    {
        py::gil_scoped_release release;
        parc_correlation(chosen, args);
    }
    return py::make_tuple(value, bound);
}

py::tuple correlation_vectors(const py::array& x, const py::array& labels, double label_magnitude,
                              int64_t sort_limit, double tolerance, const std::string& isa,
                              int n_threads) {
    const MatrixView view = matrix_view(x), label_view = matrix_view(labels);
    if (view.rows != label_view.rows) throw py::value_error("labels must have a row for each of x");
    const Isa chosen = parse_isa(isa);
    double value, bound;
    const ParcVectorsArgs args{view,       label_view, label_magnitude, n_threads,
                               sort_limit, tolerance,  &value,          &bound};
    {
        py::gil_scoped_release release;
        parc_correlation_vectors(chosen, args);
    }
    return py::make_tuple(value, bound);
}

}  // namespace

void bind_parc_correlation(py::module_& module) {
    module.def("parc_correlation", &correlation, py::arg("x").noconvert(),
               py::arg("codes").noconvert(), py::kw_only(), py::arg("sort_limit"),
               py::arg("tolerance"), py::arg("isa"), py::arg("n_threads"));
    module.def("parc_correlation_vectors", &correlation_vectors, py::arg("x").noconvert(),
               py::arg("labels").noconvert(), py::kw_only(), py::arg("label_magnitude"),
               py::arg("sort_limit"), py::arg("tolerance"), py::arg("isa"), py::arg("n_threads"));
}

}  // namespace tk
