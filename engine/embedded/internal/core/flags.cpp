// Tells with which instruction sets the C++ half of this binary was compiled.
// ggml's matrix products are C++, so CGO_CXXFLAGS decides how fast they are, and
// the engine's own feature log (which shows the C flags) cannot be trusted.
#include "flags.h"

extern "C" unsigned llem_cxx_features(void) {
    unsigned f = 0;
#ifdef __AVX2__
    f |= LLEM_AVX2;
#endif
#ifdef __FMA__
    f |= LLEM_FMA;
#endif
#ifdef __F16C__
    f |= LLEM_F16C;
#endif
#ifdef __AVX512F__
    f |= LLEM_AVX512F;
#endif
#ifdef __ARM_NEON
    f |= LLEM_NEON;
#endif
#ifdef __ARM_FEATURE_FP16_VECTOR_ARITHMETIC
    f |= LLEM_FP16;
#endif
#ifdef __OPTIMIZE__
    f |= LLEM_OPTIMIZED;
#endif
#ifdef __AVX512BF16__
    f |= LLEM_AVX512BF16;
#endif
#ifdef __AVX512VNNI__
    f |= LLEM_AVX512VNNI;
#endif
    return f;
}
