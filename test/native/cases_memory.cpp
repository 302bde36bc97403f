// Tensors: their bounds, their life, and what a failed allocation leaves.
#include <limits>
#include <memory>

#include "../../native/tensors.h"
#include "cases.h"

namespace cases {
namespace {

void check_bounds() {
  sada::TensorSet tensors;
  constexpr int64_t most = std::numeric_limits<int64_t>::max(), least = std::numeric_limits<int64_t>::min();
  for (int64_t length : {0, 1, 7, 8, 9, 1023, 1025}) {
    const int64_t id = tensors.allocate(length);
    float* data = tensors.slice(id, 0, length);
    expect(reinterpret_cast<uintptr_t>(data) % 64 == 0, "not aligned");
    for (int64_t k = 0; k < length; ++k) expect(data[k] == 0.0f, "not zero"), data[k] = 1.0f;
    expect(tensors.slice(id, length, 0) == data + length, "the empty slice at the end");
    for (int64_t offset : {int64_t{-1}, length + 1, most, least})
      expect(code_of([&] { tensors.slice(id, offset, 0); }) == "INVALID_ARGUMENT", "offset");
    for (int64_t count : {int64_t{-1}, length + 1, most, least})
      expect(code_of([&] { tensors.slice(id, 0, count); }) == "INVALID_ARGUMENT", "length");
    expect(code_of([&] { tensors.slice(id, most, most); }) == "INVALID_ARGUMENT", "both");
  }
  for (int64_t id : {int64_t{-1}, int64_t{7}, most, least}) expect(code_of([&] { tensors.slice(id, 0, 0); }) == "INVALID_ARGUMENT", "id");
}

void check_failure() {
  const int64_t before = sada::counters().tensors;
  sada::TensorSet tensors;
  expect(code_of([&] { tensors.allocate(int64_t{1} << 40); }) == "OUT_OF_MEMORY", "4 TiB");
  for (int64_t length : {int64_t{-1}, (int64_t{1} << 40) + 1})
    expect(code_of([&] { tensors.allocate(length); }) == "INVALID_ARGUMENT", "length");
  expect(sada::counters().tensors == before, "a failed tensor is counted");
  expect(tensors.allocate(4) == 0, "a failed tensor took an id");
}

void check_counters() {
  const int64_t sets = sada::counters().workspaces, tensors = sada::counters().tensors, bytes = sada::counters().bytes;
  {
    auto first = std::make_shared<sada::TensorSet>();
    first->allocate(100);
    const std::shared_ptr<sada::TensorSet> held = first;
    first.reset();
    held->slice(0, 99, 1)[0] = 1.0f;
    expect(sada::counters().workspaces == sets + 1 && sada::counters().tensors == tensors + 1 && sada::counters().bytes == bytes + 400,
           "while held");
  }
  expect(sada::counters().workspaces == sets && sada::counters().tensors == tensors && sada::counters().bytes == bytes, "afterwards");
}

void check_block() {
  const int64_t bytes = sada::counters().bytes;
  {
    sada::TensorSet tensors;
    tensors.allocate_all(
        {{5, sada::Storage::kFloat32}, {0, sada::Storage::kFloat32}, {257, sada::Storage::kFloat16}, {128, sada::Storage::kBfloat16}});
    // Each rounded up to 256 bytes.
    expect(sada::counters().bytes == bytes + 256 + 0 + 768 + 256, "bytes of a block");
    expect(tensors.stored_slice(3, 0, 128).storage == sada::Storage::kBfloat16, "storage");
    const auto* halves = static_cast<const uint16_t*>(tensors.stored_slice(2, 0, 257).data);
    for (int k = 0; k < 257; ++k) expect(halves[k] == 0, "not zero");
    expect(tensors.stored_slice(2, 3, 1).data == halves + 3, "elements of two bytes");
    expect(code_of([&] { tensors.slice(2, 0, 1); }) == "INVALID_ARGUMENT", "halves as floats");
    expect(code_of([&] { tensors.stored_slice(2, 0, 258); }) == "INVALID_ARGUMENT", "beyond the halves");
    expect(tensors.allocate(3) == 4, "the next id");
    expect(code_of([&] {
             tensors.allocate_all({{int64_t{1} << 40, sada::Storage::kFloat32}, {1, sada::Storage::kFloat32}});
           }) == "OUT_OF_MEMORY",
           "4 TiB");
    expect(tensors.allocate(3) == 5, "a failed block took ids");
  }
  expect(sada::counters().bytes == bytes, "afterwards");
}

}  // namespace

void memory_cases() {
  test("tensors of one block", check_block);
  test("slices of tensors are checked", check_bounds);
  test("memory that cannot be had is an error and leaves nothing", check_failure);
  test("tensors live while they are held", check_counters);
}

}  // namespace cases
