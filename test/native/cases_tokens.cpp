// Selecting, gathering and scattering tokens against their definitions.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../../native/cpu/tokens.h"
#include "../../native/math/select.h"
#include "cases.h"

namespace cases {
namespace {

using sada::Selection;
using sada::TokenMove;

std::vector<int> some_tokens(Numbers& numbers, int tokens, int kept) {
  std::vector<int> all(static_cast<size_t>(tokens));
  for (int t = 0; t < tokens; ++t) all[static_cast<size_t>(t)] = t;
  for (int k = 0; k < kept; ++k) std::swap(all[static_cast<size_t>(k)], all[static_cast<size_t>(k + numbers.below(tokens - k))]);
  all.resize(static_cast<size_t>(kept));
  return all;
}

// gather, then scatter into a map of another value: kept tokens come back, the others stay.
void check_moves(int rows, int tokens, int channels, int kept, bool channels_first) {
  Numbers numbers(static_cast<uint32_t>(tokens * 31 + kept));
  const int64_t whole = int64_t{rows} * tokens * channels, part = int64_t{rows} * kept * channels;
  const std::vector<float> map = numbers.floats(whole);
  std::vector<float> compact(static_cast<size_t>(part)), back(static_cast<size_t>(whole), 7.0f);
  const std::vector<int> indices = some_tokens(numbers, tokens, kept);
  sada::gather({map.data(), compact.data(), rows, tokens, channels, channels_first, indices});
  sada::scatter({compact.data(), back.data(), rows, tokens, channels, channels_first, indices});
  std::vector<float> wanted(static_cast<size_t>(whole), 7.0f);
  for (int r = 0; r < rows; ++r) {
    for (int token : indices) {
      for (int c = 0; c < channels; ++c) {
        const int64_t at = int64_t{r} * tokens * channels + (channels_first ? int64_t{c} * tokens + token : int64_t{token} * channels + c);
        wanted[static_cast<size_t>(at)] = map[static_cast<size_t>(at)];
      }
    }
  }
  expect_same(back.data(), wanted.data(), whole, "the map");
}

bool is_before(const std::vector<float>& scores, int a, int b) {
  const float x = scores[static_cast<size_t>(a)], y = scores[static_cast<size_t>(b)];
  if (std::isnan(x) != std::isnan(y)) return std::isnan(x);
  return std::isnan(x) || x == y ? a < b : x > y;
}

void check_selection(uint32_t seed) {
  Numbers numbers(seed);
  const int height = 1 + numbers.below(9), width = 1 + numbers.below(9), tokens = height * width;
  std::vector<float> scores = numbers.floats(tokens);
  for (float& score : scores) {
    if (numbers.below(16) == 0) score = std::numeric_limits<float>::quiet_NaN();
    else if (numbers.below(2) == 0) score = std::round(score);  // ties
  }
  Selection s{scores.data(), height, width, 0.0f, numbers.below(tokens + 3), numbers.below(4), numbers.below(4), numbers.next(), {}};
  for (int bucket = numbers.below(4); bucket < tokens && numbers.below(4) != 0; bucket += 1 + numbers.below(8)) s.buckets.push_back(bucket);
  const std::vector<int> kept = sada::select_tokens(s);
  expect(std::is_sorted(kept.begin(), kept.end()) && std::adjacent_find(kept.begin(), kept.end()) == kept.end(), "not ascending");
  expect(kept.empty() || (kept.front() >= 0 && kept.back() < tokens), "outside the grid");

  std::vector<int> order = some_tokens(numbers, tokens, tokens);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return is_before(scores, a, b); });
  std::vector<char> wanted(static_cast<size_t>(tokens), 0);
  for (int k = 0; k < std::min(s.max_kept, tokens); ++k) {
    if (!(scores[static_cast<size_t>(order[static_cast<size_t>(k)])] < 0.0f))
      wanted[static_cast<size_t>(order[static_cast<size_t>(k)])] = 1;
  }
  Selection refresh = s;
  refresh.max_kept = 0, refresh.buckets.clear();
  const std::vector<int> refreshed = sada::select_tokens(refresh);
  const int windows = s.window_height * s.window_width == 0 ? 0 : ((height - 1) / s.window_height + 1) * ((width - 1) / s.window_width + 1);
  expect(static_cast<int>(refreshed.size()) == windows, "not one token for each window");
  for (int token : refreshed) wanted[static_cast<size_t>(token)] = 1;
  size_t count = static_cast<size_t>(std::count(wanted.begin(), wanted.end(), 1)), target = count;
  if (!s.buckets.empty()) {
    target = static_cast<size_t>(tokens);
    for (int bucket : s.buckets) {
      if (static_cast<size_t>(bucket) >= count) target = std::min(target, static_cast<size_t>(bucket));
    }
  }
  for (size_t k = 0; count < target; ++k) {
    char& each = wanted[static_cast<size_t>(order[k])];
    if (each == 0) each = 1, ++count;
  }
  for (int t = 0; t < tokens; ++t)
    expect((wanted[static_cast<size_t>(t)] == 1) == std::binary_search(kept.begin(), kept.end(), t), "token " + std::to_string(t));
}

}  // namespace

void token_cases() {
  for (bool channels_first : {false, true}) {
    for (int tokens : {1, 7, 8, 9, 31, 32, 33, 257}) {
      for (int kept : {0, 1, tokens / 2, tokens}) {
        for (int channels : {1, 3, 8, 17}) {
          test("moves of " + std::to_string(kept) + " of " + std::to_string(tokens),
               [&] { check_moves(2, tokens, channels, kept, channels_first); });
        }
      }
    }
  }
  for (uint32_t seed = 0; seed < 2000; ++seed) test("selection, seed " + std::to_string(seed), [&] { check_selection(seed); });
}

}  // namespace cases
