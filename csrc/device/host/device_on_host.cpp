// The host execution layer: runs grids of blocks of fibers and lets them meet.
#include "device_on_host.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "fibers.h"

namespace tk::host {

namespace {

constexpr unsigned kLanes = 32;
// CUDA's limits.
constexpr unsigned kMaxThreads = 1024;
constexpr unsigned kMaxGridYZ = 65535;
constexpr std::align_val_t kSharedAlignment{128};
// Eight bytes that are NaN as one double and as two floats, and large as integers.
constexpr uint64_t kPoison = 0x7ffca5a57ffca5a5u;

const char kOrderVariable[] = "TRANSFER_KERNELS_HOST_ORDER";
const char kSharedVariable[] = "TRANSFER_KERNELS_HOST_SHARED_KIB";

bool same_place(const Site& a, const Site& b) {
    return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

void poison(void* memory, size_t bytes) {
    char* target = static_cast<char*>(memory);
    for (size_t i = 0; i < bytes; i += sizeof kPoison)
        std::memcpy(target + i, &kPoison, std::min(sizeof kPoison, bytes - i));
}

// In which order blocks run, and fibers that could run at once.
class Order {
public:
    Order() {
        const char* text = std::getenv(kOrderVariable);
        const std::string name = text ? text : "";
        if (name.empty() || name == "forward") return;
        kind_ = name == "backward" ? Kind::backward : Kind::shuffled;
        if (kind_ == Kind::backward) return;
        if (name.find_first_not_of("0123456789") != std::string::npos || name.size() > 9)
            throw std::invalid_argument(std::string(kOrderVariable) + "=" + name +
                                        " is neither forward, backward nor a seed");
        random_.seed(static_cast<unsigned>(std::stoul(name)));
    }

    void arrange(std::vector<uint64_t>& blocks) {
        if (kind_ == Kind::backward) std::reverse(blocks.begin(), blocks.end());
        if (kind_ == Kind::shuffled) std::shuffle(blocks.begin(), blocks.end(), random_);
    }

    // Which of `count` to take next.
    size_t next(size_t count) {
        if (kind_ == Kind::forward) return 0;
        if (kind_ == Kind::backward) return count - 1;
        return random_() % count;
    }

private:
    enum class Kind { forward, backward, shuffled };
    Kind kind_ = Kind::forward;
    std::mt19937 random_;
};

enum class State { ready, at_barrier, in_warp_function, ended };

struct Thread {
    uint3 index;
    unsigned number;  // in the block
    Fiber fiber;
    State state;
    Site site;
    // While in a warp function:
    unsigned mask;
    WarpFunction function;
    void* mine;
};

class Block;
thread_local Block* running_block = nullptr;
thread_local Thread* running_thread = nullptr;

// One block at a time, used again for each block of the grid.
class Block {
public:
    Block(dim3 grid, dim3 extent, size_t shared_bytes, const std::function<void()>& body)
        : threads_(extent.x * extent.y * extent.z), stacks_(threads_.size()),
          shared_bytes_(shared_bytes),
          shared_(static_cast<char*>(::operator new(shared_bytes, kSharedAlignment))), body_(body) {
        indices.extent = extent;
        indices.grid = grid;
        unsigned number = 0;
        for (unsigned z = 0; z < extent.z; ++z)
            for (unsigned y = 0; y < extent.y; ++y)
                for (unsigned x = 0; x < extent.x; ++x) {
                    threads_[number].index = {x, y, z};
                    threads_[number].number = number;
                    ++number;
                }
    }

    void run(uint3 index, Order& order) {
        indices.index = index;
        poison(shared_.get(), shared_bytes_);
        poisoned_.clear();
        ready_.clear();
        alive_ = threads_.size();
        waiting_ = 0;
        in_warp_functions_.assign((threads_.size() + kLanes - 1) / kLanes, 0);
        for (Thread& thread : threads_) {
            thread.fiber.prepare(stacks_.bottom(thread.number), body_);
            make_ready(thread);
        }
        while (!ready_.empty()) {
            Thread& thread = take(order);
            running_thread = &thread;
            thread.fiber.resume();
            if (!thread.fiber.ended()) continue;
            thread.state = State::ended;
            --alive_;
            open_barrier_if_complete();
        }
        if (alive_ > 0) refuse_deadlock();
    }

    void meet(Site site) {
        Thread& self = *running_thread;
        self.state = State::at_barrier;
        self.site = site;
        ++waiting_;
        open_barrier_if_complete();
        self.fiber.pause();
    }

    void meet_warp(unsigned mask, WarpFunction function, void* mine, Site site) {
        Thread& self = *running_thread;
        if (!(mask >> self.number % kLanes & 1))
            refuse("a warp function called by a lane that its mask leaves out", site);
        self.state = State::in_warp_function;
        self.site = site;
        self.mask = mask;
        self.function = function;
        self.mine = mine;
        ++in_warp_functions_[self.number / kLanes];
        finish_warp_function_if_complete(self);
        self.fiber.pause();
    }

    void poison_once(void* memory, size_t bytes) {
        if (std::find(poisoned_.begin(), poisoned_.end(), memory) != poisoned_.end()) return;
        poisoned_.push_back(memory);
        poison(memory, bytes);
    }

    void* shared() const { return shared_.get(); }

    BlockIndices indices;

private:
    struct Free {
        void operator()(char* memory) const { ::operator delete(memory, kSharedAlignment); }
    };

    void make_ready(Thread& thread) {
        thread.state = State::ready;
        ready_.push_back(&thread);
    }

    Thread& take(Order& order) {
        const auto chosen = ready_.begin() + static_cast<std::ptrdiff_t>(order.next(ready_.size()));
        Thread& thread = **chosen;
        ready_.erase(chosen);
        return thread;
    }

    void open_barrier_if_complete() {
        if (waiting_ == 0 || waiting_ < alive_) return;
        const Site* first = nullptr;
        for (const Thread& thread : threads_) {
            if (thread.state != State::at_barrier) continue;
            if (!first) first = &thread.site;
            if (!same_place(thread.site, *first)) refuse_deadlock();
        }
        for (Thread& thread : threads_)
            if (thread.state == State::at_barrier) make_ready(thread);
        waiting_ = 0;
    }

    void finish_warp_function_if_complete(const Thread& last) {
        int& arrived = in_warp_functions_[last.number / kLanes];
        const int awaited = __builtin_popcount(last.mask);
        if (arrived < awaited) return;
        Thread* const lanes = threads_.data() + last.number / kLanes * kLanes;
        const size_t present = std::min<size_t>(kLanes,
                                                threads_.size() - (lanes - threads_.data()));
        void* brought[kLanes] = {};
        for (unsigned lane = 0; lane < kLanes; ++lane) {
            if (!(last.mask >> lane & 1)) continue;
            if (lane >= present) return;
            const Thread& other = lanes[lane];
            if (other.state != State::in_warp_function || other.mask != last.mask) return;
            if (other.function != last.function || !same_place(other.site, last.site)) return;
            brought[lane] = other.mine;
        }
        last.function(brought, last.mask);
        arrived -= awaited;
        for (unsigned lane = 0; lane < present; ++lane)
            if (last.mask >> lane & 1) make_ready(lanes[lane]);
    }

    [[noreturn]] void refuse_deadlock() const {
        std::string what = "deadlock in block (" + std::to_string(indices.index.x) + ", " +
                           std::to_string(indices.index.y) + ", " +
                           std::to_string(indices.index.z) + "): ";
        std::vector<std::pair<std::string, size_t>> places;
        for (const Thread& thread : threads_) {
            std::string place = "have returned";
            if (thread.state != State::ended)
                place = std::string(thread.state == State::at_barrier
                                        ? "wait at the barrier "
                                        : "wait in the warp function ") +
                        thread.site.file + ":" + std::to_string(thread.site.line);
            const auto known = std::find_if(places.begin(), places.end(), [&](const auto& entry) {
                return entry.first == place;
            });
            if (known == places.end())
                places.emplace_back(place, 1);
            else
                ++known->second;
        }
        for (const auto& [place, count] : places)
            what += std::to_string(count) + " threads " + place + "; ";
        throw std::logic_error(what.substr(0, what.size() - 2));
    }

    std::vector<Thread> threads_;
    Stacks stacks_;
    size_t shared_bytes_;
    std::unique_ptr<char, Free> shared_;
    const std::function<void()>& body_;
    std::deque<Thread*> ready_;
    std::vector<void*> poisoned_;
    size_t alive_ = 0;
    size_t waiting_ = 0;                  // at the barrier
    std::vector<int> in_warp_functions_;  // by warp
};

// Makes the block the running one, and nothing running again, whatever happens.
struct Running {
    explicit Running(Block& block) { running_block = &block; }
    ~Running() {
        running_block = nullptr;
        running_thread = nullptr;
    }
};

// What a lane brings to C += A B, and takes from it, with C of 16 x 8, A of 16 x 8, B of 8 x 8.
struct Mma {
    double c[4], a[4], b[2];

    // One rounding for each product, in the order of A's columns.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    __attribute__((target_clones("fma", "default")))
#endif
    static void multiply(void* const* brought, unsigned) {
        double a[16][8], b[8][8];
        for (unsigned lane = 0; lane < kLanes; ++lane) {
            const Mma& self = *static_cast<const Mma*>(brought[lane]);
            for (unsigned i = 0; i < 4; ++i)
                a[lane / 4 + i % 2 * 8][lane % 4 + i / 2 * 4] = self.a[i];
            for (unsigned i = 0; i < 2; ++i) b[lane % 4 + i * 4][lane / 4] = self.b[i];
        }
        for (unsigned lane = 0; lane < kLanes; ++lane) {
            Mma& self = *static_cast<Mma*>(brought[lane]);
            for (unsigned k = 0; k < 8; ++k)
                for (unsigned i = 0; i < 4; ++i)
                    self.c[i] = __builtin_fma(a[lane / 4 + i / 2 * 8][k],
                                              b[k][lane % 4 * 2 + i % 2], self.c[i]);
        }
    }
};

struct Vote {
    bool predicate;
    unsigned result;

    static void count(void* const* brought, unsigned mask) {
        unsigned votes = 0;
        for (unsigned lane = 0; lane < kLanes; ++lane)
            if (mask >> lane & 1 && static_cast<const Vote*>(brought[lane])->predicate)
                votes |= 1u << lane;
        for (unsigned lane = 0; lane < kLanes; ++lane)
            if (mask >> lane & 1) static_cast<Vote*>(brought[lane])->result = votes;
    }
};

struct Match {
    uint64_t value;
    unsigned result;

    static void compare(void* const* brought, unsigned mask) {
        for (unsigned lane = 0; lane < kLanes; ++lane) {
            if (!(mask >> lane & 1)) continue;
            Match& self = *static_cast<Match*>(brought[lane]);
            self.result = 0;
            for (unsigned other = 0; other < kLanes; ++other)
                if (mask >> other & 1 && static_cast<Match*>(brought[other])->value == self.value)
                    self.result |= 1u << other;
        }
    }
};

}  // namespace

const uint3& this_thread() { return running_thread->index; }
unsigned this_lane() { return running_thread->number % kLanes; }
const BlockIndices& this_block() { return running_block->indices; }
void* dynamic_shared() { return running_block->shared(); }
void poison_in_new_block(void* memory, size_t bytes) { running_block->poison_once(memory, bytes); }
void meet_block(Site site) { running_block->meet(site); }
void meet_warp(unsigned mask, WarpFunction function, void* mine, Site site) {
    running_block->meet_warp(mask, function, mine, site);
}

void refuse(const char* what, Site site) {
    throw std::logic_error(std::string(what) + ", at " + site.file + ":" +
                           std::to_string(site.line));
}

unsigned ballot(unsigned mask, bool predicate, Site site) {
    Vote mine{predicate, 0};
    meet_warp(mask, &Vote::count, &mine, site);
    return mine.result;
}

unsigned match_any(unsigned mask, uint64_t value, Site site) {
    Match mine{value, 0};
    meet_warp(mask, &Match::compare, &mine, site);
    return mine.result;
}

void mma_m16n8k8_f64(double (&c)[4], const double (&a)[4], const double (&b)[2], Site site) {
    Mma mine;
    std::copy(c, c + 4, mine.c);
    std::copy(a, a + 4, mine.a);
    std::copy(b, b + 2, mine.b);
    meet_warp(0xffffffffu, &Mma::multiply, &mine, site);
    std::copy(mine.c, mine.c + 4, c);
}

// A half's exponent and mantissa, moved into a float, are off by the difference of the biases; the
// product puts that right, for subnormal halves too.
float half_bits_to_float(uint16_t bits) {
    const uint32_t magnitude = bits & 0x7fffu;
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    if (magnitude >= 0x7c00u)
        return as_bits<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    return as_bits<float>(sign | as_bits<uint32_t>(as_bits<float>(magnitude << 13) * 0x1p112f));
}

size_t shared_memory_limit() {
    const char* text = std::getenv(kSharedVariable);
    return 1024 * (text ? std::stoul(text) : 227);
}

void run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body) {
    const uint64_t n_threads = uint64_t{block.x} * block.y * block.z;
    if (n_threads == 0 || n_threads > kMaxThreads || block.z > 64)
        throw std::invalid_argument("a block has 1 to 1024 threads");
    if (grid.x == 0 || grid.x > 0x7fffffffu || grid.y == 0 || grid.y > kMaxGridYZ || grid.z == 0 ||
        grid.z > kMaxGridYZ)
        throw std::invalid_argument("a grid has 1 to 2^31 - 1 blocks in x, 1 to 65535 in y and z");
    if (shared_bytes > shared_memory_limit())
        throw std::invalid_argument("more shared memory than a block can have");
    if (running_block) throw std::logic_error("a kernel cannot launch another one");
    Order order;
    Block workplace(grid, block, shared_bytes, body);
    const Running running(workplace);
    std::vector<uint64_t> blocks(uint64_t{grid.x} * grid.y * grid.z);
    std::iota(blocks.begin(), blocks.end(), uint64_t{0});
    order.arrange(blocks);
    for (const uint64_t number : blocks)
        workplace.run({static_cast<unsigned>(number % grid.x),
                       static_cast<unsigned>(number / grid.x % grid.y),
                       static_cast<unsigned>(number / grid.x / grid.y)},
                      order);
}

}  // namespace tk::host
