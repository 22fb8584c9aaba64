#include "mapped_pages.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <stdexcept>

namespace tk {

namespace {

// The handler walks the list without a lock, so nodes are never freed; free ones are used again.
struct Watch {
    std::atomic<uintptr_t> begin{0};
    std::atomic<uintptr_t> end{0};  // 0: free
    std::atomic<bool> replaced{false};
    int64_t id = 0;
    Watch* next = nullptr;
};

std::atomic<Watch*> first_watch{nullptr};
std::mutex changes;
int n_watched = 0;
struct sigaction handler_before;
const uintptr_t page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));

bool put_zeros(uintptr_t address) {
    for (Watch* watch = first_watch.load(); watch != nullptr; watch = watch->next) {
        const uintptr_t begin = watch->begin.load(), end = watch->end.load();
        if (address < begin || address >= end) continue;
        const uintptr_t page = address & ~(page_size - 1);
        const uintptr_t past = (end + page_size - 1) & ~(page_size - 1);
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        void* zeros = mmap(reinterpret_cast<void*>(page), past - page, PROT_READ, flags, -1, 0);
        if (zeros == MAP_FAILED) return false;
        watch->replaced.store(true);
        return true;
    }
    return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
    const int error = errno;
    const bool done = info->si_code == BUS_ADRERR &&
                      put_zeros(reinterpret_cast<uintptr_t>(info->si_addr));
    errno = error;
    if (done) return;
    if (handler_before.sa_flags & SA_SIGINFO) {
        handler_before.sa_sigaction(signal, info, context);
    } else if (handler_before.sa_handler != SIG_DFL && handler_before.sa_handler != SIG_IGN) {
        handler_before.sa_handler(signal);
    } else {
        sigaction(SIGBUS, &handler_before, nullptr);  // the access is made again, and ends it
    }
}

void install_handler() {
    struct sigaction ours{};
    ours.sa_sigaction = on_bus_error;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGBUS, &ours, &handler_before) != 0)
        throw std::runtime_error("no handler for SIGBUS can be set");
}

void remove_handler() {
    struct sigaction now{};
    sigaction(SIGBUS, nullptr, &now);
    // Another that was set meanwhile stays, and may call ours, which then finds nothing to do.
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus_error)
        sigaction(SIGBUS, &handler_before, nullptr);
}

Watch* find(int64_t id) {
    for (Watch* watch = first_watch.load(); watch != nullptr; watch = watch->next)
        if (watch->id == id && watch->end.load() != 0) return watch;
    throw std::invalid_argument("nothing is watched under this number");
}

}  // namespace

int64_t watch_pages(uintptr_t begin, size_t n_bytes) {
    static int64_t last_id = 0;
    const std::lock_guard<std::mutex> lock(changes);
    Watch* watch = first_watch.load();
    while (watch != nullptr && watch->end.load() != 0) watch = watch->next;
    if (n_watched == 0) install_handler();
    if (watch == nullptr) {
        watch = new Watch;
        watch->next = first_watch.load();
        first_watch.store(watch);
    }
    ++n_watched;
    watch->id = ++last_id;
    watch->replaced.store(false);
    watch->begin.store(begin);
    watch->end.store(begin + (n_bytes > 0 ? n_bytes : 1));
    return watch->id;
}

bool pages_replaced(int64_t id) {
    const std::lock_guard<std::mutex> lock(changes);
    return find(id)->replaced.load();
}

void unwatch_pages(int64_t id) {
    const std::lock_guard<std::mutex> lock(changes);
    find(id)->end.store(0);
    if (--n_watched == 0) remove_handler();
}

}  // namespace tk
