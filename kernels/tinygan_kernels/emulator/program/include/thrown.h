// Included before the first line of a file that has `throw` or `catch`.
#pragma once
#include <stdexcept>
