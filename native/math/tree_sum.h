// The order of every sum over a sample's elements, the same on every backend, without atomics.
//
// Elements are cut into tiles of 1024 consecutive ones, the last padded with +0. Within a tile a tree halves the stride: p[j] += p[j +
// 512], then 256, … 1, in float32. The tiles' results, exact in float64, are reduced by the same tree over tiles of 1024 of them, until one
// is left.
#pragma once

#include <cstddef>

#include "portable.h"

namespace sada {

constexpr int kTile = 1024;

// The tree over a tile whose j-th value is term(j). Written out three strides at a time, so that compilers keep the partial sums in
// vector registers; the additions are exactly those of the halving loop.
template <typename Term>
SADA_HD float tree_sum_of_tile(Term term) {
  float p[kTile / 8], q[kTile / 64];
  for (int j = 0; j < kTile / 8; ++j) {
    p[j] =
        ((term(j) + term(j + 512)) + (term(j + 256) + term(j + 768))) + ((term(j + 128) + term(j + 640)) + (term(j + 384) + term(j + 896)));
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

// The tree over a tile of which only the first n values are not padding: strides that would add nothing but padding are left out.
template <typename T>
SADA_HD T tree_sum_of_first(T* tile, int n) {
  if (n == kTile) return tree_sum(tile);
  int stride = 1;
  while (2 * stride < n) stride *= 2;
  for (int j = n; j < 2 * stride; ++j) tile[j] = T{0};
  for (; stride > 0; stride /= 2) {
    for (int j = 0; j < stride; ++j) tile[j] += tile[j + stride];
  }
  return tile[0] + T{0};  // what padding does to -0
}

// Reduces the results of n tiles in place; `partials` has room for whole tiles of them. None: 0.
inline double tree_sum_of_tiles(double* partials, size_t n) {
  if (n == 0) return 0.0;
  while (n > 1) {
    const size_t groups = (n + kTile - 1) / kTile;
    for (size_t g = 0; g < groups; ++g) {
      double* tile = partials + g * kTile;
      partials[g] = tree_sum_of_first(tile, static_cast<int>(n - g * kTile < kTile ? n - g * kTile : kTile));
    }
    n = groups;
  }
  return partials[0];
}

}  // namespace sada
