// Element types: every half both ways, and floats where rounding turns.
#include "on_device.h"

namespace on_device {
namespace {

using sada::Storage;

constexpr Storage kTypes[] = {Storage::kFloat32, Storage::kFloat16, Storage::kBfloat16};

std::vector<char> converted(const std::vector<char>& bytes, Storage from_type, Storage to_type, int shift_from = 0, int shift_to = 0) {
  const int64_t from_size = sada::bytes_of(from_type), to_size = sada::bytes_of(to_type),
                length = static_cast<int64_t>(bytes.size()) / from_size;
  std::vector<char> padded(static_cast<size_t>(shift_from * from_size));
  padded.insert(padded.end(), bytes.begin(), bytes.end());
  const Memory from(padded.data(), static_cast<int64_t>(padded.size())), to((length + shift_to) * to_size);
  check(table().convert(device(), to.data() + shift_to * to_size, to_type, from.data() + shift_from * from_size, from_type, length),
        "convert");
  const std::vector<char> got = to.bytes();
  for (int64_t k = 0; k < shift_to * to_size; ++k) cases::expect(got[static_cast<size_t>(k)] == 0, "wrote before its destination");
  return {got.begin() + shift_to * to_size, got.end()};
}

std::vector<char> all_halves() {
  std::vector<char> bytes(2 << 16);
  for (uint32_t half = 0; half < 1u << 16; ++half)
    bytes[2 * half] = static_cast<char>(half & 0xff), bytes[2 * half + 1] = static_cast<char>(half >> 8);
  return bytes;
}

// Halves, and floats just below, at and above the middle between two of them.
std::vector<float> turning_points(Storage type) {
  std::vector<float> values;
  for (uint32_t k = 0; k < 1u << 16; k += 7) {
    const uint16_t half = static_cast<uint16_t>(k);
    const uint32_t bits = sada::bits_of(type == Storage::kFloat16 ? sada::from_float16(half) : sada::from_bfloat16(half));
    const uint32_t middle = bits + (type == Storage::kFloat16 ? 0x1000u : 0x8000u);
    for (uint32_t each : {bits, middle - 1, middle, middle + 1}) values.push_back(sada::float_of(each));
  }
  return values;
}

}  // namespace

void convert_cases() {
  for (const Storage type : {Storage::kFloat16, Storage::kBfloat16}) {
    const std::string name = type == Storage::kFloat16 ? "float16" : "bfloat16";
    cases::test("every " + name + " to float32", [=] {
      const std::vector<float> got = decoded(converted(all_halves(), type, Storage::kFloat32), Storage::kFloat32),
                               wanted = decoded(all_halves(), type);
      cases::expect_same(got.data(), wanted.data(), 1 << 16, "value");
    });
    cases::test("floats about the middle between two of " + name, [=] {
      const std::vector<float> values = turning_points(type);
      cases::expect(converted(encoded(values, Storage::kFloat32), Storage::kFloat32, type) == encoded(values, type), "other bits");
    });
    cases::test("every " + name + " stays as it is where the type stays",
                [=] { cases::expect(converted(all_halves(), type, type) == all_halves(), "other bits"); });
  }
  for (int64_t length : {0, 1, 3, 4, 5, 31, 32, 33, 255, 1023, 1024, 1025}) {
    cases::test("convert " + std::to_string(length) + " elements, between all types, misaligned", [=] {
      cases::Numbers numbers(static_cast<uint32_t>(length));
      for (const Storage from : kTypes) {
        for (const Storage to : kTypes) {
          const std::vector<char> bytes = encoded(numbers.floats(length), from);
          const std::vector<char> got = converted(bytes, from, to, numbers.below(5), numbers.below(5));
          cases::expect(got == encoded(decoded(bytes, from), to), "other bits");
        }
      }
    });
  }
}

}  // namespace on_device
