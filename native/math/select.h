// Which tokens a pruned pass computes: the unstable ones up to a cap, one pseudo-random token of every window, rounded up to a bucket.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "portable.h"

namespace sada {

struct Selection {
  const float* scores;  // [height * width]; >= threshold: unstable. NaN counts as unstable.
  int height, width;
  float threshold;
  int max_kept;
  int window_height, window_width;  // 0: no refresh
  uint32_t seed;
  std::vector<int> buckets;  // ascending
};

// Which token of window `window` is refreshed: a 32-bit integer mix (the finaliser of MurmurHash3) of seed and window.
SADA_HD uint32_t window_hash(uint32_t seed, uint32_t window) {
  uint32_t h = seed ^ (window * 0x9e3779b1u + 0x85ebca6bu);
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

SADA_HD bool is_unstable(float score, float threshold) { return !(score < threshold); }

// Tokens by descending score, ties and NaN by ascending index; NaN first: it is unstable by definition.
inline std::vector<int> by_score(const float* scores, int tokens) {
  std::vector<int> order(tokens);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    const bool a_nan = scores[a] != scores[a], b_nan = scores[b] != scores[b];
    if (a_nan || b_nan) return a_nan && !b_nan;
    return scores[a] > scores[b];
  });
  return order;
}

inline void keep_refreshed(const Selection& s, std::vector<char>& keep) {
  if (s.window_height == 0 || s.window_width == 0) return;
  uint32_t window = 0;
  for (int y = 0; y < s.height; y += s.window_height) {
    for (int x = 0; x < s.width; x += s.window_width, ++window) {
      const int rows = std::min(s.window_height, s.height - y), columns = std::min(s.window_width, s.width - x);
      const int pick = static_cast<int>(window_hash(s.seed, window) % static_cast<uint32_t>(rows * columns));
      keep[(y + pick / columns) * s.width + x + pick % columns] = 1;
    }
  }
}

// Kept token indices, ascending.
inline std::vector<int> select_tokens(const Selection& s) {
  const int tokens = s.height * s.width;
  std::vector<char> keep(tokens, 0);
  const std::vector<int> order = by_score(s.scores, tokens);
  for (int k = 0; k < std::min(s.max_kept, tokens) && is_unstable(s.scores[order[k]], s.threshold); ++k) keep[order[k]] = 1;
  keep_refreshed(s, keep);
  int kept = static_cast<int>(std::count(keep.begin(), keep.end(), 1));
  const auto bucket = std::lower_bound(s.buckets.begin(), s.buckets.end(), kept);
  const int target = s.buckets.empty() ? kept : bucket == s.buckets.end() ? tokens : std::min(*bucket, tokens);
  for (int k = 0; k < tokens && kept < target; ++k) {
    if (!keep[order[k]]) keep[order[k]] = 1, ++kept;
  }
  std::vector<int> indices;
  for (int t = 0; t < tokens; ++t) {
    if (keep[t]) indices.push_back(t);
  }
  return indices;
}

}  // namespace sada
