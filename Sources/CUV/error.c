// SPDX-License-Identifier: MIT
#include "CUV.h"
