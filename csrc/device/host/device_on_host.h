// device.cuh under a plain C++17 compiler: CUDA's keywords, indices, barriers, warp functions, atomics.
//
// A launch runs its blocks one after the other on the calling thread, the threads of a block as
// fibers, each until its next barrier or warp function. In which order they run, kernels must not
// depend on: TRANSFER_KERNELS_HOST_ORDER in the environment is "forward" (the default), "backward",
// or a number that seeds a shuffle. What CUDA leaves undefined and would hang, is refused with
// std::logic_error: a barrier that some threads of the block never reach, or reach elsewhere in the
// text; a warp function that some lanes of its mask miss; a shuffle from a lane outside the mask.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) alignas(bytes)
#define __shared__ static thread_local

#define TK_SHARED(type, name, extents)     \
    static thread_local type name extents; \
    ::tk::host::poison_in_new_block(&name, sizeof(name))
#define TK_DYNAMIC_SHARED(type, name) \
    type* const name = reinterpret_cast<type*>(::tk::host::dynamic_shared())

#define threadIdx (::tk::host::this_thread())
#define blockIdx (::tk::host::this_block().index)
#define blockDim (::tk::host::this_block().extent)
#define gridDim (::tk::host::this_block().grid)
#define warpSize 32

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace tk::host {

struct BlockIndices {
    uint3 index;
    dim3 extent, grid;
};

// A place in a kernel's text.
struct Site {
    const char* file;
    int line;
};

const uint3& this_thread();
unsigned this_lane();
const BlockIndices& this_block();
void* dynamic_shared();

// Fills static shared memory with NaN when the block's first thread comes by.
void poison_in_new_block(void* memory, size_t bytes);

// Waits until all threads of the block that have not returned are here.
void meet_block(Site site);

// Waits until all lanes of the mask are here with the same function; the last one calls it with what
// each lane brought, indexed by lane.
using WarpFunction = void (*)(void* const* brought, unsigned mask);
void meet_warp(unsigned mask, WarpFunction function, void* mine, Site site);

// Bytes of shared memory that a block may have: those of compute capability 9.0 and 10.0, or what
// TRANSFER_KERNELS_HOST_SHARED_KIB in the environment says.
size_t shared_memory_limit();

[[noreturn]] void refuse(const char* what, Site site);

void run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body);

template <class T>
struct Shuffle {
    T value;
    unsigned source;
    Site site;
    T result;

    static void exchange(void* const* brought, unsigned mask) {
        for (unsigned lane = 0; lane < 32; ++lane) {
            if (!(mask >> lane & 1)) continue;
            Shuffle& self = *static_cast<Shuffle*>(brought[lane]);
            if (!(mask >> self.source & 1))
                refuse("a shuffle from a lane that is not there", self.site);
            self.result = static_cast<Shuffle*>(brought[self.source])->value;
        }
    }
};

template <class T>
T shuffle(unsigned mask, T value, unsigned source, Site site) {
    static_assert(std::is_arithmetic_v<T> && sizeof(T) >= 4 && sizeof(T) <= 8,
                  "CUDA shuffles 32 and 64 bits");
    Shuffle<T> mine{value, source, site, T{}};
    meet_warp(mask, &Shuffle<T>::exchange, &mine, site);
    return mine.result;
}

unsigned ballot(unsigned mask, bool predicate, Site site);
unsigned match_any(unsigned mask, uint64_t value, Site site);
float half_bits_to_float(uint16_t bits);
void mma_m16n8k8_f64(double (&c)[4], const double (&a)[4], const double (&b)[2], Site site);

template <class To, class From>
To as_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

// The old value, and the new one in its place. Blocks and threads take turns, so that nothing comes
// between.
template <class T, class Change>
T exchange_with(T* address, Change change) {
    const T old = *address;
    *address = change(old);
    return old;
}

}  // namespace tk::host

// Where the function that takes it as its default argument is called.
#define TK_SITE ::tk::host::Site site = {__builtin_FILE(), __builtin_LINE()}

// Barriers.
inline void __syncthreads(TK_SITE) { tk::host::meet_block(site); }
inline void __syncwarp(unsigned mask = 0xffffffffu, TK_SITE) {
    tk::host::meet_warp(mask, [](void* const*, unsigned) {}, nullptr, site);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// Warp functions.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, TK_SITE) {
    const unsigned segment = tk::host::this_lane() & ~static_cast<unsigned>(width - 1);
    const unsigned within = static_cast<unsigned>(source) & static_cast<unsigned>(width - 1);
    return tk::host::shuffle(mask, value, segment + within, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, TK_SITE) {
    const unsigned lane = tk::host::this_lane();
    const unsigned last = lane | static_cast<unsigned>(width - 1);
    const unsigned source = lane ^ static_cast<unsigned>(lane_mask);
    return tk::host::shuffle(mask, value, source <= last ? source : lane, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, TK_SITE) {
    const unsigned lane = tk::host::this_lane();
    const unsigned last = lane | static_cast<unsigned>(width - 1);
    return tk::host::shuffle(mask, value, lane + delta <= last ? lane + delta : lane, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, TK_SITE) {
    const unsigned lane = tk::host::this_lane();
    const unsigned within = lane & static_cast<unsigned>(width - 1);
    return tk::host::shuffle(mask, value, delta <= within ? lane - delta : lane, site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, TK_SITE) {
    return tk::host::ballot(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, TK_SITE) {
    return tk::host::ballot(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, TK_SITE) {
    return tk::host::ballot(mask, predicate == 0, site) == 0;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, TK_SITE) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    return tk::host::match_any(mask, tk::host::as_bits<Bits>(value), site);
}

// Integers and bits.
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __popcll(unsigned long long value) { return __builtin_popcountll(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __ffsll(long long value) { return __builtin_ffsll(value); }
inline int __clz(int value) { return value ? __builtin_clz(static_cast<unsigned>(value)) : 32; }
inline int __clzll(long long value) {
    return value ? __builtin_clzll(static_cast<unsigned long long>(value)) : 64;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    __extension__ typedef unsigned __int128 Wide;
    return static_cast<unsigned long long>(static_cast<Wide>(a) * b >> 64);
}
inline unsigned __float_as_uint(float value) { return tk::host::as_bits<unsigned>(value); }
inline int __float_as_int(float value) { return tk::host::as_bits<int>(value); }
inline float __uint_as_float(unsigned bits) { return tk::host::as_bits<float>(bits); }
inline float __int_as_float(int bits) { return tk::host::as_bits<float>(bits); }
inline long long __double_as_longlong(double value) { return tk::host::as_bits<long long>(value); }
inline double __longlong_as_double(long long bits) { return tk::host::as_bits<double>(bits); }

// Arithmetic. CUDA's min and max take both arguments of one type and order them so that of a NaN and
// a number the number remains.
using std::fma;
using std::sqrt;
template <class T>
T min(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return std::fmin(a, b);
    return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);
    return a < b ? b : a;
}
template <class T>
T rsqrt(T value) {
    return T(1) / std::sqrt(value);
}
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
template <class T>
T __ldg(const T* address) {
    return *address;
}

// Atomics: on integers only, so that results do not depend on an order.
template <class T>
T atomicAdd(T* address, std::common_type_t<T> value) {
    static_assert(std::is_integral_v<T>, "sums of floats would depend on the order");
    using Bits = std::make_unsigned_t<T>;
    return tk::host::exchange_with(
        address, [=](T old) { return T(static_cast<Bits>(old) + static_cast<Bits>(value)); });
}
template <class T>
T atomicMax(T* address, std::common_type_t<T> value) {
    return tk::host::exchange_with(address, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicMin(T* address, std::common_type_t<T> value) {
    return tk::host::exchange_with(address, [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicOr(T* address, std::common_type_t<T> value) {
    return tk::host::exchange_with(address, [=](T old) { return T(old | value); });
}
template <class T>
T atomicExch(T* address, std::common_type_t<T> value) {
    return tk::host::exchange_with(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* address, std::common_type_t<T> expected, std::common_type_t<T> value) {
    return tk::host::exchange_with(address, [=](T old) { return old == expected ? value : old; });
}

namespace tk {

inline float half_bits_to_float(uint16_t bits) { return host::half_bits_to_float(bits); }

inline void mma_m8n8k4_f64(double& c0, double& c1, double a, double b, TK_SITE) {
    double c[4] = {c0, c1, 0.0, 0.0};
    host::mma_m16n8k8_f64(c, {a, 0.0, 0.0, 0.0}, {b, 0.0}, site);
    c0 = c[0];
    c1 = c[1];
}

inline void mma_m16n8k8_f64(double (&c)[4], const double (&a)[4], const double (&b)[2], TK_SITE) {
    host::mma_m16n8k8_f64(c, a, b, site);
}

// Runs the kernel to its end.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, void*,
            Arguments&&... arguments) {
    const std::tuple<Parameters...> values(std::forward<Arguments>(arguments)...);
    host::run_grid(grid, block, shared_bytes, [&] { std::apply(kernel, values); });
}

}  // namespace tk

#undef TK_SITE
