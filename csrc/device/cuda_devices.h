// The devices that kernels can run on.
#pragma once

#include <cstddef>
#include <string>

namespace tk {

// Why kernels cannot run on the current device, in CUDA's words; empty when they can. Asks for a
// kernel's code there, so it tells a GPU that this build has no code for.
std::string device_problem();

int device_count();

// Streaming multiprocessors of the current device.
int multiprocessor_count();

// Bytes of shared memory that a block of the current device may have, static and dynamic together.
size_t shared_memory_per_block();

}  // namespace tk
