// A team of threads that lives for one call: no pool outlives it, so fork() and embedding are safe.
#pragma once

#include <cstdint>

namespace tk {

// Barrier that spins briefly, then yields; reusable.
class Barrier {
public:
    explicit Barrier(int size);
    void wait();

private:
    const int size_;
    int waiting_;
    int phase_;
};

// Lets other threads run while this one waits for them.
void yield_thread();

// Work queue over 0 ... count-1.
class Queue {
public:
    explicit Queue(int64_t count);
    // The next item, or -1 when none is left.
    int64_t next();
    // Only between barriers, by one thread.
    void reset(int64_t count);

private:
    int64_t next_, count_;
};

struct Member {
    int rank, size;
    Barrier& barrier;
};

// Runs body(context, member) on `size` threads, the caller being rank 0. `body` must not throw.
// Threads that the system refuses to start are done without: `member.size` tells how many run.
void run_team_raw(int size, void (*body)(void*, Member), void* context);

template <class Body>
static inline void run_team(int size, Body& body) {
    run_team_raw(
        size, [](void* context, Member member) { (*static_cast<Body*>(context))(member); }, &body);
}

}  // namespace tk
