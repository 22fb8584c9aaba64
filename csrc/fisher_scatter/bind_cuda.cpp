// Python binding of fisher_scatter in CUDA.
#include "device/bindings_cuda.h"
#include "fisher_scatter_cuda.h"

namespace tk {

namespace {

void call(const py::tuple& X, Address order, Address codes, Address starts, int64_t n_classes,
          Address weights, bool weighted, Address shift, Address workspace, Address gram,
          Address sums, Address counts, int n_blocks, Address stream) {
    FisherScatterCudaArgs args{};
    args.X = device_matrix(X);
    if (n_classes < 1 || n_blocks < 1)
        throw py::value_error("n_classes and n_blocks must be positive");
    args.weights = pointer<const double>(weights);
    args.weighted = weighted;
    args.shift = pointer<const double>(shift);
    args.order = pointer<const int64_t>(order);
    args.codes = pointer<const int64_t>(codes);
    args.starts = pointer<const int64_t>(starts);
    args.n_classes = n_classes;
    args.n_blocks = n_blocks;
    args.workspace = pointer<double>(workspace);
    args.gram = pointer<double>(gram);
    args.sums = pointer<double>(sums);
    args.counts = pointer<double>(counts);
    py::gil_scoped_release release;
    fisher_scatter_cuda(args, pointer<void>(stream));
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("fisher_scatter", &call, py::arg("X"), py::kw_only(), py::arg("order"),
               py::arg("codes"), py::arg("starts"), py::arg("n_classes"), py::arg("weights"),
               py::arg("weighted"), py::arg("shift"), py::arg("workspace"), py::arg("gram"),
               py::arg("sums"), py::arg("counts"), py::arg("n_blocks"), py::arg("stream"),
               "Fill gram (upper triangle), sums and counts around the shift; see "
               "csrc/fisher_scatter/fisher_scatter_cuda.h.");
    module.def("fisher_scatter_workspace", &fisher_scatter_workspace, py::arg("n"), py::arg("d"),
               py::arg("n_classes"), py::arg("weighted"), py::arg("n_blocks"),
               "Doubles of the workspace that fisher_scatter needs.");
});

}  // namespace tk
