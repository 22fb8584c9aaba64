// Instruction sets: every kernel file is compiled once for each, in a namespace of that name.
//
// The build defines TK_ISA (baseline, avx2 or avx512) and TK_LANES (doubles in a vector: 2, 4, 8) for
// the kernel files; the choice between them is made at run time from what the processor offers.
#pragma once

namespace tk {

enum class Isa : int { baseline = 0, avx2 = 1, avx512 = 2 };

// Name as users see it: "baseline", "avx2", "avx512".
const char* isa_name(Isa isa);

// Compiled in, and offered by this processor and operating system.
bool isa_available(Isa isa);

}  // namespace tk

// Declares `void name(const Args&)` for every instruction set, and `name(isa, args)` that picks one.
#if defined(__x86_64__)
#define TK_DECLARE_KERNEL(name, Args)                      \
    namespace baseline {                                   \
    void name(const Args&);                                \
    }                                                      \
    namespace avx2 {                                       \
    void name(const Args&);                                \
    }                                                      \
    namespace avx512 {                                     \
    void name(const Args&);                                \
    }                                                      \
    static inline void name(Isa isa, const Args& args) {   \
        if (isa == Isa::avx512) return avx512::name(args); \
        if (isa == Isa::avx2) return avx2::name(args);     \
        return baseline::name(args);                       \
    }
#else
#define TK_DECLARE_KERNEL(name, Args) \
    namespace baseline {              \
    void name(const Args&);           \
    }                                 \
    static inline void name(Isa, const Args& args) { return baseline::name(args); }
#endif
