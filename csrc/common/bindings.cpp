// The Python module `_native`: csrc/<op>/bind.cpp of every op, and what they share.
#include "bindings.h"

#include <pthread.h>

namespace tk {

MatrixView matrix_view(const py::array& array) {
    if (array.ndim() != 2) throw py::value_error("expected a two-dimensional array");
    MatrixView view{};
    const char kind = array.dtype().kind();
    const py::ssize_t size = array.itemsize();
    const bool native_order = array.dtype().byteorder() == '=' || array.dtype().byteorder() == '|';
    if (kind != 'f' || !native_order || (size != 2 && size != 4 && size != 8))
        throw py::type_error("expected float16, float32 or float64 in native byte order");
    for (int axis = 0; axis < 2; ++axis)
        if (array.shape(axis) > 1 && array.strides(axis) % size != 0)
            throw py::value_error("strides must be multiples of the item size");
    view.data = array.data();
    view.dtype = size == 2 ? Dtype::float16 : size == 4 ? Dtype::float32 : Dtype::float64;
    view.rows = array.shape(0);
    view.cols = array.shape(1);
    view.row_stride = array.strides(0) / size;
    view.col_stride = array.strides(1) / size;
    return view;
}

Isa parse_isa(const std::string& name) {
    for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512})
        if (name == isa_name(isa) && isa_available(isa)) return isa;
    throw py::value_error("instruction set '" + name + "' is not available here");
}

void require_shape(const char* name, const py::array& array,
                   std::initializer_list<py::ssize_t> shape) {
    bool fits = array.ndim() == static_cast<py::ssize_t>(shape.size());
    py::ssize_t axis = 0;
    for (py::ssize_t extent : shape) {
        fits = fits && (extent < 0 || array.shape(axis) == extent);
        ++axis;
    }
    if (!fits) throw py::value_error(std::string(name) + " has the wrong shape");
}

void require_codes(const CodeArray& codes, int64_t n_samples, int64_t n_classes) {
    require_shape("codes", codes, {n_samples});
    const int64_t* values = codes.data();
    for (int64_t i = 0; i < n_samples; ++i)
        if (values[i] < 0 || values[i] >= n_classes)
            throw py::value_error("codes must lie in [0, n_classes)");
}

// The thread on which Python runs the handlers of signals; in a forked child the one that forked.
static unsigned long main_thread;

static void find_main_thread() {
    const py::object main = py::module_::import("threading").attr("main_thread")();
    main_thread = main.attr("ident").cast<unsigned long>();
    pthread_atfork(nullptr, nullptr, [] { main_thread = PyThread_get_thread_ident(); });
}

Interruptible::Interruptible() {
    // Other threads would wait for the GIL in vain, and die of it while the interpreter shuts down.
    if (PyThread_get_thread_ident() == main_thread)
        call_.emplace(&Interruptible::hears_signal, this);
    state_ = PyEval_SaveThread();
}

Interruptible::~Interruptible() { PyEval_RestoreThread(state_); }

bool Interruptible::hears_signal(void* self) {
    auto* const here = static_cast<Interruptible*>(self);
    PyEval_RestoreThread(here->state_);
    const bool raised = PyErr_CheckSignals() != 0;
    here->state_ = PyEval_SaveThread();
    return raised;
}

}  // namespace tk

PYBIND11_MODULE(_native, module) {
    module.doc() =
        "Compiled CPU kernels of transfer_kernels; use them through transfer_kernels.ops.";
    module.def("available_isas", [] {
        pybind11::list names;
        for (tk::Isa isa : {tk::Isa::baseline, tk::Isa::avx2, tk::Isa::avx512})
            if (tk::isa_available(isa)) names.append(tk::isa_name(isa));
        return names;
    });
    module.attr("__compiler__") = __VERSION__;
    tk::find_main_thread();
    tk::Binding::add_all(module);
}
