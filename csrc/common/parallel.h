// A team of threads that lives for one call: no pool outlives it, so fork() and embedding are safe.
#pragma once

#include <cstdint>

namespace tk {

// What a call from outside runs under, so that it can be stopped half-way. The thread that made it
// asks now and then, while it takes items, waits and joins; once the answer is yes, all queues of its
// teams are empty, and run_team throws Stopped when they are done. Calls of other threads go on.
class StoppableCall {
public:
    // `ask(context)` is called on this thread only, some 20 times a second, less often where the
    // answer takes long. It must not throw.
    StoppableCall(bool (*ask)(void*), void* context);
    ~StoppableCall();
    StoppableCall(const StoppableCall&) = delete;
    StoppableCall& operator=(const StoppableCall&) = delete;

    bool stopped() const { return __atomic_load_n(&stopped_, __ATOMIC_ACQUIRE) != 0; }
    void poll();  // by the thread that made it

private:
    bool (*const ask_)(void*);
    void* const context_;
    StoppableCall* const outer_;  // during which this one was made, by what it asked
    int64_t next_poll_;           // ns
    int stopped_ = 0;
};

// The call was stopped; what it has computed so far is of no use.
struct Stopped {};

// Whether the call that this thread works for is stopped: for loops that run long between items.
// Threads learn of it at different times, so what they do at barriers must not depend on it.
bool stopped();

// Throws Stopped if it is: for the code between teams, on the thread that made the call.
void throw_if_stopped();

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
    // The next item, or -1 when none is left or the call is stopped.
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
// Throws Stopped after the call was stopped.
void run_team_raw(int size, void (*body)(void*, Member), void* context);

template <class Body>
static inline void run_team(int size, Body& body) {
    run_team_raw(
        size, [](void* context, Member member) { (*static_cast<Body*>(context))(member); }, &body);
}

}  // namespace tk
