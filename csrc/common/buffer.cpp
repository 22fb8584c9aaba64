// Scratch memory; see buffer.h.
#include "buffer.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tk {

namespace {
constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
}  // namespace

RawBuffer::RawBuffer(size_t bytes) : memory_(nullptr) {
    const bool large = bytes >= 2 * kHugePage;
    const size_t alignment = large ? kHugePage : kAlignment;
    if (bytes > SIZE_MAX - alignment) throw std::bad_alloc();
    const size_t rounded = (bytes + alignment) / alignment * alignment;
    memory_ = std::aligned_alloc(alignment, rounded);
    if (memory_ == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (large) madvise(memory_, rounded, MADV_HUGEPAGE);
#endif
#ifdef TK_POISON
    std::memset(memory_, 0xff, rounded);  // every double and float a NaN
#endif
}

RawBuffer::~RawBuffer() { std::free(memory_); }

void* RawBuffer::data() const { return memory_; }

}  // namespace tk
