// How a file adds to its Python module: one static Binding, which no list has to name.
#pragma once

#include <pybind11/pybind11.h>

namespace tk {

class Binding {
public:
    using Add = void (*)(pybind11::module_& module);

    explicit Binding(Add add) : add_(add), next_(first_) { first_ = this; }
    Binding(const Binding&) = delete;
    Binding& operator=(const Binding&) = delete;

    static void add_all(pybind11::module_& module) {
        for (const Binding* one = first_; one; one = one->next_) one->add_(module);
    }

private:
    // Set before the constructors of other files run.
    static inline const Binding* first_ = nullptr;

    const Add add_;
    const Binding* const next_;
};

}  // namespace tk
