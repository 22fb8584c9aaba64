// Python binding of self_challenging in CUDA.
#include "device/bindings_cuda.h"
#include "self_challenging_cuda.h"

namespace tk {

namespace {

void call(const py::tuple& X, Address codes, Address coef, int64_t coef_row_stride,
          int64_t coef_col_stride, Address intercept, int64_t n_classes, Address shares,
          Address anchors, int64_t chunk_rows, Address workspace, Address posterior,
          Address challenge, Address stream) {
    SelfChallengingCudaArgs args{};
    args.X = device_matrix(X);
    if (n_classes < 1) throw py::value_error("n_classes must be positive");
    if (chunk_rows < 1 || chunk_rows % 128)
        throw py::value_error("chunk_rows must be a multiple of 128");
    args.codes = pointer<const int64_t>(codes);
    args.coef = pointer<const double>(coef);
    args.coef_row_stride = coef_row_stride;
    args.coef_col_stride = coef_col_stride;
    args.intercept = pointer<const double>(intercept);
    args.n_classes = n_classes;
    args.shares = pointer<const double>(shares);
    args.anchors = pointer<const double>(anchors);
    args.chunk_rows = chunk_rows;
    args.workspace = pointer<double>(workspace);
    args.posterior = pointer<double>(posterior);
    args.challenge = pointer<double>(challenge);
    py::gil_scoped_release release;
    self_challenging_cuda(args, pointer<void>(stream));
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("self_challenging", &call, py::arg("X"), py::kw_only(), py::arg("codes"),
               py::arg("coef"), py::arg("coef_row_stride"), py::arg("coef_col_stride"),
               py::arg("intercept"), py::arg("n_classes"), py::arg("shares"), py::arg("anchors"),
               py::arg("chunk_rows"), py::arg("workspace"), py::arg("posterior"),
               py::arg("challenge"), py::arg("stream"),
               "Fill posterior and challenge; see self_challenging_cuda.h.");
    module.def("self_challenging_workspace", &self_challenging_workspace, py::arg("n_classes"),
               "Doubles of the workspace that self_challenging needs for 128 samples.");
});

}  // namespace tk
