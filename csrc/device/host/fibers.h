// Fibers: functions that can pause anywhere and go on later, all on one thread of the system.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace tk::host {

// Memory for the stacks of `count` fibers; below each lies a page that faults when it overflows.
class Stacks {
public:
    explicit Stacks(size_t count);  // throws std::bad_alloc
    ~Stacks();
    Stacks(const Stacks&) = delete;
    Stacks& operator=(const Stacks&) = delete;

    static size_t bytes();
    char* bottom(size_t index) const;

private:
    char* memory_;
    size_t count_;
};

// What goes on where it stopped, and the stack that it runs on.
struct Context {
#if defined(__x86_64__)
    void* stack_pointer = nullptr;
#else
    ucontext_t machine;
#endif
    const void* bottom = nullptr;
    size_t bytes = 0;
    void* fake_stack = nullptr;  // AddressSanitizer's
};

class Fiber {
public:
    // Makes ready to run the body from its beginning on that stack. A fiber that has not ended may be
    // prepared anew: what it was at is forgotten, without unwinding.
    void prepare(char* stack_bottom, const std::function<void()>& body);

    // Runs until the body pauses or ends; rethrows what it threw.
    void resume();

    // Within the body: goes back to where resume() was called.
    void pause();

    bool ended() const { return ended_; }

private:
    static void enter();

    Context own_, caller_;
    const std::function<void()>* body_ = nullptr;
    std::exception_ptr error_;
    bool ended_ = true;
};

}  // namespace tk::host
