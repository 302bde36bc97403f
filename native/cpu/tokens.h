// Moving tokens between a whole map and the kept ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace sada {

// One row is [tokens, channels], or [channels, tokens] where channels come first.
struct TokenMove {
  const float* from;
  float* to;
  int64_t rows, tokens, channels;
  bool channels_first;
  std::vector<int> indices;  // kept tokens of the whole map
};

// to[r][k] = from[r][indices[k]]
inline void gather(const TokenMove& m) {
  const int64_t kept = static_cast<int64_t>(m.indices.size()), channels = m.channels;
  for (int64_t r = 0; r < m.rows; ++r) {
    const float* from = m.from + r * m.tokens * channels;
    float* to = m.to + r * kept * channels;
    if (!m.channels_first) {
      for (int64_t k = 0; k < kept; ++k)
        std::memcpy(to + k * channels, from + m.indices[k] * channels, static_cast<size_t>(channels) * sizeof(float));
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t k = 0; k < kept; ++k) to[c * kept + k] = from[c * m.tokens + m.indices[k]];
      }
    }
  }
}

// to[r][indices[k]] = from[r][k]; tokens that are not kept stay as they are.
inline void scatter(const TokenMove& m) {
  const int64_t kept = static_cast<int64_t>(m.indices.size()), channels = m.channels;
  for (int64_t r = 0; r < m.rows; ++r) {
    const float* from = m.from + r * kept * channels;
    float* to = m.to + r * m.tokens * channels;
    if (!m.channels_first) {
      for (int64_t k = 0; k < kept; ++k)
        std::memcpy(to + m.indices[k] * channels, from + k * channels, static_cast<size_t>(channels) * sizeof(float));
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t k = 0; k < kept; ++k) to[c * m.tokens + m.indices[k]] = from[c * kept + k];
      }
    }
  }
}

}  // namespace sada
