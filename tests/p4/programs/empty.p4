// SPDX-License-Identifier: Apache-2.0
// Nothing but the architecture.
#include <core.p4>
#include <v1model.p4>
