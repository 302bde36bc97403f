// Selection on the device: the tokens that math/select.h names, in its order.
#include <limits>

#include "../../native/math/select.h"
#include "on_device.h"

namespace on_device {
namespace {

using sada::DeviceSelection;
using sada::Selection;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

// Scores with many ties, and with what is not a number between them.
std::vector<float> some_scores(int tokens, int values, cases::Numbers& numbers) {
  std::vector<float> scores(static_cast<size_t>(tokens));
  constexpr float specials[] = {kNaN, -kNaN, kInfinity, -kInfinity, 0.0f, -0.0f, 1e-42f, -1e-42f};
  for (float& score : scores)
    score = numbers.below(9) == 0 ? specials[numbers.below(8)] : static_cast<float>(numbers.below(values) - values / 3) / 8.0f;
  return scores;
}

struct Request {
  Selection cpu;
  std::vector<float> scores;
};

Request some_request(int height, int width, cases::Numbers& numbers) {
  const int tokens = height * width;
  Request r;
  r.scores = some_scores(tokens, 1 + numbers.below(numbers.below(2) == 0 ? 4 : 10000), numbers);
  constexpr float thresholds[] = {0.0f, -0.0f, 0.5f, 3.0f, kInfinity, -kInfinity, kNaN, 1e30f};
  constexpr int windows[][2] = {{0, 0}, {1, 1}, {2, 2}, {3, 5}, {1, 7}, {0, 4}, {100000, 2}, {4, 2147483647}};
  const auto& window = windows[numbers.below(8)];
  // The CPU steps from window to window, and must not step past the largest int.
  const int most = numbers.below(2) == 0 ? 2147483647 : numbers.below(tokens + 2), across = window[1] > 100000 ? 100000 : window[1];
  r.cpu = {nullptr, height, width, thresholds[numbers.below(8)], most, window[0], across, numbers.next(), {}};
  for (int at = numbers.below(tokens + 1), k = numbers.below(5); k > 0; --k)
    r.cpu.buckets.push_back(at), at += 1 + numbers.below(tokens + 1);
  return r;
}

DeviceSelection on_device_from(const Request& r, const Memory& scores, const Memory& indices, int32_t* kept) {
  DeviceSelection s;
  s.scores = reinterpret_cast<const float*>(scores.data());
  s.height = r.cpu.height, s.width = r.cpu.width, s.threshold = r.cpu.threshold, s.max_kept = r.cpu.max_kept;
  s.window_height = r.cpu.window_height, s.window_width = r.cpu.window_width, s.seed = r.cpu.seed;
  for (int bucket : r.cpu.buckets) s.bucket[s.buckets++] = bucket;
  s.indices = reinterpret_cast<int32_t*>(indices.data()), s.kept = kept;
  return s;
}

void compare(Request& r, const Memory& indices, int32_t kept, const std::string& what) {
  r.cpu.scores = r.scores.data();
  const std::vector<int> wanted = sada::select_tokens(r.cpu);
  cases::expect(kept == static_cast<int32_t>(wanted.size()),
                what + ": " + std::to_string(kept) + " kept, not " + std::to_string(wanted.size()));
  const std::vector<char> got = indices.bytes();
  cases::expect(wanted.empty() || std::memcmp(got.data(), wanted.data(), wanted.size() * sizeof(int)) == 0, what + ": other tokens");
}

// All requests as one batch.
void check_selections(std::vector<Request> requests) {
  std::vector<Memory> scores, indices;
  std::vector<DeviceSelection> members;
  const Pinned kept(sada::kMaxMembers);
  int32_t* counts = reinterpret_cast<int32_t*>(kept.data());
  for (const Request& r : requests) {
    const int64_t bytes = static_cast<int64_t>(r.scores.size()) * 4;
    scores.emplace_back(r.scores.data(), bytes), indices.emplace_back(bytes);
    members.push_back(on_device_from(r, scores.back(), indices.back(), counts + members.size()));
  }
  check(table().select(device(), members.data(), static_cast<int32_t>(members.size())), "select");
  check(table().synchronize(device()), "synchronize");
  for (size_t m = 0; m < requests.size(); ++m) compare(requests[m], indices[m], counts[m], "member " + std::to_string(m));
}

void grids() {
  const int all[][2] = {{0, 0},   {1, 1},   {1, 2},   {1, 31},   {4, 8},   {3, 11},  {5, 7},
                        {16, 16}, {1, 300}, {13, 29}, {1, 1023}, {32, 32}, {25, 41}, {64, 64}};
  for (const auto& grid : all) {
    for (uint32_t seed = 0; seed < 6; ++seed) {
      cases::test("select of " + std::to_string(grid[0]) + " x " + std::to_string(grid[1]) + ", seed " + std::to_string(seed), [=] {
        cases::Numbers numbers(seed * 31 + 7);
        std::vector<Request> requests;
        for (int m = 0; m < 3; ++m) requests.push_back(some_request(grid[0], grid[1], numbers));
        check_selections(std::move(requests));
      });
    }
  }
  // Of up to 65536 tokens a thread of the kernel remembers which must be kept.
  constexpr int large[][2] = {{256, 256}, {1, 65537}, {300, 300}};
  for (const auto& grid : large) {
    const int height = grid[0], width = grid[1];
    cases::test("select of " + std::to_string(height * width) + " tokens", [=] {
      cases::Numbers numbers(5);
      Request r = some_request(height, width, numbers);
      r.cpu.threshold = 0.25f, r.cpu.max_kept = 20000, r.cpu.window_height = 3, r.cpu.window_width = 5, r.cpu.buckets = {40000, 60000};
      check_selections({std::move(r)});
    });
  }
}

// Worked by hand, so that not both can be wrong in the same way.
void by_hand() {
  cases::test("NaN is kept first, then the highest, ties to the lower index; a bucket is filled up", [] {
    const std::vector<float> scores = {1.0f, 5.0f, kNaN, 5.0f, -0.0f, 0.0f, 5.0f, 2.0f};
    const Memory memory(scores.data(), 32), indices(32), kept(4);
    DeviceSelection s;
    s.scores = reinterpret_cast<const float*>(memory.data()), s.height = 2, s.width = 4, s.threshold = 1.5f, s.max_kept = 3;
    s.indices = reinterpret_cast<int32_t*>(indices.data()), s.kept = reinterpret_cast<int32_t*>(kept.data());
    const auto selected = [&] {
      check(table().select(device(), &s, 1), "select");
      int32_t count;
      std::memcpy(&count, kept.bytes().data(), 4);
      std::vector<int32_t> tokens(static_cast<size_t>(count));
      std::memcpy(tokens.data(), indices.bytes().data(), tokens.size() * 4);
      return tokens;
    };
    cases::expect(selected() == std::vector<int32_t>{1, 2, 3}, "cap of three");
    s.buckets = 1, s.bucket[0] = 6;
    cases::expect(selected() == std::vector<int32_t>{0, 1, 2, 3, 6, 7}, "bucket of six");
    s.bucket[0] = 7;
    cases::expect(selected() == std::vector<int32_t>{0, 1, 2, 3, 4, 6, 7}, "-0 and 0 tie");
  });
}

void refusals() {
  cases::test("a selection with sizes that cannot be is refused", [] {
    const auto refused = [](const DeviceSelection& s) {
      return table().failure(table().select(device(), &s, 1)) == sada::DeviceFailure::kInvalid;
    };
    DeviceSelection s;
    s.height = 65536, s.width = 32768;
    cases::expect(refused(s), "2^31 tokens");
    s.height = -1;
    cases::expect(refused(s), "negative height");
    s.height = s.width = 1, s.buckets = sada::kMaxBuckets + 1;
    cases::expect(refused(s), "too many buckets");
    cases::expect(table().failure(table().select(device(), &s, sada::kMaxMembers + 1)) == sada::DeviceFailure::kInvalid,
                  "too many members");
  });
}

}  // namespace

void select_cases() {
  grids();
  by_hand();
  refusals();
}

}  // namespace on_device
