// Small kernels that tests hold the device's language to, on a GPU and on the host.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace tk {

// c (16, 8) += a (16, 8) b (8, 8), by one warp; with small, c (8, 8) += a (8, 4) b (4, 8).
void check_product(const double* a, const double* b, double* c, bool small, void* stream);

// What one warp's functions make of values (32): ten rows of 32, one for each function; see the source.
void check_warp_functions(const int64_t* values, int64_t* out, void* stream);

// All 2^16 halves and bfloat16 as doubles.
void check_halves(double* halves, double* bfloats, void* stream);

// Atomic sums of 1 from all threads of several blocks, in shared and in global memory.
void check_atomics(int64_t n_blocks, unsigned* in_blocks, unsigned long long* total, void* stream);

// The jobs of a block in a triangle_schedule.cuh: tile row and column, first and last step, slot.
using JobNumbers = std::array<int64_t, 5>;
std::vector<JobNumbers> check_schedule(int64_t side, int64_t steps, int64_t most_blocks,
                                       int64_t least_steps, int64_t block);

#if defined(TK_ON_HOST)
// Kernels that break the rules, each in its own way; out (64). Some are refused with
// std::logic_error, the others show what they did in `out`.
enum class Mistake {
    missed_barrier,   // half of the threads wait in a warp function, for the other half
    two_barriers,     // the halves of the block wait at different barriers
    missed_lanes,     // a warp function whose mask names lanes that go elsewhere
    returned_lanes,   // or that have returned
    foreign_lane,     // a shuffle from a lane outside the mask
    race,             // shared memory read while others write it
    never_written,    // shared memory read before anything was written
    too_much_memory,  // more shared memory than there is
};
void make_mistake(Mistake mistake, double* out);
#endif

}  // namespace tk
