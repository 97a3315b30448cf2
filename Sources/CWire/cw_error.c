// SPDX-License-Identifier: MIT
#include "CWire.h"
