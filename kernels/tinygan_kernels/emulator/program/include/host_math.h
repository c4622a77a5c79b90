// Functions of <math.h> in host code: those of the C library of this machine, to which the compiler of a host would link them too.
//
// NVRTC would put CUDA's own in their places, whose last digits differ. In kernels they stay what they are, but for whole numbers.
#pragma once
template <class T> struct host_whole { static const bool value = false; };  // whether a type is one of whole numbers
#define HOST_WHOLE(T) template <> struct host_whole<T> { static const bool value = true; };
HOST_WHOLE(bool)
HOST_WHOLE(char)
HOST_WHOLE(signed char)
HOST_WHOLE(unsigned char)
HOST_WHOLE(short)
HOST_WHOLE(unsigned short)
HOST_WHOLE(int)
HOST_WHOLE(unsigned)
HOST_WHOLE(long)
HOST_WHOLE(unsigned long)
HOST_WHOLE(long long)
HOST_WHOLE(unsigned long long)
#undef HOST_WHOLE
template <class T, class U> struct host_mixed { static const bool value = host_whole<T>::value && host_whole<U>::value; };
template <class T> struct host_mixed<T, float> { static const bool value = host_whole<T>::value; };
template <class T> struct host_mixed<T, double> { static const bool value = host_whole<T>::value; };
template <class U> struct host_mixed<float, U> { static const bool value = host_whole<U>::value; };
template <class U> struct host_mixed<double, U> { static const bool value = host_whole<U>::value; };
template <> struct host_mixed<float, float> { static const bool value = false; };
template <> struct host_mixed<double, double> { static const bool value = false; };
template <> struct host_mixed<float, double> { static const bool value = true; };
template <> struct host_mixed<double, float> { static const bool value = true; };
template <bool, class T> struct host_if {};
template <class T> struct host_if<true, T> { typedef T type; };
#if HOST_CODE
extern "C" {
double host_sin(double);
float host_sinf(float);
double host_cos(double);
float host_cosf(float);
double host_tan(double);
float host_tanf(float);
double host_asin(double);
float host_asinf(float);
double host_acos(double);
float host_acosf(float);
double host_atan(double);
float host_atanf(float);
double host_sinh(double);
float host_sinhf(float);
double host_cosh(double);
float host_coshf(float);
double host_tanh(double);
float host_tanhf(float);
double host_asinh(double);
float host_asinhf(float);
double host_acosh(double);
float host_acoshf(float);
double host_atanh(double);
float host_atanhf(float);
double host_exp(double);
float host_expf(float);
double host_exp2(double);
float host_exp2f(float);
double host_expm1(double);
float host_expm1f(float);
double host_log(double);
float host_logf(float);
double host_log2(double);
float host_log2f(float);
double host_log10(double);
float host_log10f(float);
double host_log1p(double);
float host_log1pf(float);
double host_cbrt(double);
float host_cbrtf(float);
double host_round(double);
float host_roundf(float);
double host_erf(double);
float host_erff(float);
double host_erfc(double);
float host_erfcf(float);
double host_tgamma(double);
float host_tgammaf(float);
double host_lgamma(double);
float host_lgammaf(float);
double host_atan2(double, double);
float host_atan2f(float, float);
double host_pow(double, double);
float host_powf(float, float);
double host_hypot(double, double);
float host_hypotf(float, float);
double host_fmod(double, double);
float host_fmodf(float, float);
double host_remainder(double, double);
float host_remainderf(float, float);
}

inline float host_sin(float x) { return host_sinf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_sin(T x) { return host_sin((double)x); }
inline float host_cos(float x) { return host_cosf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_cos(T x) { return host_cos((double)x); }
inline float host_tan(float x) { return host_tanf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_tan(T x) { return host_tan((double)x); }
inline float host_asin(float x) { return host_asinf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_asin(T x) { return host_asin((double)x); }
inline float host_acos(float x) { return host_acosf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_acos(T x) { return host_acos((double)x); }
inline float host_atan(float x) { return host_atanf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_atan(T x) { return host_atan((double)x); }
inline float host_sinh(float x) { return host_sinhf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_sinh(T x) { return host_sinh((double)x); }
inline float host_cosh(float x) { return host_coshf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_cosh(T x) { return host_cosh((double)x); }
inline float host_tanh(float x) { return host_tanhf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_tanh(T x) { return host_tanh((double)x); }
inline float host_asinh(float x) { return host_asinhf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_asinh(T x) { return host_asinh((double)x); }
inline float host_acosh(float x) { return host_acoshf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_acosh(T x) { return host_acosh((double)x); }
inline float host_atanh(float x) { return host_atanhf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_atanh(T x) { return host_atanh((double)x); }
inline float host_exp(float x) { return host_expf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_exp(T x) { return host_exp((double)x); }
inline float host_exp2(float x) { return host_exp2f(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_exp2(T x) { return host_exp2((double)x); }
inline float host_expm1(float x) { return host_expm1f(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_expm1(T x) { return host_expm1((double)x); }
inline float host_log(float x) { return host_logf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_log(T x) { return host_log((double)x); }
inline float host_log2(float x) { return host_log2f(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_log2(T x) { return host_log2((double)x); }
inline float host_log10(float x) { return host_log10f(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_log10(T x) { return host_log10((double)x); }
inline float host_log1p(float x) { return host_log1pf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_log1p(T x) { return host_log1p((double)x); }
inline float host_cbrt(float x) { return host_cbrtf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_cbrt(T x) { return host_cbrt((double)x); }
inline float host_round(float x) { return host_roundf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_round(T x) { return host_round((double)x); }
inline float host_erf(float x) { return host_erff(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_erf(T x) { return host_erf((double)x); }
inline float host_erfc(float x) { return host_erfcf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_erfc(T x) { return host_erfc((double)x); }
inline float host_tgamma(float x) { return host_tgammaf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_tgamma(T x) { return host_tgamma((double)x); }
inline float host_lgamma(float x) { return host_lgammaf(x); }
template <class T> inline typename host_if<host_whole<T>::value, double>::type host_lgamma(T x) { return host_lgamma((double)x); }
inline float host_atan2(float x, float y) { return host_atan2f(x, y); }
template <class T, class U> inline double host_atan2(T x, U y) { return host_atan2((double)x, (double)y); }
inline float host_pow(float x, float y) { return host_powf(x, y); }
template <class T, class U> inline double host_pow(T x, U y) { return host_pow((double)x, (double)y); }
inline float host_hypot(float x, float y) { return host_hypotf(x, y); }
template <class T, class U> inline double host_hypot(T x, U y) { return host_hypot((double)x, (double)y); }
inline float host_fmod(float x, float y) { return host_fmodf(x, y); }
template <class T, class U> inline double host_fmod(T x, U y) { return host_fmod((double)x, (double)y); }
inline float host_remainder(float x, float y) { return host_remainderf(x, y); }
template <class T, class U> inline double host_remainder(T x, U y) { return host_remainder((double)x, (double)y); }
inline long host_lround(double x) { return (long)host_round(x); }
inline long host_lroundf(float x) { return (long)host_roundf(x); }
inline long long host_llround(double x) { return (long long)host_round(x); }
inline long long host_llroundf(float x) { return (long long)host_roundf(x); }
inline void host_sincos(double x, double* s, double* c) { *s = host_sin(x); *c = host_cos(x); }
inline void host_sincosf(float x, float* s, float* c) { *s = host_sinf(x); *c = host_cosf(x); }

#define sin host_sin
#define sinf host_sinf
#define cos host_cos
#define cosf host_cosf
#define tan host_tan
#define tanf host_tanf
#define asin host_asin
#define asinf host_asinf
#define acos host_acos
#define acosf host_acosf
#define atan host_atan
#define atanf host_atanf
#define sinh host_sinh
#define sinhf host_sinhf
#define cosh host_cosh
#define coshf host_coshf
#define tanh host_tanh
#define tanhf host_tanhf
#define asinh host_asinh
#define asinhf host_asinhf
#define acosh host_acosh
#define acoshf host_acoshf
#define atanh host_atanh
#define atanhf host_atanhf
#define exp host_exp
#define expf host_expf
#define exp2 host_exp2
#define exp2f host_exp2f
#define expm1 host_expm1
#define expm1f host_expm1f
#define log host_log
#define logf host_logf
#define log2 host_log2
#define log2f host_log2f
#define log10 host_log10
#define log10f host_log10f
#define log1p host_log1p
#define log1pf host_log1pf
#define cbrt host_cbrt
#define cbrtf host_cbrtf
#define round host_round
#define roundf host_roundf
#define erf host_erf
#define erff host_erff
#define erfc host_erfc
#define erfcf host_erfcf
#define tgamma host_tgamma
#define tgammaf host_tgammaf
#define lgamma host_lgamma
#define lgammaf host_lgammaf
#define atan2 host_atan2
#define atan2f host_atan2f
#define pow host_pow
#define powf host_powf
#define hypot host_hypot
#define hypotf host_hypotf
#define fmod host_fmod
#define fmodf host_fmodf
#define remainder host_remainder
#define remainderf host_remainderf
#define lround host_lround
#define lroundf host_lroundf
#define sincos host_sincos
#define sincosf host_sincosf
#define llround host_llround
#define llroundf host_llroundf
#endif

// A whole number is a double to <cmath>'s functions, and of two numbers, unless both are floats, both are taken for doubles. NVRTC
// alone does not know which of its functions is meant. (ISO C++, [cmath.syn])
#define HOST_ONE(f) \
    template <class T> inline typename host_if<host_whole<T>::value, double>::type f(T x) { return f((double)x); }
#define HOST_TWO(f) \
    template <class T, class U> inline typename host_if<host_mixed<T, U>::value, double>::type f(T x, U y) { \
        return f((double)x, (double)y); \
    }
HOST_ONE(sqrt)
HOST_ONE(ceil)
HOST_ONE(floor)
HOST_ONE(fabs)
HOST_ONE(trunc)
HOST_ONE(rint)
HOST_ONE(nearbyint)
HOST_ONE(logb)
HOST_ONE(rsqrt)
HOST_TWO(fmax)
HOST_TWO(fmin)
HOST_TWO(fdim)
HOST_TWO(copysign)
#if !HOST_CODE
HOST_ONE(sin)
HOST_ONE(cos)
HOST_ONE(tan)
HOST_ONE(asin)
HOST_ONE(acos)
HOST_ONE(atan)
HOST_ONE(sinh)
HOST_ONE(cosh)
HOST_ONE(tanh)
HOST_ONE(asinh)
HOST_ONE(acosh)
HOST_ONE(atanh)
HOST_ONE(exp)
HOST_ONE(exp2)
HOST_ONE(expm1)
HOST_ONE(log)
HOST_ONE(log2)
HOST_ONE(log10)
HOST_ONE(log1p)
HOST_ONE(cbrt)
HOST_ONE(round)
HOST_ONE(erf)
HOST_ONE(erfc)
HOST_ONE(tgamma)
HOST_ONE(lgamma)
HOST_TWO(atan2)
HOST_TWO(pow)
HOST_TWO(hypot)
HOST_TWO(fmod)
HOST_TWO(remainder)
#endif
#undef HOST_ONE
#undef HOST_TWO
