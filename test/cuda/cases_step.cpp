// The fused step: every member's stores, sums and token means have the bits of the CPU's.
#include <algorithm>
#include <limits>
#include <memory>

#include "../../native/math/tree_sum.h"
#include "on_device.h"

namespace on_device {
namespace {

using sada::DeviceStep;
using sada::Storage;
using sada::TokenLayout;

struct Variant {
  bool in_place = false, halves = false, shifted = false, specials = false;
  const TokenLayout* layout = nullptr;
  int most_inputs = sada::kMaxInputs, most_rows = sada::kMaxRows, most_sums = sada::kMaxSums, least_sums = 0;
  bool wide = false;  // tiles of very different magnitude: then the order of float64 additions shows
};

constexpr float kSpecials[] = {0.0f,
                               -0.0f,
                               1e-42f,
                               -1e-42f,
                               std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::quiet_NaN(),
                               std::numeric_limits<float>::max(),
                               65519.0f,
                               65520.0f};

// A buffer on both sides: as stored on the device from element `shift` on, and its values.
struct Buffer {
  Buffer(std::vector<float> given, Storage type, int shift) : type(type), shift(shift), values(decoded(encoded(given, type), type)) {
    given.insert(given.begin(), static_cast<size_t>(shift), 7.0f);
    const std::vector<char> bytes = encoded(given, type);
    memory = std::make_unique<Memory>(bytes.data(), static_cast<int64_t>(bytes.size()));
  }
  char* at() const { return memory->data() + shift * sada::bytes_of(type); }

  Storage type;
  int shift;
  std::vector<float> values;
  std::unique_ptr<Memory> memory;
};

// One member's step with arguments by chance, made on the CPU when it is made up.
class Member {
 public:
  Member(int64_t length, cases::Numbers& numbers, const Variant& variant) : length_(length), variant_(variant) {
    sada::StepRequest& cpu = cpu_;
    cpu.length = length;
    cpu.inputs = 1 + numbers.below(variant.most_inputs), cpu.rows = 1 + numbers.below(variant.most_rows),
    cpu.sums = variant.least_sums + numbers.below(variant.most_sums - variant.least_sums + 1);
    for (int k = 0; k < cpu.inputs; ++k) {
      inputs_.emplace_back(some_floats(numbers), type(numbers), shift(numbers));
      cpu.input[k] = inputs_.back().values.data();
    }
    for (int r = 0; r < cpu.rows; ++r) make_row(r, numbers);
    for (int s = 0; s < cpu.sums; ++s) cpu.sum[s] = {numbers.below(cpu.rows), numbers.below(cpu.rows + 1) - 1, numbers.below(2) == 0};
    if (variant.layout != nullptr) {
      cpu.sums = cpu.sums == 0 ? 1 : cpu.sums;
      cpu.token_sum = numbers.below(cpu.sums), cpu.layout = *variant.layout;
      means_.resize(static_cast<size_t>(variant.layout->grid_height * variant.layout->grid_width));
      device_means_ = std::make_unique<Memory>(static_cast<int64_t>(means_.size()) * 4);
      cpu.token_means = means_.data();
    }
    sums_.resize(static_cast<size_t>(cpu.sums));
    sada::cpu().step({cpu}, sums_.data());
  }

  int sums() const { return cpu_.sums; }

  DeviceStep on_device() const {
    DeviceStep step;
    step.request = cpu_;
    for (int k = 0; k < cpu_.inputs; ++k) {
      step.request.input[k] = reinterpret_cast<const float*>(inputs_[static_cast<size_t>(k)].at());
      step.input_type[k] = inputs_[static_cast<size_t>(k)].type;
    }
    for (int r = 0; r < cpu_.rows; ++r) {
      if (cpu_.store[r] == nullptr) continue;
      step.request.store[r] = reinterpret_cast<float*>(stores_[r]->at());
      step.store_type[r] = stores_[r]->type;
    }
    if (device_means_ != nullptr) step.request.token_means = reinterpret_cast<float*>(device_means_->data());
    return step;
  }

  void compare(const double* sums, const std::string& what) const {
    on_device::expect_same(sums, sums_.data(), cpu_.sums, what + ", sums");
    for (int r = 0; r < cpu_.rows; ++r) {
      if (cpu_.store[r] == nullptr) continue;
      const Buffer& store = *stores_[r];
      const std::vector<float> got = decoded(store.memory->bytes(), store.type),
                               wanted = decoded(encoded(wanted_[r], store.type), store.type);
      on_device::expect_same(got.data() + store.shift, wanted.data(), length_, what + ", row " + std::to_string(r));
      for (int k = 0; k < store.shift; ++k) cases::expect(got[static_cast<size_t>(k)] == 7.0f, what + ": wrote before its store");
    }
    if (device_means_ == nullptr) return;
    const std::vector<float> means = decoded(device_means_->bytes(), Storage::kFloat32);
    on_device::expect_same(means.data(), means_.data(), static_cast<int64_t>(means.size()), what + ", token means");
  }

 private:
  std::vector<float> some_floats(cases::Numbers& numbers) const {
    std::vector<float> values = numbers.floats(length_);
    for (size_t k = 0; variant_.wide && k < values.size(); k += sada::kTile) {
      const float scale = std::ldexp(1.0f, numbers.below(40) - 20);
      for (size_t j = k; j < std::min(k + sada::kTile, values.size()); ++j) values[j] *= scale;
    }
    for (size_t k = 0; variant_.specials && k < values.size(); ++k) {
      if (numbers.below(50) == 0) values[k] = kSpecials[numbers.below(10)];
    }
    return values;
  }
  Storage type(cases::Numbers& numbers) const { return variant_.halves ? any_type(numbers) : Storage::kFloat32; }
  int shift(cases::Numbers& numbers) const { return variant_.shifted ? numbers.below(8) : 0; }

  void make_row(int r, cases::Numbers& numbers) {
    sada::Row& row = cpu_.row[r];
    const int terms = numbers.below(cpu_.inputs + 2);
    for (int k = 0; k < terms; ++k) row.set(numbers.below(cpu_.inputs), static_cast<float>(numbers.below(4001) - 2000) / 999.0f);
    if (variant_.specials && numbers.below(8) == 0) row.set(numbers.below(cpu_.inputs), kSpecials[numbers.below(10)]);
    if (stores_count_ == sada::kMaxStores || numbers.below(3) == 0) return;
    if (variant_.in_place && r < cpu_.inputs) {
      stores_[r] = &inputs_[static_cast<size_t>(r)];
    } else {
      own_stores_.push_back(
          std::make_unique<Buffer>(std::vector<float>(static_cast<size_t>(length_), 9.0f), type(numbers), shift(numbers)));
      stores_[r] = own_stores_.back().get();
    }
    ++stores_count_;
    wanted_[r].assign(static_cast<size_t>(length_), 0.0f);
    cpu_.store[r] = wanted_[r].data();
    // Null for none: an empty vector has no address.
    if (length_ == 0) cpu_.store[r] = &nothing_;
  }

  int64_t length_;
  Variant variant_;
  sada::StepRequest cpu_;
  std::vector<Buffer> inputs_;
  std::vector<std::unique_ptr<Buffer>> own_stores_;
  Buffer* stores_[sada::kMaxRows] = {};
  std::vector<float> wanted_[sada::kMaxRows];
  int stores_count_ = 0;
  float nothing_ = 0.0f;
  std::vector<double> sums_;
  std::vector<float> means_;
  std::unique_ptr<Memory> device_means_;
};

void check_steps(int64_t length, int members, uint32_t seed, const Variant& variant) {
  cases::Numbers numbers(seed * 977 + static_cast<uint32_t>(length));
  std::vector<std::unique_ptr<Member>> all;
  std::vector<DeviceStep> steps;
  int64_t sums = 0;
  for (int m = 0; m < members; ++m) {
    // Members of a batch need not be alike.
    const int64_t own = variant.layout == nullptr && m % 3 == 2 ? length / 2 : length;
    all.push_back(std::make_unique<Member>(own, numbers, variant));
    steps.push_back(all.back()->on_device());
    sums += all.back()->sums();
  }
  const Pinned got(sums + 1);
  got.data()[sums] = 5.0;
  check(table().step(device(), steps.data(), members, got.data()), "step");
  check(table().synchronize(device()), "synchronize");
  const double* at = got.data();
  for (int m = 0; m < members; ++m) {
    all[static_cast<size_t>(m)]->compare(at, "member " + std::to_string(m));
    at += all[static_cast<size_t>(m)]->sums();
  }
  cases::expect(*at == 5.0, "wrote behind the sums");
}

int64_t elements(const TokenLayout& l) { return l.channels * l.grid_height * l.grid_width * l.patch_height * l.patch_width; }

void sizes() {
  constexpr int64_t lengths[] = {0, 1, 2, 3, 4, 5, 31, 32, 33, 255, 256, 257, 1020, 1023, 1024, 1025, 2047, 2048, 2049, 4097};
  for (int64_t length : lengths) {
    const std::string name = "step of " + std::to_string(length);
    cases::test(name, [=] { check_steps(length, 1, 1, {}); });
    cases::test(name + ", in place", [=] { check_steps(length, 1, 2, {true}); });
    cases::test(name + ", halves", [=] { check_steps(length, 2, 3, {true, true}); });
    cases::test(name + ", misaligned", [=] { check_steps(length, 3, 4, {false, true, true}); });
    cases::test(name + ", not finite", [=] { check_steps(length, 4, 5, {true, true, false, true}); });
  }
}

void large() {
  constexpr int64_t kGroup = int64_t{sada::kTile} * sada::kTile;
  const Variant lean = {false, false, false, false, nullptr, 2, 2, 2, 1, true};
  for (int64_t length : {kGroup - 1, kGroup, kGroup + 1, kGroup + sada::kTile + 1}) {
    cases::test("step of " + std::to_string(length) + ", about 1024 tiles",
                [=] { check_steps(length, 1, static_cast<uint32_t>(length % 7), lean); });
  }
  for (int64_t tiles : {2, 3, 31, 32, 33, 100, 129}) {
    cases::test("step of " + std::to_string(tiles) + " tiles of all magnitudes",
                [=] { check_steps(tiles * sada::kTile - 1, 2, static_cast<uint32_t>(tiles), lean); });
  }
  cases::test("two members of two groups of tiles", [=] { check_steps(2 * kGroup + 5, 2, 11, lean); });
}

void batches() {
  for (int members : {1, 2, 3, 4, 7, 8, 9, sada::kMaxMembers}) {
    cases::test("a batch of " + std::to_string(members), [=] { check_steps(1500, members, 21, {}); });
  }
  cases::test("a batch of none", [] { check_steps(1, 0, 1, {}); });
}

void layouts() {
  static const TokenLayout all[] = {
      {true, 4, 8, 8, 1, 1},     {true, 3, 5, 7, 2, 4},   {true, 2, 1, 2, 3, 600}, {true, 16, 1, 1, 16, 16},  {true, 1, 1, 1, 1, 1},
      {true, 16, 16, 16, 2, 2},  {true, 5, 33, 31, 1, 2}, {false, 64, 8, 8, 1, 1}, {false, 13, 1, 101, 1, 1}, {false, 1, 33, 1, 1, 1},
      {false, 1500, 2, 2, 1, 1}, {false, 7, 3, 5, 1, 1},  {false, 8, 17, 15, 1, 1}};
  for (const TokenLayout& layout : all) {
    const std::string name =
        std::string(layout.channels_first ? "channels-first" : "token-major") + " means of " + std::to_string(elements(layout));
    cases::test(name, [&] { check_steps(elements(layout), 1, 31, {false, false, false, false, &layout}); });
    cases::test(name + ", a batch in place", [&] { check_steps(elements(layout), 3, 32, {true, true, false, true, &layout}); });
  }
}

// 1, -1 and a small number, such that the first two meet first in the tree, one level before the third joins: the sum is the third
// exactly. Were the two levels swapped, the third would be lost. `unit`: elements apart, 1 within a tile or kTile between tiles.
void check_level(int64_t unit, int stride) {
  constexpr float kSmall = 0x1p-70f;
  const int64_t length = unit * sada::kTile, at = 5 * unit;
  std::vector<float> values(static_cast<size_t>(length), 0.0f);
  const auto element = [&](int64_t offset) -> float& { return values[static_cast<size_t>((at ^ offset * unit) % length)]; };
  element(0) = 1.0f, element(stride) = -1.0f, element(stride / 2) = kSmall;
  const Memory input(values.data(), length * 4);
  const Pinned sum(1);
  DeviceStep step;
  step.request.length = length, step.request.inputs = step.request.rows = step.request.sums = 1;
  step.request.input[0] = reinterpret_cast<const float*>(input.data());
  step.request.row[0].set(0, 1.0f);
  step.request.sum[0] = {0, -1, true};
  check(table().step(device(), &step, 1, sum.data()), "step");
  check(table().synchronize(device()), "synchronize");
  cases::expect(*sum.data() == static_cast<double>(kSmall), "the sum is " + std::to_string(*sum.data()));
}

void levels() {
  for (int stride = sada::kTile / 2; stride > 1; stride /= 2) {
    for (int64_t unit : {1, sada::kTile}) {
      cases::test(
          std::string("stride ") + std::to_string(stride) + (unit == 1 ? " of a tile" : " of the tiles") + " is added before the next",
          [=] { check_level(unit, stride); });
    }
  }
}

}  // namespace

void step_cases() {
  levels();
  sizes();
  batches();
  layouts();
  large();
}

}  // namespace on_device
