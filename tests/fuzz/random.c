// SPDX-License-Identifier: Apache-2.0
// SplitMix64 (Steele, Lea, Flood 2014), begun anew for every packet, so that each can be made alone.
#include "fuzz.h"

enum { NEIGHBOURHOOD = 64 };  // packets that can be of one connection

static uint64_t state, shared;

void random_seed(uint64_t seed, uint64_t index) {
  state = seed * 0xd1342543de82ef95u ^ index * 0x9e6c63d0876a9a47u;
  shared = ~seed * 0xd1342543de82ef95u ^ index / NEIGHBOURHOOD * 0x9e6c63d0876a9a47u;
}

static uint32_t word(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ (z >> 31)) >> 16);
}

uint32_t random_word(void) { return word(state += 0x9e3779b97f4a7c15u); }

uint32_t shared_word(uint32_t which) { return word(shared + (which + 1) * 0x9e3779b97f4a7c15u); }

uint32_t random_below(uint32_t n) { return random_word() % n; }

bool one_in(uint32_t n) { return random_below(n) == 0; }
