// Gather and scatter: the bits of native/cpu/tokens.h, whatever the storage.
#include <algorithm>
#include <numeric>

#include "../../native/cpu/tokens.h"
#include "on_device.h"

namespace on_device {
namespace {

using sada::DeviceMove;
using sada::Storage;

struct Sizes {
  int64_t rows, tokens, kept, channels;
};

std::vector<int> some_tokens(int64_t tokens, int64_t kept, cases::Numbers& numbers) {
  std::vector<int> all(static_cast<size_t>(tokens));
  std::iota(all.begin(), all.end(), 0);
  for (size_t k = all.size(); k > 1; --k) std::swap(all[k - 1], all[static_cast<size_t>(numbers.below(static_cast<int>(k)))]);
  all.resize(static_cast<size_t>(kept));
  if (numbers.below(2) == 0) std::sort(all.begin(), all.end());
  return all;
}

// What the CPU leaves in `into`, whose elements are stored as `type`.
std::vector<float> moved(bool gather, const sada::TokenMove& move, std::vector<float> into, Storage type) {
  sada::TokenMove cpu = move;
  cpu.to = into.data();
  gather ? sada::gather(cpu) : sada::scatter(cpu);
  return decoded(encoded(into, type), type);
}

struct Variant {
  bool gather, channels_first, with_cache, halves, on_host;
  int shift;  // elements by which buffers miss their alignment
  bool of_one_type = false;
};

// A destination on the device with something in it already.
struct Destination {
  Destination(int64_t length, Storage type, int shift, cases::Numbers& numbers)
      : type(type), shift(shift), before(numbers.floats(length + shift)), memory(upload()) {
    before = decoded(encoded(before, type), type);
  }
  Memory upload() const {
    const std::vector<char> bytes = encoded(before, type);
    return Memory(bytes.data(), static_cast<int64_t>(bytes.size()));
  }
  char* at() const { return memory.data() + shift * sada::bytes_of(type); }
  std::vector<float> contents() const { return {before.begin() + shift, before.end()}; }
  void compare(const std::vector<float>& wanted, const std::string& what) const {
    const std::vector<float> got = decoded(memory.bytes(), type);
    on_device::expect_same(got.data(), before.data(), shift, what + ", before its start");
    on_device::expect_same(got.data() + shift, wanted.data(), static_cast<int64_t>(wanted.size()), what);
  }

  Storage type;
  int shift;
  std::vector<float> before;
  Memory memory;
};

void check_move(const Sizes& s, const Variant& v, uint32_t seed) {
  cases::Numbers numbers(seed);
  const int64_t whole = s.rows * s.tokens * s.channels, part = s.rows * s.kept * s.channels;
  const Storage half = numbers.below(2) == 0 ? Storage::kFloat16 : Storage::kBfloat16;
  const auto type = [&] { return !v.halves ? Storage::kFloat32 : v.of_one_type ? half : any_type(numbers); };
  const Storage from_type = type();
  const std::vector<float> source = numbers.floats((v.gather ? whole : part) + v.shift);
  const std::vector<char> stored = encoded(source, from_type);
  const Memory from(stored.data(), static_cast<int64_t>(stored.size()));
  const std::vector<float> values = decoded(stored, from_type);
  const std::vector<int> indices = some_tokens(s.tokens, s.kept, numbers);
  const Memory device_indices(indices.data(), s.kept * 4);
  const Destination to(v.gather ? part : whole, type(), v.shift, numbers), cache(whole, type(), v.shift, numbers);

  DeviceMove move;
  move.from = from.data() + v.shift * sada::bytes_of(from_type), move.from_type = from_type;
  move.to = to.at(), move.to_type = to.type;
  if (v.with_cache) move.cache = cache.at(), move.cache_type = cache.type;
  move.channels_first = v.channels_first, move.rows = s.rows, move.tokens = s.tokens, move.channels = s.channels, move.kept = s.kept;
  move.indices_on_host = v.on_host;
  move.indices = v.on_host ? indices.data() : reinterpret_cast<const int32_t*>(device_indices.data());
  check((v.gather ? table().gather : table().scatter)(device(), &move), "move");

  const sada::TokenMove cpu = {values.data() + v.shift, nullptr, s.rows, s.tokens, s.channels, v.channels_first, indices};
  to.compare(moved(v.gather, cpu, to.contents(), to.type), "destination");
  if (!v.with_cache) return cache.compare(cache.contents(), "cache that was not named");
  // What a cache gets of a gather is what a scatter of the gathered tokens would leave there.
  std::vector<float> kept(static_cast<size_t>(part));
  if (v.gather) kept = moved(true, cpu, kept, Storage::kFloat32);
  sada::TokenMove into_cache = cpu;
  if (v.gather) into_cache.from = kept.data();
  cache.compare(moved(false, into_cache, cache.contents(), cache.type), "cache");
}

void sizes() {
  const Sizes all[] = {{1, 1, 1, 1},     {1, 1, 0, 1},    {2, 7, 3, 1},      {1, 33, 32, 3},    {3, 64, 17, 4},
                       {1, 257, 255, 5}, {2, 31, 31, 7},  {1, 100, 99, 8},   {2, 64, 33, 64},   {1, 40, 9, 257},
                       {1, 9, 5, 1024},  {1, 5, 4, 1028}, {2, 300, 290, 12}, {1, 4096, 1024, 2}};
  uint32_t seed = 0;
  for (const Sizes& s : all) {
    const std::string of =
        " of " + std::to_string(s.kept) + " of " + std::to_string(s.tokens) + " tokens, " + std::to_string(s.channels) + " channels";
    for (bool gather : {true, false}) {
      for (bool channels_first : {true, false}) {
        const std::string name = std::string(gather ? "gather" : "scatter") + of + (channels_first ? ", channels first" : "");
        const uint32_t at = ++seed;
        cases::test(name, [=] { check_move(s, {gather, channels_first, false, false, false, 0}, at); });
        cases::test(name + ", with a cache", [=] { check_move(s, {gather, channels_first, true, false, true, 0}, at); });
        cases::test(name + ", halves", [=] { check_move(s, {gather, channels_first, true, true, false, 0}, at); });
        cases::test(name + ", halves of one type", [=] {
          check_move(s, {gather, channels_first, at % 2 == 0, true, false, static_cast<int>(at % 3), true}, at);
        });
        cases::test(name + ", halves, misaligned", [=] {
          check_move(s, {gather, channels_first, true, true, true, 1 + static_cast<int>(at % 3)}, at);
        });
      }
    }
  }
}

// A signalling NaN is not quieted on its way where the type stays.
void bits() {
  cases::test("a move keeps every bit where the type stays", [] {
    for (const Storage type : {Storage::kFloat32, Storage::kFloat16, Storage::kBfloat16}) {
      for (int64_t channels : {3, 8}) {
        std::vector<char> stored(static_cast<size_t>(channels * sada::bytes_of(type)));
        for (size_t k = 0; k < stored.size(); ++k)
          stored[k] = static_cast<char>(k % 2 == 0                                ? 1
                                        : type == Storage::kFloat16               ? 0x7c
                                        : k % 4 == 1 && type == Storage::kFloat32 ? 0x80
                                                                                  : 0x7f);
        const Memory from(stored.data(), static_cast<int64_t>(stored.size())), to(static_cast<int64_t>(stored.size()));
        const int32_t index = 0;
        DeviceMove move;
        move.from = from.data(), move.to = to.data(), move.from_type = move.to_type = type;
        move.rows = move.tokens = move.kept = 1, move.channels = channels, move.indices = &index, move.indices_on_host = true;
        check(table().gather(device(), &move), "gather");
        cases::expect(to.bytes() == stored, "bits of type " + std::to_string(static_cast<int>(type)));
      }
    }
  });
}

void refusals() {
  cases::test("a move with sizes that cannot be is refused", [] {
    DeviceMove move;
    move.rows = 1, move.tokens = 2, move.channels = 1, move.kept = 3;
    cases::expect(table().failure(table().gather(device(), &move)) == sada::DeviceFailure::kInvalid, "more kept tokens than tokens");
    move.kept = 1, move.rows = -1;
    cases::expect(table().failure(table().scatter(device(), &move)) == sada::DeviceFailure::kInvalid, "less than no rows");
    move.rows = 1, move.tokens = move.kept = 5000, move.indices_on_host = true;
    cases::expect(table().failure(table().gather(device(), &move)) == sada::DeviceFailure::kInvalid,
                  "more host indices than were reserved");
  });
}

}  // namespace

void token_cases() {
  sizes();
  bits();
  refusals();
}

}  // namespace on_device
