// cub's device-wide algorithms under their names, as host code over the device's memory, one element after the other. A first call,
// without temporary storage, says how much of it is needed, as in cub. Sums of floating-point numbers are rounded in this order; as
// in cub, an operator's result has the type that it returns, so that a sum of bytes is one of ints.
#pragma once
#include <cub_elementwise.h>
#include <cub_find.h>
#include <cub_histogram.h>
#include <cub_reduce.h>
#include <cub_scan.h>
#include <cub_select.h>
#include <cub_sort.h>
