"""What machine code of host code calls and does not reach through the process: the C library's functions of mathematics, and
functions in LLVM IR that convert numbers of half precision."""

HALF_CONVERSIONS = """
define internal float @float_of_half(i16 %h) alwaysinline {
  %w = zext i16 %h to i32
  %m = and i32 %w, 32767
  %s = and i32 %w, 32768
  %b = shl i32 %m, 13
  %f = bitcast i32 %b to float
  %n = fmul float %f, 0x46F0000000000000
  %i = bitcast float %n to i32
  %big = icmp uge i32 %m, 31744
  %e = or i32 %b, 2139095040
  %r = select i1 %big, i32 %e, i32 %i
  %t = shl i32 %s, 16
  %x = or i32 %r, %t
  %y = bitcast i32 %x to float
  ret float %y
}
define internal i16 @half_of_float(float %f) alwaysinline {
  %w = bitcast float %f to i32
  %s = lshr i32 %w, 16
  %sign = and i32 %s, 32768
  %m = and i32 %w, 2147483647
  %nan = icmp ugt i32 %m, 2139095040
  %inf = icmp uge i32 %m, 1199570944
  %small = icmp ult i32 %m, 947912704
  %mf = bitcast i32 %m to float
  %d = fadd float %mf, 5.000000e-01
  %db = bitcast float %d to i32
  %sub = sub i32 %db, 1056964608
  %odd0 = lshr i32 %m, 13
  %odd = and i32 %odd0, 1
  %n0 = add i32 %m, 3355447295
  %n1 = add i32 %n0, %odd
  %n2 = lshr i32 %n1, 13
  %a = select i1 %small, i32 %sub, i32 %n2
  %b = select i1 %inf, i32 31744, i32 %a
  %c = select i1 %nan, i32 32767, i32 %b
  %q = or i32 %c, %sign
  %k = select i1 %nan, i32 32767, i32 %q
  %r = trunc i32 %k to i16
  ret i16 %r
}
define internal float @float_of_bfloat(i16 %h) alwaysinline {
  %w = zext i16 %h to i32
  %b = shl i32 %w, 16
  %f = bitcast i32 %b to float
  ret float %f
}
define internal i16 @bfloat_of_float(float %f) alwaysinline {
  %w = bitcast float %f to i32
  %m = and i32 %w, 2147483647
  %nan = icmp ugt i32 %m, 2139095040
  %h = lshr i32 %w, 16
  %odd = and i32 %h, 1
  %n0 = add i32 %w, 32767
  %n1 = add i32 %n0, %odd
  %n2 = lshr i32 %n1, 16
  %c = select i1 %nan, i32 32767, i32 %n2
  %r = trunc i32 %c to i16
  ret i16 %r
}
"""
"""The conversions between float and the two formats of 16 bits, which round to nearest, ties to even."""

_ONE = (
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "cbrt",
    "round",
    "erf",
    "erfc",
    "tgamma",
    "lgamma",
)
_TWO = ("atan2", "pow", "hypot", "fmod", "remainder")
MATH = {
    f"host_{name}{suffix}": (f"{name}{suffix}", kind, count)
    for count, names in ((1, _ONE), (2, _TWO))
    for name in names
    for suffix, kind in (("", "f64"), ("f", "f32"))
}
"""Functions of the C library that machine code calls itself: {name: (its name there, type of values and result, how many)}."""
