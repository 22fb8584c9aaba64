// What the Python bindings share: views of NumPy arrays and checks.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <string>

#include "array_view.h"
#include "binding.h"
#include "isa.h"
#include "parallel.h"

namespace tk {

namespace py = pybind11;

// Contiguous arrays that the Python side has made so; pybind11 checks and never converts silently.
using DoubleArray = py::array_t<double, py::array::c_style>;
using CodeArray = py::array_t<int64_t, py::array::c_style>;

// View of a two-dimensional float16, float32 or float64 array; throws py::type_error otherwise.
MatrixView matrix_view(const py::array& array);

// The instruction set of that name; throws py::value_error when it is not available here.
Isa parse_isa(const std::string& name);

// Throws py::value_error unless the array has this shape; -1 matches any extent.
void require_shape(const char* name, const py::array& array,
                   std::initializer_list<py::ssize_t> shape);

// Throws py::value_error unless all codes are in [0, n_classes).
void require_codes(const CodeArray& codes, int64_t n_samples, int64_t n_classes);

// Lets other Python threads run while this one works for a call, and hears the signals that Python
// has noted meanwhile, such as an interrupt.
class Interruptible {
public:
    Interruptible();
    ~Interruptible();
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

    // Whether a handler has raised: its exception is set.
    bool stopped() const { return call_ && call_->stopped(); }

private:
    static bool hears_signal(void* self);

    PyThreadState* state_;
    std::optional<StoppableCall> call_;
};

// work() without the GIL; throws the exception of a signal's handler.
template <class Work>
void without_gil(Work work) {
    bool was_stopped;
    {
        const Interruptible interruptible;
        try {
            work();
        } catch (const Stopped&) {
        }
        was_stopped = interruptible.stopped();
    }
    if (was_stopped) throw py::error_already_set();
}

}  // namespace tk
