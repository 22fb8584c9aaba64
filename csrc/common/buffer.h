// Scratch memory: 64-byte aligned, on huge pages where they help, never initialised.
//
// Out of line on purpose: an inline function shared by translation units that are compiled for
// different instruction sets could be linked in its AVX-512 version and run on an older machine.
#pragma once

#include <cstddef>

namespace tk {

class RawBuffer {
public:
    explicit RawBuffer(size_t bytes);  // throws std::bad_alloc
    ~RawBuffer();
    RawBuffer(const RawBuffer&) = delete;
    RawBuffer& operator=(const RawBuffer&) = delete;
    void* data() const;

private:
    void* memory_;
};

// Typed handle. A static function template per use keeps its code inside one instruction set.
template <class T>
class Buffer {
public:
    __attribute__((always_inline)) explicit Buffer(size_t count)
        : raw_(count * sizeof(T)), data_(static_cast<T*>(raw_.data())) {}
    __attribute__((always_inline)) T* data() const { return data_; }
    __attribute__((always_inline)) T& operator[](size_t i) const { return data_[i]; }

private:
    RawBuffer raw_;
    T* const data_;
};

}  // namespace tk
