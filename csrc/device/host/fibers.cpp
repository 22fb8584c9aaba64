// Fibers by a switch of stacks: a few instructions on x86-64, ucontext elsewhere.
#include "fibers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define TK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TK_ASAN 1
#endif
#endif

#if defined(TK_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace tk::host {

namespace {

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

// The fiber that is being entered for the first time: its entry function takes no argument.
thread_local Fiber* entered = nullptr;

void forget_frames([[maybe_unused]] const void* bottom, [[maybe_unused]] size_t bytes) {
#if defined(TK_ASAN)
    __asan_unpoison_memory_region(bottom, bytes);
#endif
}

void before_switch([[maybe_unused]] Context& from, [[maybe_unused]] const Context& to,
                   [[maybe_unused]] bool for_good) {
#if defined(TK_ASAN)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.bottom, to.bytes);
#endif
}

// `self` is what runs now, `previous` what ran before.
void after_switch([[maybe_unused]] Context& self, [[maybe_unused]] Context& previous) {
#if defined(TK_ASAN)
    __sanitizer_finish_switch_fiber(self.fake_stack, &previous.bottom, &previous.bytes);
#endif
}

}  // namespace

#if defined(__x86_64__)

// Saves the registers that a call preserves on the old stack and takes those of the new one.
extern "C" void tk_switch_stack(void** save, void* load);
asm(R"(
.text
.hidden tk_switch_stack
.globl tk_switch_stack
.type tk_switch_stack, @function
tk_switch_stack:
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size tk_switch_stack, .-tk_switch_stack
)");

static void switch_context(Context& from, Context& to) {
    tk_switch_stack(&from.stack_pointer, to.stack_pointer);
}

static void make_context(Context& context, char* bottom, size_t bytes, void (*entry)()) {
    // Six registers, the address that `ret` takes, and one that the entry never returns to; the
    // stack pointer is then where a call would have left it.
    void** top = reinterpret_cast<void**>(bottom + bytes) - 8;
    for (int i = 0; i < 8; ++i) top[i] = nullptr;
    top[6] = reinterpret_cast<void*>(entry);
    context.stack_pointer = top;
}

#else

static void switch_context(Context& from, Context& to) { swapcontext(&from.machine, &to.machine); }

static void make_context(Context& context, char* bottom, size_t bytes, void (*entry)()) {
    getcontext(&context.machine);
    context.machine.uc_stack.ss_sp = bottom;
    context.machine.uc_stack.ss_size = bytes;
    context.machine.uc_link = nullptr;
    makecontext(&context.machine, entry, 0);
}

#endif

size_t Stacks::bytes() {
#if defined(TK_ASAN)
    return 256 * 1024;
#else
    return 64 * 1024;
#endif
}

Stacks::Stacks(size_t count) : count_(count) {
    const size_t stride = bytes() + page_bytes();
    void* memory = mmap(nullptr, count * stride, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<char*>(memory);
    for (size_t i = 0; i < count; ++i) mprotect(memory_ + i * stride, page_bytes(), PROT_NONE);
}

Stacks::~Stacks() {
    for (size_t i = 0; i < count_; ++i) forget_frames(bottom(i), bytes());
    munmap(memory_, count_ * (bytes() + page_bytes()));
}

char* Stacks::bottom(size_t index) const {
    return memory_ + index * (bytes() + page_bytes()) + page_bytes();
}

void Fiber::prepare(char* stack_bottom, const std::function<void()>& body) {
    forget_frames(stack_bottom, Stacks::bytes());
    own_ = Context{};
    own_.bottom = stack_bottom;
    own_.bytes = Stacks::bytes();
    make_context(own_, stack_bottom, Stacks::bytes(), &Fiber::enter);
    body_ = &body;
    error_ = nullptr;
    ended_ = false;
}

void Fiber::enter() {
    Fiber& self = *entered;
    after_switch(self.own_, self.caller_);
    try {
        (*self.body_)();
    } catch (...) {
        self.error_ = std::current_exception();
    }
    self.ended_ = true;
    before_switch(self.own_, self.caller_, true);
    switch_context(self.own_, self.caller_);
}

void Fiber::resume() {
    entered = this;
    before_switch(caller_, own_, false);
    switch_context(caller_, own_);
    after_switch(caller_, own_);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Fiber::pause() {
    before_switch(own_, caller_, false);
    switch_context(own_, caller_);
    after_switch(own_, caller_);
}

}  // namespace tk::host
