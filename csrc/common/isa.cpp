// Detection of the instruction sets; see isa.h.
#include "isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace tk {

const char* isa_name(Isa isa) {
    switch (isa) {
        case Isa::avx512: return "avx512";
        case Isa::avx2: return "avx2";
        default: return "baseline";
    }
}

#if defined(__x86_64__)
// Asked of the processor itself: Clang's __builtin_cpu_supports does not know "f16c" before Clang 15.
static bool converts_halves() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

bool isa_available(Isa isa) {
    if (isa == Isa::baseline) return true;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      converts_halves();
    if (isa == Isa::avx2) return avx2;
#ifdef TK_EMULATE_AVX512  // test builds: eight lanes, lowered to AVX2 by the compiler
    return avx2;
#else
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
#else
    return false;
#endif
}

}  // namespace tk
