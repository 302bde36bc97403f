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
    for (int64_t offset : {int64_t{-1}, length + 1, most, least}) expect(code_of([&] { tensors.slice(id, offset, 0); }) == "INVALID_ARGUMENT", "offset");
    for (int64_t count : {int64_t{-1}, length + 1, most, least}) expect(code_of([&] { tensors.slice(id, 0, count); }) == "INVALID_ARGUMENT", "length");
    expect(code_of([&] { tensors.slice(id, most, most); }) == "INVALID_ARGUMENT", "both");
  }
  for (int64_t id : {int64_t{-1}, int64_t{7}, most, least}) expect(code_of([&] { tensors.slice(id, 0, 0); }) == "INVALID_ARGUMENT", "id");
}

void check_failure() {
  const int64_t before = sada::counters().tensors;
  sada::TensorSet tensors;
  expect(code_of([&] { tensors.allocate(int64_t{1} << 40); }) == "OUT_OF_MEMORY", "4 TiB");
  for (int64_t length : {int64_t{-1}, (int64_t{1} << 40) + 1}) expect(code_of([&] { tensors.allocate(length); }) == "INVALID_ARGUMENT", "length");
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
    expect(sada::counters().workspaces == sets + 1 && sada::counters().tensors == tensors + 1 && sada::counters().bytes == bytes + 400, "while held");
  }
  expect(sada::counters().workspaces == sets && sada::counters().tensors == tensors && sada::counters().bytes == bytes, "afterwards");
}

}  // namespace

void memory_cases() {
  test("slices of tensors are checked", check_bounds);
  test("memory that cannot be had is an error and leaves nothing", check_failure);
  test("tensors live while they are held", check_counters);
}

}  // namespace cases
