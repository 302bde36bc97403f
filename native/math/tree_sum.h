// The order of every sum over a sample's elements, the same on every backend, without atomics.
//
// Elements are cut into tiles of 1024 consecutive ones, the last padded with +0. Within a tile a tree halves the stride: p[j] += p[j + 512],
// then 256, … 1, in float32. The tiles' results, exact in float64, are reduced by the same tree over tiles of 1024 of them, until one is left.
#pragma once

#include <cstddef>
#include <vector>

#include "portable.h"

namespace sada {

constexpr int kTile = 1024;

// The tree over a tile whose j-th value is term(j). Written out three strides at a time, so that compilers keep the partial sums in
// vector registers; the additions are exactly those of the halving loop.
template <typename Term>
SADA_HD float tree_sum_of_tile(Term term) {
  float p[kTile / 8], q[kTile / 64];
  for (int j = 0; j < kTile / 8; ++j) {
    p[j] = ((term(j) + term(j + 512)) + (term(j + 256) + term(j + 768))) + ((term(j + 128) + term(j + 640)) + (term(j + 384) + term(j + 896)));
  }
  for (int j = 0; j < kTile / 64; ++j) {
    q[j] = ((p[j] + p[j + 64]) + (p[j + 32] + p[j + 96])) + ((p[j + 16] + p[j + 80]) + (p[j + 48] + p[j + 112]));
  }
  for (int stride = 8; stride > 0; stride /= 2) {
    for (int j = 0; j < stride; ++j) q[j] += q[j + stride];
  }
  return q[0];
}

template <typename T>
SADA_HD T tree_sum(T* tile) {
  for (int stride = kTile / 2; stride > 0; stride /= 2) {
    for (int j = 0; j < stride; ++j) tile[j] += tile[j + stride];
  }
  return tile[0];
}

// Reduces tile results in place; `partials` holds one for each tile, in order. None: 0.
inline double tree_sum_of_tiles(std::vector<double>& partials) {
  if (partials.empty()) return 0.0;
  while (partials.size() > 1) {
    const size_t groups = (partials.size() + kTile - 1) / kTile;
    partials.resize(groups * kTile, 0.0);
    for (size_t g = 0; g < groups; ++g) partials[g] = tree_sum(&partials[g * kTile]);
    partials.resize(groups);
  }
  return partials[0];
}

}  // namespace sada
