// The fused step against the formula written plainly; scripts/sanitize-native.mjs runs it once for each instruction set.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../../native/backend.h"
#include "../../native/math/half.h"
#include "../../native/math/tree_sum.h"
#include "cases.h"

namespace cases {
namespace {

using sada::kTile;
using sada::Row;
using sada::StepRequest;
using sada::Sum;
using sada::TokenLayout;
std::vector<float> plain_row(const Row& row, const std::vector<const float*>& inputs, int64_t length) {
  std::vector<float> values(static_cast<size_t>(length));
  for (int64_t i = 0; i < length; ++i) {
    float sum = 0.0f;
    bool is_first = true;
    for (int k = 0; k < sada::kMaxInputs; ++k) {
      if ((row.inputs & 1 << k) == 0) continue;
      const float value = inputs[static_cast<size_t>(k)][i];
      sum = is_first ? row.weight[k] * value : std::fma(row.weight[k], value, sum);
      is_first = false;
    }
    values[static_cast<size_t>(i)] = sum;
  }
  return values;
}

std::vector<float> plain_terms(const Sum& sum, const std::vector<std::vector<float>>& rows) {
  std::vector<float> terms = rows[static_cast<size_t>(sum.a)];
  for (size_t i = 0; i < terms.size(); ++i) {
    terms[i] = sum.b >= 0 ? terms[i] * rows[static_cast<size_t>(sum.b)][i] : sum.is_signed ? terms[i] : std::fabs(terms[i]);
  }
  return terms;
}

template <typename T>
T plain_tree(std::vector<T> tile) {
  tile.resize(kTile);
  for (size_t stride = kTile / 2; stride > 0; stride /= 2) {
    for (size_t j = 0; j < stride; ++j) tile[j] += tile[j + stride];
  }
  return tile[0];
}

template <typename T>
std::vector<double> plain_level(const std::vector<T>& values) {
  std::vector<double> level;
  for (size_t at = 0; at < values.size(); at += kTile) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(at);
    level.push_back(static_cast<double>(
        plain_tree(std::vector<T>(first, first + static_cast<std::ptrdiff_t>(std::min<size_t>(kTile, values.size() - at))))));
  }
  return level;
}

double plain_sum(const std::vector<float>& terms) {
  std::vector<double> level = plain_level(terms);
  while (level.size() > 1) level = plain_level(level);
  return level.empty() ? 0.0 : level[0];
}

// A member with every kind of row and sum. Where `in_place`, its first stores are its first inputs.
void check_step(int64_t length, uint32_t seed, bool in_place) {
  Numbers numbers(seed);
  StepRequest request;
  request.length = length, request.inputs = sada::kMaxInputs, request.rows = sada::kMaxRows, request.sums = sada::kMaxSums;
  std::vector<std::vector<float>> buffers, stores;
  std::vector<const float*> before;
  // Misaligned by up to seven floats, and nothing behind the last.
  std::vector<int> shift;
  for (int k = 0; k < request.inputs; ++k) {
    shift.push_back(numbers.below(8));
    buffers.push_back(numbers.floats(length + shift.back()));
  }
  const std::vector<std::vector<float>> originals = buffers;
  for (size_t k = 0; k < buffers.size(); ++k) {
    request.input[k] = buffers[k].data() + shift[k];
    before.push_back(originals[k].data() + shift[k]);
  }
  for (int r = 0; r < request.rows; ++r) {
    Row& row = request.row[r];
    // From none to all of the inputs.
    const int terms = (r + static_cast<int>(seed)) % (sada::kMaxInputs + 1), first = numbers.below(request.inputs);
    for (int k = 0; k < terms; ++k) row.set((first + 3 * k) % request.inputs, static_cast<float>(numbers.below(4001) - 2000) / 999.0f);
  }
  for (int s = 0; s < sada::kMaxStores; ++s) stores.emplace_back(static_cast<size_t>(length), 9.0f);
  for (int s = 0; s < sada::kMaxStores; ++s) {
    const size_t k = static_cast<size_t>(s);
    // Every other row, then the odd ones.
    const int row = (2 * s) % sada::kMaxRows + (2 * s) / sada::kMaxRows;
    request.store[row] = in_place && s < 3 ? buffers[k].data() + shift[k] : stores[k].data();
  }
  const Sum sums[] = {{0, 1, false}, {2, -1, false}, {3, -1, true}, {4, 4, false}, {7, 0, false}, {5, 6, false}};
  std::copy(std::begin(sums), std::end(sums), request.sum);

  double got[sada::kMaxSums];
  sada::cpu().step({request}, got);

  std::vector<std::vector<float>> rows;
  for (int r = 0; r < request.rows; ++r) rows.push_back(plain_row(request.row[r], before, length));
  for (int r = 0; r < request.rows; ++r) {
    if (request.store[r] != nullptr) expect_same(request.store[r], rows[static_cast<size_t>(r)].data(), length, "row " + std::to_string(r));
  }
  for (int s = 0; s < request.sums; ++s) expect(got[s] == plain_sum(plain_terms(request.sum[s], rows)), "sum " + std::to_string(s));
}

// Buffers in half precision: as if they were floats first, and rounded where they are stored. The first store is in place.
void check_halves(int64_t length, uint32_t seed) {
  Numbers numbers(seed);
  sada::StoredStep stored;
  StepRequest plain;
  plain.length = length, plain.inputs = 6, plain.rows = 5, plain.sums = 3;
  const sada::Storage types[] = {sada::Storage::kFloat16, sada::Storage::kBfloat16, sada::Storage::kFloat32};
  std::vector<std::vector<uint16_t>> halves;
  std::vector<std::vector<float>> floats, wanted, kept;
  for (int k = 0; k < plain.inputs; ++k) {
    floats.push_back(numbers.floats(length));
    halves.emplace_back(static_cast<size_t>(length));
    if (k % 3 == 2) continue;
    sada::narrow(floats.back().data(), k % 3 == 1, length, halves.back().data());
    sada::widen(halves.back().data(), k % 3 == 1, length, floats.back().data());
  }
  for (int k = 0; k < plain.inputs; ++k) plain.input[k] = floats[static_cast<size_t>(k)].data();
  for (int r = 0; r < plain.rows; ++r) {
    const int terms = 1 + (r + static_cast<int>(seed)) % plain.inputs;
    for (int k = 0; k < terms; ++k) plain.row[r].set((r + k) % plain.inputs, static_cast<float>(numbers.below(4001) - 2000) / 999.0f);
  }
  plain.sum[0] = {0, 1, false}, plain.sum[1] = {4, -1, false}, plain.sum[2] = {2, 3, false};
  stored.request = plain;
  for (int k = 0; k < plain.inputs; ++k) {
    stored.input_type[k] = types[k % 3];
    if (k % 3 != 2) stored.request.input[k] = reinterpret_cast<const float*>(halves[static_cast<size_t>(k)].data());
  }
  for (int r = 0; r < 4; ++r) wanted.emplace_back(static_cast<size_t>(length)), kept.emplace_back(static_cast<size_t>(length));
  for (int r = 0; r < 4; ++r) {
    plain.store[r] = wanted[static_cast<size_t>(r)].data();
    stored.store_type[r] = types[r % 3];
    stored.request.store[r] = r == 0 ? reinterpret_cast<float*>(halves[0].data()) : kept[static_cast<size_t>(r)].data();
  }
  double sums[3], wanted_sums[3];
  sada::cpu().step({plain}, wanted_sums);
  sada::cpu().step(stored, sums);
  expect(std::memcmp(sums, wanted_sums, sizeof sums) == 0, "sums");
  if (length == 0) return;  // empty vectors have no address
  for (int r = 0; r < 4; ++r) {
    std::vector<float>& row = wanted[static_cast<size_t>(r)];
    std::vector<uint16_t> rounded(static_cast<size_t>(length));
    sada::narrow(row.data(), r % 3 == 1, length, rounded.data());
    const bool same = r % 3 == 2 ? std::memcmp(stored.request.store[r], row.data(), row.size() * 4) == 0
                                 : std::memcmp(stored.request.store[r], rounded.data(), rounded.size() * 2) == 0;
    expect(same, "row " + std::to_string(r));
  }
}

int64_t elements(const TokenLayout& l) { return l.channels * l.grid_height * l.grid_width * l.patch_height * l.patch_width; }

// The mean of each token's elements in float64: near what the step makes in its own order.
std::vector<double> plain_means(const TokenLayout& l, const std::vector<float>& terms) {
  const int64_t tokens = l.grid_height * l.grid_width, width = l.grid_width * l.patch_width, height = l.grid_height * l.patch_height;
  std::vector<double> means(static_cast<size_t>(tokens));
  for (int64_t i = 0; i < static_cast<int64_t>(terms.size()); ++i) {
    const int64_t x = i % width, y = i / width % height;
    const int64_t token = l.channels_first ? y / l.patch_height * l.grid_width + x / l.patch_width : i / l.channels;
    means[static_cast<size_t>(token)] += static_cast<double>(terms[static_cast<size_t>(i)]);
  }
  for (double& mean : means) mean /= static_cast<double>(l.channels * l.patch_height * l.patch_width);
  return means;
}

void check_means(const TokenLayout& layout) {
  Numbers numbers(17);
  const int64_t length = elements(layout), tokens = layout.grid_height * layout.grid_width;
  const std::vector<float> a = numbers.floats(length), b = numbers.floats(length);
  StepRequest request;
  request.length = length, request.inputs = request.rows = 2, request.sums = 1;
  request.input[0] = a.data(), request.input[1] = b.data();
  for (int r = 0; r < 2; ++r) request.row[r].set(r, 1.0f);
  request.sum[0] = {0, 1, false};
  request.token_sum = 0, request.layout = layout;
  std::vector<float> means(static_cast<size_t>(tokens));
  request.token_means = means.data();
  double sum;
  sada::cpu().step({request}, &sum);
  const std::vector<double> wanted = plain_means(layout, plain_terms(request.sum[0], {a, b}));
  for (size_t t = 0; t < means.size(); ++t) {
    expect(std::fabs(static_cast<double>(means[t]) - wanted[t]) <= 1e-4, "token " + std::to_string(t));  // of terms up to 9, in float32
  }
}

}  // namespace

void step_cases() {
  for (int64_t length : {0, 1, 7, 8, 9, 31, 32, 33, 1023, 1024, 1025, 2047, 2048, 4097}) {
    for (uint32_t seed = 0; seed < 9; ++seed) {
      const std::string name = "step of " + std::to_string(length) + ", seed " + std::to_string(seed);
      test(name, [&] { check_step(length, seed, false); });
      test(name + ", in place", [&] { check_step(length, seed, true); });
    }
  }
  for (int64_t length : {0, 1, 31, 1023, 1024, 1025, 4097}) {
    for (uint32_t seed = 0; seed < 5; ++seed)
      test("step over halves of " + std::to_string(length) + ", seed " + std::to_string(seed), [&] { check_halves(length, seed); });
  }
  test("step of more than 1024 tiles", [] { check_step(int64_t{kTile} * kTile + 3, 5, false); });
  const TokenLayout layouts[] = {{true, 4, 8, 8, 1, 1},     {true, 3, 5, 7, 2, 4},   {true, 2, 1, 2, 3, 600},
                                 {true, 16, 1, 1, 16, 16},  {true, 1, 1, 1, 1, 1},   {false, 64, 8, 8, 1, 1},
                                 {false, 13, 1, 101, 1, 1}, {false, 1, 33, 1, 1, 1}, {false, 1500, 2, 2, 1, 1}};
  for (const TokenLayout& layout : layouts) {
    test("token means of " + std::to_string(elements(layout)), [&] { check_means(layout); });
  }
}

}  // namespace cases
