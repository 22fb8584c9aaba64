// Python binding of parc_correlation.
#include <algorithm>
#include <numeric>
#include <vector>

#include "common/bindings.h"
#include "parc_correlation.h"

namespace tk {

namespace {

// Rows in the order of their classes.
std::vector<int64_t> by_class(const CodeArray& codes) {
    const int64_t* code = codes.data();
    std::vector<int64_t> rows(codes.size());
    std::iota(rows.begin(), rows.end(), 0);
    std::sort(rows.begin(), rows.end(), [code](int64_t i, int64_t j) {
        return code[i] != code[j] ? code[i] < code[j] : i < j;
    });
    return rows;
}

int64_t pairs_within_classes(const CodeArray& codes, const std::vector<int64_t>& order) {
    const int64_t* code = codes.data();
    const int64_t n = codes.size();
    int64_t pairs = 0, begin = 0;
    for (int64_t i = 0; i <= n; ++i)
        if (i == n || code[order[i]] != code[order[begin]]) {
            pairs += (i - begin) * (i - begin - 1) / 2;
            begin = i;
        }
    return pairs;
}

py::tuple correlation(const py::array& x, const CodeArray& codes, int64_t sort_limit,
                      double lookup_share, double tolerance, int64_t narrow_limit,
                      const std::string& isa, int n_threads) {
    const MatrixView view = matrix_view(x);
    require_shape("codes", codes, {view.rows});
    const Isa chosen = parse_isa(isa);
    double value, error;
    without_gil([&] {
        const std::vector<int64_t> order = by_class(codes);
        const ParcArgs args{
            view,         codes.data(), order.data(), pairs_within_classes(codes, order),
            n_threads,    sort_limit,   lookup_share, tolerance,
            narrow_limit, &value,       &error};
        parc_correlation(chosen, args);
    });
    return py::make_tuple(value, error);
}

py::tuple correlation_vectors(const py::array& x, const py::array& labels, double label_magnitude,
                              int64_t sort_limit, double tolerance, int64_t narrow_limit,
                              const std::string& isa, int n_threads) {
    const MatrixView view = matrix_view(x), label_view = matrix_view(labels);
    if (view.rows != label_view.rows) throw py::value_error("labels must have a row for each of x");
    const Isa chosen = parse_isa(isa);
    double value, error;
    const ParcVectorsArgs args{view,      label_view,   label_magnitude, n_threads, sort_limit,
                               tolerance, narrow_limit, &value,          &error};
    without_gil([&] { parc_correlation_vectors(chosen, args); });
    return py::make_tuple(value, error);
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("parc_correlation", &correlation, py::arg("x").noconvert(),
               py::arg("codes").noconvert(), py::kw_only(), py::arg("sort_limit"),
               py::arg("lookup_share"), py::arg("tolerance"), py::arg("narrow_limit"),
               py::arg("isa"), py::arg("n_threads"));
    module.def("parc_correlation_vectors", &correlation_vectors, py::arg("x").noconvert(),
               py::arg("labels").noconvert(), py::kw_only(), py::arg("label_magnitude"),
               py::arg("sort_limit"), py::arg("tolerance"), py::arg("narrow_limit"), py::arg("isa"),
               py::arg("n_threads"));
});

}  // namespace tk
