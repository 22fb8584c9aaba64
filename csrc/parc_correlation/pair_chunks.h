// Distribution of pairs to parts by chunks: a part's open chunk takes one entry after the other, and what
// is to be done with a full chunk waits until the register tile at work is through.
#pragma once

#include "pair_products.h"

namespace tk {
namespace TK_ISA {

// A chunk ends at a multiple of its size, and begins so far after the one before that the entries of
// one tile may still follow that one's end. Beginnings are staggered by cache lines: chunks fill about
// equally fast, and would else write to the same few cache sets.
template <class Entry, int64_t kChunkBytes>
struct Chunks {
    static constexpr int64_t kEntries = kChunkBytes / static_cast<int64_t>(sizeof(Entry));
    static constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(Entry));
    static constexpr int64_t kStaggered = kEntries / kLine / 8;
    static constexpr int64_t kMostLost = kTileWords + kStaggered * kLine;  // of a chunk's entries
    static_assert(kMostLost < kEntries / 2, "chunks are too small");

    // Entries of memory that `count` chunks need, alignment included.
    static constexpr int64_t memory(int64_t count) { return (count + 2) * kEntries; }
    // First multiple of the chunk size in such memory.
    static Entry* align(Entry* memory) {
        const uintptr_t address = reinterpret_cast<uintptr_t>(memory) + kChunkBytes - 1;
        return reinterpret_cast<Entry*>(address & ~static_cast<uintptr_t>(kChunkBytes - 1));
    }
    static Entry* begin(Entry* aligned, int64_t chunk, int64_t part) {
        return aligned + chunk * kEntries + kTileWords + part % kStaggered * kLine;
    }
};

// One thread's write positions.
template <class Entry, int64_t kChunkBytes>
class ChunkWriter {
public:
    explicit ChunkWriter(Entry** cursors) : cursors_(cursors), n_full_(0) {}

    Entry*& cursor(int64_t part) { return cursors_[part]; }

    __attribute__((always_inline)) void push(uint32_t part, Entry entry) {
        Entry* at = cursors_[part];
        *at++ = entry;
        cursors_[part] = at;
        full_[n_full_] = part;
        n_full_ += (reinterpret_cast<uintptr_t>(at) & (kChunkBytes - 1)) == 0;
    }

    // Calls flush(part) for every part whose chunk has become full.
    template <class Flush>
    __attribute__((always_inline)) void settle(Flush flush) {
        if (__builtin_expect(n_full_ == 0, 1)) return;
        for (int64_t f = 0; f < n_full_; ++f) flush(full_[f]);
        n_full_ = 0;
    }

private:
    Entry** cursors_;
    int64_t n_full_;
    uint32_t full_[kTileWords + 1];
};

}  // namespace TK_ISA
}  // namespace tk
