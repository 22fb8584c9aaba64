// Threads for one call; see parallel.h.
#include "parallel.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tk {

namespace {

constexpr int64_t kPollInterval = 50'000'000, kLongestInterval = 200'000'000;  // ns
constexpr int64_t kWorkPerAnswer = 40;  // times as long as the last answer took

int64_t now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

thread_local StoppableCall* made_here = nullptr;  // the call that this thread has made
thread_local StoppableCall* works_for = nullptr;  // the same, or the one it helps with

}  // namespace

StoppableCall::StoppableCall(bool (*ask)(void*), void* context)
    : ask_(ask), context_(context), outer_(made_here), next_poll_(now() + kPollInterval) {
    made_here = works_for = this;
}

StoppableCall::~StoppableCall() { made_here = works_for = outer_; }

void StoppableCall::poll() {
    const int64_t begin = now();
    if (begin < next_poll_ || stopped()) return;
    if (ask_(context_)) __atomic_store_n(&stopped_, 1, __ATOMIC_RELEASE);
    const int64_t end = now(), pause = kWorkPerAnswer * (end - begin);
    next_poll_ = end + (pause < kPollInterval      ? kPollInterval
                        : pause > kLongestInterval ? kLongestInterval
                                                   : pause);
}

bool stopped() {
    if (made_here != nullptr) made_here->poll();
    return works_for != nullptr && works_for->stopped();
}

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
            if (made_here != nullptr) made_here->poll();
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
    if (stopped()) return -1;
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
    std::condition_variable ready, left;
    Barrier* barrier = nullptr;
    int team_size = 0, at_work = 0;
    StoppableCall* const call = works_for;
    auto helper = [&](int rank) {
        works_for = call;
        {
            std::unique_lock<std::mutex> lock(mutex);
            ready.wait(lock, [&] { return barrier != nullptr; });
        }
        body(context, Member{rank, team_size, *barrier});
        std::lock_guard<std::mutex> lock(mutex);
        if (--at_work == 0) left.notify_one();
    };
    std::vector<std::thread> helpers;
    helpers.reserve(size);
    try {
        for (int rank = 1; rank < size; ++rank) helpers.emplace_back(helper, rank);
    } catch (const std::system_error&) {
        // Fewer threads, same result.
    }
    at_work = static_cast<int>(helpers.size());
    team_size = at_work + 1;
    Barrier shared(team_size);
    {
        std::lock_guard<std::mutex> lock(mutex);
        barrier = &shared;
    }
    ready.notify_all();
    body(context, Member{0, team_size, shared});
    {
        std::unique_lock<std::mutex> lock(mutex);
        while (at_work > 0) {
            left.wait_for(lock, std::chrono::nanoseconds(kPollInterval));
            if (made_here == nullptr) continue;
            lock.unlock();
            made_here->poll();
            lock.lock();
        }
    }
    for (auto& thread : helpers) thread.join();
    throw_if_stopped();
}

void throw_if_stopped() {
    if (stopped()) throw Stopped{};
}

}  // namespace tk
