// A few words to write cases in C++ with: test/native/cases.cpp and its neighbours are run by scripts/sanitize-native.mjs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../../native/error.h"

namespace cases {

struct Failure {
  std::string message;
};

inline void expect(bool holds, const std::string& what) {
  if (!holds) throw Failure{what};
}

// Equal bits: tells +0 from -0, and a NaN equals itself.
inline void expect_same(const float* got, const float* wanted, int64_t count, const std::string& what) {
  for (int64_t k = 0; k < count; ++k) {
    if (std::memcmp(got + k, wanted + k, sizeof(float)) == 0) continue;
    throw Failure{what + ": element " + std::to_string(k) + " is " + std::to_string(got[k]) + ", not " + std::to_string(wanted[k])};
  }
}

// The code of what `body` throws; "" where it throws nothing.
inline std::string code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const sada::Error& error) { return error.code(); }
  return "";
}

struct Totals {
  int passed = 0, failed = 0;
};
inline Totals& totals() {
  static Totals all;
  return all;
}

inline void test(const std::string& name, const std::function<void()>& body) {
  try {
    body();
    ++totals().passed;
  } catch (const Failure& failure) {
    ++totals().failed;
    std::printf("FAIL %s: %s\n", name.c_str(), failure.message.c_str());
  } catch (const std::exception& error) {
    ++totals().failed;
    std::printf("FAIL %s threw: %s\n", name.c_str(), error.what());
  }
}

// SplitMix32: the same numbers on every machine.
class Numbers {
 public:
  explicit Numbers(uint32_t seed) : state_(seed) {}
  uint32_t next() {
    uint32_t h = state_ += 0x9e3779b9u;
    h = (h ^ (h >> 16)) * 0x21f0aaadu;
    h = (h ^ (h >> 15)) * 0x735a2d97u;
    return h ^ (h >> 15);
  }
  int below(int limit) { return static_cast<int>(next() % static_cast<uint32_t>(limit)); }
  // Of exactly this size on the heap, so that a read outside is seen.
  std::vector<float> floats(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = (static_cast<float>(next()) * 0x1p-31f - 1.0f) * (below(16) == 0 ? 0.0f : 3.0f);
    return values;
  }

 private:
  uint32_t state_;
};

void step_cases();
void convolution_cases();
void token_cases();
void number_cases();
void memory_cases();
void queue_cases();

}  // namespace cases
