// Convolution along an axis, at the sizes where its loops begin and end.
#include "../../native/backend.h"
#include "cases.h"

namespace cases {
namespace {

void check_convolution(int64_t blocks, int64_t n, int64_t stride) {
  Numbers numbers(static_cast<uint32_t>(blocks * 1000 + n * 10 + stride));
  const std::vector<float> given = numbers.floats(blocks * n * stride), response = numbers.floats(n);
  std::vector<float> wanted(given.size()), got = given;
  for (int64_t i = 0; i < static_cast<int64_t>(given.size()); ++i) {
    const int64_t within = i % (n * stride), start = i - within;
    float sum = 0.0f;
    for (int64_t k = 0; k < n; ++k) {
      const float product = response[static_cast<size_t>(k)] * given[static_cast<size_t>(start + (within + k * stride) % (n * stride))];
      sum = sum + product;
    }
    wanted[static_cast<size_t>(i)] = sum;
  }
  sada::cpu().convolve({got.data(), response.data(), blocks, n, stride});
  expect_same(got.data(), wanted.data(), blocks * n * stride,
              std::to_string(blocks) + " blocks of " + std::to_string(n) + " x " + std::to_string(stride));
}

}  // namespace

void convolution_cases() {
  test("a convolution along an axis", [] {
    for (int64_t blocks : {0, 1, 3}) {
      for (int64_t n : {1, 2, 3, 4, 5, 8, 31, 64}) {
        for (int64_t stride : {1, 2, 7, 8, 33}) check_convolution(blocks, n, stride);
      }
    }
  });
}

}  // namespace cases
