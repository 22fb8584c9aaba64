// The devices that kernels can run on.
#pragma once

#include <string>

namespace tk {

// Why there is none, in CUDA's words; empty when there is one.
std::string device_problem();

int device_count();

// Streaming multiprocessors of the current device.
int multiprocessor_count();

}  // namespace tk
