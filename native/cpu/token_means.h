// Means of terms per token, summed in an order of their own: channels-first, one running sum per pixel column of a token row, over
// (channel, row) in memory order, then the columns of a patch from left to right; token-major, eight lanes (channel mod 8), then a tree.
#pragma once

#include "step.h"

namespace sada {

inline int64_t token_sums_length(const TokenLayout& layout) {
  return layout.grid_height * layout.grid_width * (layout.channels_first ? layout.patch_width : int64_t{kTokenLanes});
}

inline void token_means(const TokenLayout& layout, const float* sums, float* means) {
  const int64_t tokens = layout.grid_height * layout.grid_width;
  const float scale = 1.0f / static_cast<float>(layout.channels * layout.patch_height * layout.patch_width);
  for (int64_t token = 0; token < tokens; ++token) {
    if (layout.channels_first) {
      const float* s = sums + token * layout.patch_width;
      float sum = s[0];
      for (int64_t p = 1; p < layout.patch_width; ++p) sum += s[p];
      means[token] = scale * sum;
    } else {
      const float* s = sums + token * kTokenLanes;
      means[token] = scale * (((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));
    }
  }
}

}  // namespace sada
