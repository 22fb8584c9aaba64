// Threads for one call; see parallel.h.
#include "parallel.h"

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tk {

Barrier::Barrier(int size) : size_(size), waiting_(0), phase_(0) {}

void Barrier::wait() {
    const int phase = __atomic_load_n(&phase_, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&waiting_, 1, __ATOMIC_ACQ_REL) == size_) {
        __atomic_store_n(&waiting_, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&phase_, phase + 1, __ATOMIC_RELEASE);
        return;
    }
    constexpr int kSpins = 4000;  // some 10 us, about what a kernel block lasts
    for (int spin = 0; __atomic_load_n(&phase_, __ATOMIC_ACQUIRE) == phase; ++spin) {
        if (spin >= kSpins) {
            std::this_thread::yield();
        } else {
#if defined(__x86_64__)
            _mm_pause();
#endif
        }
    }
}

void yield_thread() { std::this_thread::yield(); }

Queue::Queue(int64_t count) : next_(0), count_(count) {}

int64_t Queue::next() {
    const int64_t item = __atomic_fetch_add(&next_, 1, __ATOMIC_RELAXED);
    return item < count_ ? item : -1;
}

void Queue::reset(int64_t count) {
    count_ = count;
    __atomic_store_n(&next_, 0, __ATOMIC_RELAXED);
}

void run_team_raw(int size, void (*body)(void*, Member), void* context) {
    // The team's size must be known before anyone works, so helpers wait for the go.
    std::mutex mutex;
    std::condition_variable ready;
    Barrier* barrier = nullptr;
    int team_size = 0;
    auto helper = [&](int rank) {
        {
            std::unique_lock<std::mutex> lock(mutex);
            ready.wait(lock, [&] { return barrier != nullptr; });
        }
        body(context, Member{rank, team_size, *barrier});
    };
    std::vector<std::thread> helpers;
    try {
        for (int rank = 1; rank < size; ++rank) helpers.emplace_back(helper, rank);
    } catch (const std::system_error&) {
        // Fewer threads, same result.
    }
    team_size = static_cast<int>(helpers.size()) + 1;
    Barrier shared(team_size);
    {
        std::lock_guard<std::mutex> lock(mutex);
        barrier = &shared;
    }
    ready.notify_all();
    body(context, Member{0, team_size, shared});
    for (auto& thread : helpers) thread.join();
}

}  // namespace tk
