#pragma once

// Bits of llem_cxx_features.
enum {
    LLEM_AVX2 = 1,
    LLEM_FMA = 2,
    LLEM_F16C = 4,
    LLEM_AVX512F = 8,
    LLEM_NEON = 16,
    LLEM_FP16 = 32,
    LLEM_OPTIMIZED = 64,
    LLEM_AVX512BF16 = 128,
    LLEM_AVX512VNNI = 256,
};

#ifdef __cplusplus
extern "C"
#endif
    unsigned llem_cxx_features(void);
